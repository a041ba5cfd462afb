//! Commits: their names, and what one says.

pub mod message;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use self::message::{Message, RequestNumber};

/// The object name of a commit: a SHA-1, written as 40 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha(pub [u8; 20]);

/// Not an object name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commit is named by 40 hexadecimal digits, or at least 7 of them")]
pub struct InvalidSha;

impl Sha {
    /// The name that no commit has. As a parent it says that nobody knows the parents.
    pub const NULL: Self = Self([0; 20]);

    /// Its first eight bytes, which sort as it does.
    #[must_use]
    pub fn beginning(&self) -> u64 {
        beginning_of(&self.0)
    }

    /// The first seven digits, as people know it.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(7);
        text
    }
}

impl FromStr for Sha {
    type Err = InvalidSha;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prefix: ShaPrefix = text.parse()?;
        prefix.whole().ok_or(InvalidSha)
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At once: a verdict names thousands.
        let mut text = String::with_capacity(2 * self.0.len());
        for digit in self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.extend(char::from_digit(digit.into(), 16));
        }
        formatter.write_str(&text)
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Sha {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Sha {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 20]>::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The beginning of an object name: 7 to 40 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShaPrefix {
    /// The digits; the rest is zero.
    digits: Sha,
    n_digits: u8,
}

impl ShaPrefix {
    /// Fewer digits are as good as none.
    pub const LEAST_DIGITS: u8 = 7;

    /// The name, if it is all there.
    #[must_use]
    pub fn whole(&self) -> Option<Sha> {
        (self.n_digits == 40).then_some(self.digits)
    }

    /// The least name that begins like this.
    #[must_use]
    pub fn least(&self) -> Sha {
        self.digits
    }

    /// Whether the name begins like this.
    #[must_use]
    pub fn is_of(&self, sha: &Sha) -> bool {
        let whole = usize::from(self.n_digits / 2);
        let odd = self.n_digits % 2 == 1;
        sha.0.iter().zip(self.digits.0).enumerate().all(|(index, (one, other))| {
            index > whole || (index == whole && !odd) || {
                let mask = if index == whole { 0xf0 } else { 0xff };
                one & mask == other
            }
        })
    }
}

impl From<Sha> for ShaPrefix {
    fn from(digits: Sha) -> Self {
        Self { digits, n_digits: 40 }
    }
}

impl FromStr for ShaPrefix {
    type Err = InvalidSha;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let n_digits = u8::try_from(text.len()).unwrap_or(u8::MAX);
        if !(Self::LEAST_DIGITS..=40).contains(&n_digits) {
            return Err(InvalidSha);
        }
        let mut digits = [0_u8; 20];
        for (index, character) in text.chars().enumerate() {
            let digit = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let digit = digit.ok_or(InvalidSha)?;
            let byte = digits.get_mut(index / 2).ok_or(InvalidSha)?;
            *byte |= if index % 2 == 0 { digit << 4 } else { digit };
        }
        Ok(Self { digits: Sha(digits), n_digits })
    }
}

/// A commit as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its name.
    pub sha: Sha,
    /// Its parents, the line it was made on first.
    pub parents: Vec<Sha>,
    /// When it was committed, in seconds since the epoch.
    pub time: i64,
    /// Who wrote it, as [`signature`] of name and email address.
    pub author: u64,
    /// [`signature`] of the first line of its message.
    pub subject: u64,
    /// Commits it says to be picked from.
    pub picked_from: Vec<Sha>,
    /// What it says to take back.
    pub reverts: Vec<Reverted>,
    /// The pull or merge request it brings in.
    pub request: Option<RequestNumber>,
    /// Issues it says to fix, as they are called: `SHOP-42`.
    pub closes: Vec<String>,
    /// The files it touches, as [`Touched::signature`].
    pub touched: u64,
}

/// What a commit says to take back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reverted {
    /// A commit.
    Commit(ShaPrefix),
    /// What a merge brought in: all commits of the merge that its given parent has not.
    Merge(Sha, Sha),
    /// What a pull or merge request brought in.
    Request(RequestNumber),
}

impl Commit {
    /// A commit by what git knows of it. `author` is its name and email address.
    #[must_use]
    pub fn new(sha: Sha, parents: Vec<Sha>, time: i64, author: &[u8], message: &[u8]) -> Self {
        let message = Message::read(message);
        Self {
            sha,
            parents,
            time,
            author: signature(author),
            subject: signature(message.subject.as_bytes()),
            picked_from: message.picked_from,
            reverts: message.reverts,
            request: message.request,
            closes: message.closes.iter().map(ToString::to_string).collect(),
            touched: Touched::NOTHING,
        }
    }
}

/// Which files a change touches, so that equal changes are found without comparing all.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    hash: Sha256,
    n_files: usize,
}

impl Touched {
    /// The signature of a change of nothing, and of a merge.
    pub const NOTHING: u64 = 0;

    /// The signature of a change of too many files.
    pub const MANY: u64 = u64::MAX;

    /// A change of more files is compared with no other.
    pub const MOST_FILES: usize = 5_000;

    /// One more file, in the order of their names.
    pub fn add(&mut self, path: &[u8]) {
        self.n_files += 1;
        if self.n_files <= Self::MOST_FILES {
            self.hash.update(path);
            self.hash.update(b"\0");
        }
    }

    /// 64 bits that tell such sets apart.
    #[must_use]
    pub fn signature(self) -> u64 {
        match self.n_files {
            0 => Self::NOTHING,
            1..=Self::MOST_FILES => {
                beginning_of(&self.hash.finalize()).clamp(Self::NOTHING + 1, Self::MANY - 1)
            }
            _ => Self::MANY,
        }
    }
}

/// 64 bits that tell texts apart.
#[must_use]
pub fn signature(text: &[u8]) -> u64 {
    beginning_of(&Sha256::digest(text))
}

fn beginning_of(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let text = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";
        let sha: Sha = text.parse().expect("a name");
        assert_eq!(sha.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(sha));
        assert_eq!(sha.short(), "4f2c91a");
        for wrong in [
            "",
            "4f2c91a",
            "main",
            "4f2c91g0b1c2d3e4f5061728394a5b6c7d8e9f00",
            "é".repeat(20).as_str(),
        ] {
            assert_eq!(wrong.parse::<Sha>(), Err(InvalidSha), "{wrong}");
        }
    }

    #[test]
    fn the_beginning_of_a_name() {
        let sha: Sha = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00".parse().expect("a name");
        for (prefix, is_of) in [
            ("4f2c91a", true),
            ("4F2C91A0", true),
            ("4f2c91a0b", true),
            ("4f2c91b", false),
            ("4f2c91a0c", false),
            ("5f2c91a0", false),
            ("4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00", true),
            ("4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f01", false),
        ] {
            let prefix: ShaPrefix = prefix.parse().expect("a prefix");
            assert_eq!(prefix.is_of(&sha), is_of, "{prefix:?}");
        }
        for wrong in ["4f2c91", "", "release", "4f2c91a-"] {
            assert_eq!(wrong.parse::<ShaPrefix>(), Err(InvalidSha), "{wrong}");
        }
    }
}

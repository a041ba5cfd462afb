//! Secrets that must be used again, sealed: whoever reads the database alone cannot read them.
//!
//! `ChaCha20-Poly1305` with a key that lies beside the data, never in it. What a secret belongs to is
//! sealed with it, so that it cannot be moved to another owner.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use super::secret_file::read_or_write;
use crate::clock::Clock;

/// The file of the key in the data folder, if no other is named.
pub const KEY_FILE: &str = "secret.key";

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// What seals.
#[derive(Clone)]
pub struct Secrets {
    key: std::sync::Arc<LessSafeKey>,
    /// What secrets are made of that nobody stores.
    derived: hmac::Key,
    clock: Clock,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(…)")
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("{path}: {cause}")]
    File {
        /// Where.
        path: PathBuf,
        /// What.
        cause: io::Error,
    },
    /// It is none.
    #[error("the key in {0} is not 64 hexadecimal digits")]
    Malformed(PathBuf),
}

/// It was sealed with another key, for another owner, or is damaged.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored credential was sealed with another secret key; give all nodes the same --secret-key-file, or set the credential again"
)]
pub struct Unreadable;

impl Secrets {
    /// With the key of a file, which is made if it is not there. Nodes that share a store share the
    /// key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(path: &Path, clock: &Clock) -> Result<Self, KeyError> {
        let fresh: [u8; KEY_BYTES] = clock.random();
        let file = |cause| KeyError::File { path: path.to_owned(), cause };
        let text = read_or_write(path, &hex(&fresh)).map_err(file)?;
        let key = unhex(text.trim()).ok_or_else(|| KeyError::Malformed(path.to_owned()))?;
        Ok(Self::new(&key, clock))
    }

    fn new(key: &[u8; KEY_BYTES], clock: &Clock) -> Self {
        let derived = hmac::Key::new(hmac::HMAC_SHA256, key);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes");
        Self { key: std::sync::Arc::new(LessSafeKey::new(key)), derived, clock: clock.clone() }
    }

    /// The secret that another service signs with what it sends for `owner`: the same each time.
    #[must_use]
    pub fn hook_secret(&self, owner: &str) -> String {
        let tag = hmac::sign(&self.derived, format!("hook of {owner}").as_bytes());
        hex(tag.as_ref())
    }

    /// Seals a secret of `owner`.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    #[must_use]
    pub fn seal(&self, owner: &str, secret: &str) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = self.clock.random();
        let mut sealed = secret.as_bytes().to_vec();
        let aad = Aad::from(owner.as_bytes());
        let done = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            aad,
            &mut sealed,
        );
        done.expect("a secret is much shorter than the limit");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Result<String, Unreadable> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unreadable)?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(owner.as_bytes());
        let opened = self.key.open_in_place(nonce, aad, &mut sealed).map_err(|_| Unreadable)?;
        String::from_utf8(opened.to_vec()).map_err(|_| Unreadable)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn unhex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if text.len() != 2 * KEY_BYTES || !text.is_ascii() {
        return None;
    }
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Clock::system();
        let secrets = Secrets::load(&dir.path().join(KEY_FILE), &clock).expect("a key");
        let sealed = secrets.seal("repository 1", "s3cret");
        assert!(!String::from_utf8_lossy(&sealed).contains("s3cret"));
        assert_eq!(secrets.open("repository 1", &sealed).expect("opened"), "s3cret");
        assert!(secrets.open("repository 2", &sealed).is_err());
        assert_ne!(secrets.seal("repository 1", "s3cret"), sealed);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(secrets.open("repository 1", &damaged).is_err(), "{at}");
            assert!(secrets.open("repository 1", &sealed[..at]).is_err(), "{at}");
        }
        let again = Secrets::load(&dir.path().join(KEY_FILE), &clock).expect("the same key");
        assert_eq!(again.open("repository 1", &sealed).expect("opened"), "s3cret");
        let other = Secrets::new(&[7; KEY_BYTES], &clock);
        assert!(other.open("repository 1", &sealed).is_err());
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        for wrong in ["abc", &"g".repeat(64), &"é".repeat(32)] {
            std::fs::write(dir.path().join(KEY_FILE), wrong).expect("a file");
            let refused = Secrets::load(&dir.path().join(KEY_FILE), &Clock::system());
            assert!(matches!(refused, Err(KeyError::Malformed(_))), "{wrong}");
        }
    }
}

//! Which commits a release is: what its name says.
//!
//! A name is read as strictly as it can be: a whole object name first, then a shortened one, then a
//! tag. The first that leads to a commit decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::commit::{Sha, ShaPrefix};
use super::commit_field::carried;
use super::repository::RepositoryId;

/// The longest name of a release, in characters.
pub const MOST_VERSION_CHARS: usize = 250;

/// The name of a release is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version must have 1 to {MOST_VERSION_CHARS} characters, and no control characters")]
pub struct InvalidVersion;

/// The name of a release as it is kept.
///
/// # Errors
/// [`InvalidVersion`].
pub fn checked_version(version: &str) -> Result<&str, InvalidVersion> {
    let version = version.trim();
    let is_fine = (1..=MOST_VERSION_CHARS).contains(&version.chars().count())
        && !version.contains(char::is_control);
    is_fine.then_some(version).ok_or(InvalidVersion)
}

/// Why a release is this commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Somebody registered it.
    Registered,
    /// The events carry the commit in a field that the project names.
    Field,
    /// The name has the commit's whole name in it.
    Sha,
    /// The name has the beginning of the commit's name in it, and no other commit begins so.
    ShortSha,
    /// A tag is called like this.
    Tag,
}

impl Rule {
    /// Its name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Field => "field",
            Self::Sha => "sha",
            Self::ShortSha => "short_sha",
            Self::Tag => "tag",
        }
    }

    /// The rule of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Registered, Self::Field, Self::Sha, Self::ShortSha, Self::Tag];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// The commits of a release, by repository, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// They.
    pub commits: BTreeMap<RepositoryId, Sha>,
    /// Why.
    pub rule: Rule,
}

/// What the repositories of a project know.
pub trait Repositories {
    /// Commits whose names begin like this.
    fn commits(&self, prefix: ShaPrefix) -> Vec<(RepositoryId, Sha)>;
    /// What a tag means in each repository that has it.
    fn tag(&self, name: &str) -> Vec<(RepositoryId, Sha)>;
    /// The one repository of the project, if it has one only.
    fn only(&self) -> Option<RepositoryId>;
}

/// The parts of a name that may name a commit: all of it, what is after `+`, and what is after the
/// last `@` or `-`.
fn parts(version: &str) -> impl Iterator<Item = &str> + Clone {
    let after = |(_, part)| part;
    let build = version.split_once('+').map(after);
    let package = version.rsplit_once('@').map(after);
    let suffix = version.rsplit_once('-').map(after);
    [Some(version), build, package, suffix].into_iter().flatten()
}

/// The names of tags that a release may mean.
pub fn tags(version: &str) -> impl Iterator<Item = String> {
    let package = version.rsplit_once('@').map(|(_, part)| part).filter(|part| !part.is_empty());
    let names = [Some(version), package].into_iter().flatten();
    names.flat_map(|name| [name.to_owned(), format!("v{name}")])
}

/// The commits that a release's name leads to; nothing if nobody knows any.
#[must_use]
pub fn resolve(version: &str, repositories: &impl Repositories) -> Option<Binding> {
    let version = version.trim();
    let bound = |found: Vec<(RepositoryId, Sha)>, rule| {
        Some(Binding { commits: found.into_iter().collect(), rule })
    };
    // What an event carries on purpose comes before what a name looks like.
    if let Some(prefix) = carried(version) {
        return bound(named(prefix, repositories)?, Rule::Field);
    }
    let whole = parts(version).find_map(|part| part.parse::<Sha>().ok());
    if let Some(sha) = whole {
        return bound(named(sha.into(), repositories)?, Rule::Sha);
    }
    let short = parts(version).filter(|part| part.contains(|one: char| one.is_ascii_alphabetic()));
    let mut found = short.filter_map(|part| named(part.parse().ok()?, repositories));
    if let Some(found) = found.next() {
        return bound(found, Rule::ShortSha);
    }
    let tagged = tags(version).map(|name| repositories.tag(&name)).find(|found| !found.is_empty());
    bound(tagged?, Rule::Tag)
}

/// Where the commit is that is called so; `None` when nobody can tell which that is.
fn named(prefix: ShaPrefix, repositories: &impl Repositories) -> Option<Vec<(RepositoryId, Sha)>> {
    let found = repositories.commits(prefix);
    match prefix.whole() {
        // It may come with the next push; where it belongs is clear when there is one place only.
        Some(sha) if found.is_empty() => repositories.only().map(|only| vec![(only, sha)]),
        Some(_) => Some(found),
        None => (found.len() == 1).then_some(found),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const FIX: &str = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";
    const TWIN: &str = "4f2c91a9b1c2d3e4f5061728394a5b6c7d8e9f00";
    const OTHER: &str = "20261122b1c2d3e4f5061728394a5b6c7d8e9f00";

    fn repository(number: u128) -> RepositoryId {
        RepositoryId(Uuid::from_u128(number))
    }

    struct Fakes {
        commits: Vec<(RepositoryId, Sha)>,
        tags: Vec<(&'static str, RepositoryId, Sha)>,
    }

    impl Repositories for Fakes {
        fn commits(&self, prefix: ShaPrefix) -> Vec<(RepositoryId, Sha)> {
            self.commits.iter().copied().filter(|(_, sha)| prefix.is_of(sha)).collect()
        }

        fn tag(&self, name: &str) -> Vec<(RepositoryId, Sha)> {
            let named = self.tags.iter().filter(|(tag, _, _)| *tag == name);
            named.map(|(_, repository, sha)| (*repository, *sha)).collect()
        }

        fn only(&self) -> Option<RepositoryId> {
            let first = self.commits.first()?.0;
            self.commits.iter().all(|(repository, _)| *repository == first).then_some(first)
        }
    }

    fn sha(text: &str) -> Sha {
        text.parse().expect("a name")
    }

    fn said(version: &str, repositories: &Fakes) -> Option<(Vec<Sha>, Rule)> {
        let binding = resolve(version, repositories)?;
        Some((binding.commits.into_values().collect(), binding.rule))
    }

    #[test]
    fn names_lead_to_commits() {
        let one = repository(1);
        let repositories = Fakes {
            commits: vec![(one, sha(FIX)), (one, sha(OTHER))],
            tags: vec![
                ("v1.4.2", one, sha(FIX)),
                ("web@2", one, sha(OTHER)),
                ("feedbee", one, sha(OTHER)),
            ],
        };
        let whole = Some((vec![sha(FIX)], Rule::Sha));
        let short = Some((vec![sha(FIX)], Rule::ShortSha));
        let tag = Some((vec![sha(FIX)], Rule::Tag));
        for (version, expected) in [
            (FIX.to_owned(), whole.clone()),
            (format!("  {} ", FIX.to_uppercase()), whole.clone()),
            (format!("web@1.4.2+{FIX}"), whole.clone()),
            (format!("web@{FIX}"), whole.clone()),
            (format!("@shop/web@{FIX}"), whole.clone()),
            (format!("web-1.4-{FIX}"), whole),
            ("4f2c91a".to_owned(), short.clone()),
            ("web@4f2c91a0b1".to_owned(), short.clone()),
            ("1.4.2-4f2c91a".to_owned(), short.clone()),
            ("web@1.4.2+4f2c91a".to_owned(), short),
            ("1.4.2".to_owned(), tag.clone()),
            ("v1.4.2".to_owned(), tag.clone()),
            ("web@1.4.2".to_owned(), tag.clone()),
            ("@shop/web@v1.4.2".to_owned(), tag),
            ("web@2".to_owned(), Some((vec![sha(OTHER)], Rule::Tag))),
            (format!("web@1.4.2+commit.{FIX}"), Some((vec![sha(FIX)], Rule::Field))),
            ("commit.20261122".to_owned(), Some((vec![sha(OTHER)], Rule::Field))),
            // The field is believed, not the name around it.
            (format!("{FIX}+commit.0000000"), None),
            // A date is no commit, whatever a commit may be called.
            ("20261122".to_owned(), None),
            // No commit begins so, but a tag is called so.
            ("feedbee".to_owned(), Some((vec![sha(OTHER)], Rule::Tag))),
            ("4f2c9".to_owned(), None),
            ("web@".to_owned(), None),
            (String::new(), None),
            // The commit is expected with the next push.
            (TWIN.to_owned(), Some((vec![sha(TWIN)], Rule::Sha))),
        ] {
            assert_eq!(said(&version, &repositories), expected, "{version}");
        }
    }

    #[test]
    fn several_repositories() {
        let (one, two) = (repository(1), repository(2));
        let repositories = Fakes {
            commits: vec![(one, sha(FIX)), (two, sha(TWIN)), (two, sha(OTHER))],
            tags: vec![("v1", one, sha(FIX)), ("v1", two, sha(OTHER))],
        };
        // More than one commit begins so.
        assert_eq!(said("4f2c91a", &repositories), None);
        assert_eq!(said("4f2c91a9", &repositories), Some((vec![sha(TWIN)], Rule::ShortSha)));
        assert_eq!(said("1", &repositories), Some((vec![sha(FIX), sha(OTHER)], Rule::Tag)));
        // Nobody knows where it belongs.
        let unknown = "0".repeat(40);
        assert_eq!(said(&unknown, &repositories), None);
    }
}

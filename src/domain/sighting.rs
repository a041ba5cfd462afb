//! Which build reported an event, and what that says of a fix.

use std::fmt;
use std::time::Duration;

use super::build::{Build, BuildKey};
use super::containment::Containment;
use super::fix::{Answer, FixId};
use super::lifecycle::Fact;
use super::time::Timestamp;

/// So long after a deploy old processes may still report.
pub const GRACE: Duration = Duration::from_mins(10);

/// So many releases of an issue's undetermined events are looked at one by one; of more it is only
/// known that there are some, until others are settled.
pub const MOST_UNSETTLED: u32 = 1_000;

/// Stands for all releases beyond. No release is called so: a name has no control characters, and no
/// white space around it.
pub const REST: &str = "\n";

/// An event whose build is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// The fix or baseline that is asked about.
    pub question: FixId,
    /// Whether it is a baseline.
    pub is_baseline: bool,
    /// The release as reported.
    pub release: Option<&'a str>,
    /// The environment as reported.
    pub environment: &'a str,
    /// When it happened.
    pub at: Timestamp,
    /// Whether it runs at its users', where what is deployed says nothing.
    pub is_client: bool,
}

/// What a release name stands for.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// A build.
    Build(&'a Build),
    /// Its tag means another commit by now.
    Moved,
    /// Nobody knows.
    Unknown,
}

/// What is deployed on an environment from a time on.
#[derive(Debug)]
pub struct Span {
    /// Since when.
    pub from: Timestamp,
    /// What; `None` when nothing was.
    pub build: Option<Build>,
}

/// The build that reported an event.
#[derive(Debug, Clone)]
pub enum Reporter<'a> {
    /// A release.
    Release(&'a str, &'a Build),
    /// What was deployed on an environment then, and all that was in the while before that old processes
    /// may still report: `None` where nothing was.
    Deployed(&'a str, &'a Build, Vec<Option<&'a Build>>),
    /// Nothing was deployed on that environment.
    Nothing(&'a str),
    /// The tag of that release has moved.
    Moved(&'a str),
    /// Nobody knows what that release is.
    UnknownRelease(&'a str),
    /// It runs at its users' and names no release.
    Client,
    /// It is so old that it was not read what was deployed on that environment then.
    NotRead(&'a str),
}

impl<'a> Sighting<'a> {
    /// The build that reported it, from what its release stands for, or else from what was deployed on
    /// its environment, the oldest first; `None` when the project has no such environment. What was
    /// deployed before the first of those is not known.
    #[must_use]
    pub fn reporter(
        &self,
        release: Named<'a>,
        deployed: Option<(&'a str, &'a [Span])>,
    ) -> Reporter<'a> {
        if let Some(version) = self.release {
            return match release {
                Named::Build(build) => Reporter::Release(version, build),
                Named::Moved => Reporter::Moved(version),
                Named::Unknown => Reporter::UnknownRelease(version),
            };
        }
        if self.is_client {
            return Reporter::Client;
        }
        let Some((environment, spans)) = deployed else {
            return Reporter::Nothing(self.environment);
        };
        let place = |time: Timestamp| spans.iter().rposition(|span| span.from <= time);
        let Some(last) = place(self.at) else { return Reporter::NotRead(environment) };
        let first = place(self.at.minus(GRACE));
        let mut there = spans
            .get(first.unwrap_or(last)..=last)
            .unwrap_or_default()
            .iter()
            .rev()
            .map(|span| span.build.as_ref());
        match there.next().flatten() {
            None => Reporter::Nothing(environment),
            Some(_) if first.is_none() => Reporter::NotRead(environment),
            Some(then) => Reporter::Deployed(environment, then, there.collect()),
        }
    }
}

impl<'a> Reporter<'a> {
    /// The builds that must be asked.
    #[must_use]
    pub fn builds(&self) -> Vec<&'a Build> {
        match self {
            Self::Release(_, build) => vec![*build],
            Self::Deployed(_, then, before) => {
                std::iter::once(*then).chain(before.iter().copied().flatten()).collect()
            }
            Self::Nothing(_)
            | Self::Moved(_)
            | Self::UnknownRelease(_)
            | Self::Client
            | Self::NotRead(_) => Vec::new(),
        }
    }

    /// What the answers of its builds say of the fix, or of the baseline.
    #[must_use]
    pub fn fact<'b>(
        &self,
        answer: impl Fn(BuildKey) -> Option<&'b Answer>,
        is_baseline: bool,
    ) -> Fact {
        let said = |build: &Build| said(answer(build.key()), &self.to_string(), is_baseline);
        match self {
            Self::Release(_, build) => said(build),
            Self::Deployed(_, then, before) => {
                let fact = said(then);
                let Fact::Has(reason) = fact else { return fact };
                // A process of before may be the one that reports.
                let mut unknown = None;
                for before in before {
                    match before.map(said) {
                        Some(Fact::Has(_)) => {}
                        None | Some(Fact::Lacks(_)) => {
                            let minutes = GRACE.as_secs() / 60;
                            return Fact::Lacks(format!(
                                "{reason}, but not for {minutes} minutes yet"
                            ));
                        }
                        Some(fact @ Fact::Unknown(_)) => unknown = Some(fact),
                    }
                }
                unknown.unwrap_or(Fact::Has(reason))
            }
            Self::Nothing(_) => Fact::Lacks(self.to_string()),
            Self::Moved(_) | Self::UnknownRelease(_) | Self::Client | Self::NotRead(_) => {
                Fact::Unknown(self.to_string())
            }
        }
    }
}

/// What people call it; or, where there is no build, why not.
impl fmt::Display for Reporter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(version, _) => write!(f, "release {version}"),
            Self::Deployed(environment, ..) => {
                write!(f, "what was deployed on {environment} when it happened")
            }
            Self::Nothing(environment) => {
                write!(f, "nothing was deployed on {environment} when it happened")
            }
            Self::Moved(version) => {
                write!(f, "the tag of release {version} has moved; register the release")
            }
            Self::UnknownRelease(version) => {
                write!(f, "no commit is known of release {version}; register the release")
            }
            Self::Client => f.write_str(
                "the report names no release, and it comes from where nothing is deployed",
            ),
            Self::NotRead(environment) => {
                write!(f, "what was deployed on {environment} then is looked up")
            }
        }
    }
}

/// An answer as a fact.
fn said(answer: Option<&Answer>, name: &str, is_baseline: bool) -> Fact {
    let Some(answer) = answer else {
        return Fact::Unknown(format!("{name} was not looked at yet"));
    };
    let reason = match (is_baseline, answer.containment.is_contained()) {
        (false, _) => answer.about(name).to_string(),
        (true, true) => format!("{name} is newer than what was deployed when it was resolved"),
        (true, false) => format!("{name} is no newer than what was deployed when it was resolved"),
    };
    match answer.containment {
        Containment::Contained { .. } => Fact::Has(reason),
        Containment::Absent | Containment::Reverted { .. } => Fact::Lacks(reason),
        Containment::Conflicted { .. } | Containment::Unknown => Fact::Unknown(reason),
    }
}

/// Whether events of a platform happen at its users', where what is deployed says nothing.
#[must_use]
pub fn is_client(platform: &str) -> bool {
    matches!(
        platform,
        "javascript"
            | "cocoa"
            | "objc"
            | "swift"
            | "dart"
            | "flutter"
            | "android"
            | "native"
            | "react-native"
            | "c"
            | "cpp"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::super::commit::Sha;
    use super::super::containment::Rule;
    use super::super::repository::RepositoryId;
    use super::*;

    fn build(byte: u8) -> Build {
        Build::default().with(RepositoryId(Uuid::nil()), Sha([byte; 20]))
    }

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_micros(minute * 60_000_000)
    }

    fn sighting(release: Option<&'static str>, at: Timestamp) -> Sighting<'static> {
        Sighting {
            question: FixId(Uuid::nil()),
            is_baseline: false,
            release,
            environment: "Beta",
            at,
            is_client: false,
        }
    }

    /// Build 1 lacks the fix, build 2 has it, of build 3 nobody knows, 4 was not asked.
    fn answers() -> BTreeMap<BuildKey, Answer> {
        let answer = |containment| Answer { commit: None, containment, unknown: None };
        let contained = Containment::Contained { commit: Sha([9; 20]), rule: Rule::Same };
        BTreeMap::from([
            (build(1).key(), answer(Containment::Absent)),
            (build(2).key(), answer(contained)),
            (build(3).key(), answer(Containment::Unknown)),
        ])
    }

    /// What is said of an event at a minute, without a release, where builds were deployed at minutes.
    fn deployed(at: i64, spans: &[(i64, Option<u8>)]) -> Fact {
        let span =
            |(from, byte): &(i64, Option<u8>)| Span { from: minute(*from), build: byte.map(build) };
        let spans: Vec<Span> = spans.iter().map(span).collect();
        let reporter = sighting(None, minute(at)).reporter(Named::Unknown, Some(("beta", &spans)));
        let answers = answers();
        reporter.fact(|key| answers.get(&key), false)
    }

    #[test]
    fn a_release_is_asked_before_what_is_deployed() {
        let (has, answers) = (build(2), answers());
        let spans = [Span { from: minute(0), build: Some(build(1)) }];
        let fact = |named| {
            let reporter =
                sighting(Some("1.0"), minute(50)).reporter(named, Some(("beta", &spans)));
            reporter.fact(|key| answers.get(&key), false)
        };
        assert!(matches!(fact(Named::Build(&has)), Fact::Has(_)));
        assert!(matches!(fact(Named::Moved), Fact::Unknown(why) if why.contains("has moved")));
        assert!(matches!(fact(Named::Unknown), Fact::Unknown(why) if why.contains("1.0")));
    }

    #[test]
    fn without_a_release_what_was_deployed_then_and_a_while_before_must_have_it() {
        let has = |fact| matches!(fact, Fact::Has(_));
        let lacks = |fact| matches!(fact, Fact::Lacks(_));
        let unknown = |fact| matches!(fact, Fact::Unknown(_));
        assert!(has(deployed(60, &[(0, Some(1)), (50, Some(2))])));
        assert!(lacks(deployed(59, &[(0, Some(1)), (50, Some(2))])));
        assert!(lacks(deployed(55, &[(0, None), (50, Some(2))])));
        assert!(has(deployed(55, &[(0, Some(2)), (50, Some(2))])));
        assert!(unknown(deployed(55, &[(0, Some(3)), (50, Some(2))])));
        // Rolled back meanwhile, for a while.
        assert!(lacks(deployed(55, &[(0, Some(2)), (47, Some(1)), (50, Some(2))])));
        assert!(has(deployed(55, &[(0, Some(1)), (40, Some(2)), (50, Some(2))])));
        // Whoever lacks it reports it, whatever was before.
        assert!(lacks(deployed(55, &[(0, Some(3)), (50, Some(1))])));
        assert!(lacks(deployed(55, &[(0, None)])));
        assert!(unknown(deployed(55, &[(0, Some(4))])));
        // What was before the first that was read is not known.
        assert!(unknown(deployed(55, &[(50, Some(2))])));
        assert!(unknown(deployed(55, &[(56, Some(2))])));
    }

    #[test]
    fn where_nothing_is_deployed_nothing_has_it_but_users_machines_tell_nothing() {
        let reporter = sighting(None, minute(0)).reporter(Named::Unknown, None);
        assert_eq!(
            reporter.fact(|_| None, false),
            Fact::Lacks("nothing was deployed on Beta when it happened".to_owned())
        );
        let at_users = Sighting { is_client: is_client("javascript"), ..sighting(None, minute(0)) };
        let reporter = at_users.reporter(Named::Unknown, None);
        assert!(matches!(reporter.fact(|_| None, false), Fact::Unknown(_)));
        assert!(!is_client("python"));
    }
}

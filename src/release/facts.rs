//! What is known of the builds that report events, as far as rows say: git is never asked here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::build::{Build, BuildKey};
use crate::domain::containment::Containment;
use crate::domain::fix::{Answer, FixId};
use crate::domain::lifecycle::Fact;
use crate::domain::project::Project;
use crate::domain::repository::RepositoryId;
use crate::domain::time::Timestamp;
use crate::store::release::Release;
use crate::store::{StoreError, Tx};

/// So long after a deploy old processes may still report.
pub const GRACE: Duration = Duration::from_mins(10);

/// Digest looks at this many deploys of one environment for a batch; what is older is settled.
pub const DEPLOYS_OF_BATCH: i64 = 20;

/// Whoever settles looks at this many.
pub const DEPLOYS_OF_SETTLING: i64 = 2_000;

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

/// What is deployed on an environment from a time on.
#[derive(Debug)]
struct Span {
    from: Timestamp,
    build: Build,
    is_deployed: bool,
}

/// What is known of the builds of some events.
#[derive(Debug, Default)]
pub struct Facts {
    releases: BTreeMap<String, Release>,
    /// By the environment's name in lower case: what was deployed when, the oldest first. What was before
    /// the first is not known here.
    deployed: BTreeMap<String, Vec<Span>>,
    answers: BTreeMap<(FixId, BuildKey), Answer>,
}

/// The build that reported an event.
enum Reporter<'a> {
    /// It, and what people call it.
    Build(&'a Build, String),
    /// What was deployed then, and a while before if anything was. Those may be the same.
    Deployed(&'a Build, Option<&'a Build>, String),
    /// Nothing was deployed there.
    Nothing(String),
    /// Nobody knows.
    Unknown(String),
}

impl Facts {
    /// Reads what is known, with at most so many deploys of an environment.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn load(
        tx: &mut Tx,
        project: &Project,
        sightings: &[Sighting<'_>],
        most_deploys: i64,
    ) -> Result<Self, StoreError> {
        if sightings.is_empty() {
            return Ok(Self::default());
        }
        let versions: BTreeSet<&str> = sightings.iter().filter_map(|one| one.release).collect();
        let releases = tx.list_releases_named(project.id, &versions).await?;
        let mut facts = Self { releases, ..Self::default() };
        let mut times: BTreeMap<&str, (Timestamp, Timestamp)> = BTreeMap::new();
        for one in sightings.iter().filter(|one| one.release.is_none() && !one.is_client) {
            let Some(environment) = project.environment(one.environment) else { continue };
            let (first, last) = times.entry(&environment.name).or_insert((one.at, one.at));
            (*first, *last) = ((*first).min(one.at), (*last).max(one.at));
        }
        if !times.is_empty() {
            let repositories: Vec<RepositoryId> =
                tx.list_repositories(project.id).await?.into_iter().map(|one| one.id).collect();
            for (environment, (first, last)) in times {
                let first = first.minus(GRACE);
                let mut starts = tx
                    .list_deploy_ends(project.id, environment, (first, last), most_deploys)
                    .await?;
                if i64::try_from(starts.len()).unwrap_or(i64::MAX) < most_deploys {
                    starts.push(first);
                }
                starts.reverse();
                let mut spans = Vec::new();
                for from in starts {
                    let deployed =
                        tx.deployed_at(project.id, environment, &repositories, from).await?;
                    let is_deployed = deployed.last.is_some();
                    spans.push(Span { from, build: deployed.build, is_deployed });
                }
                facts.deployed.insert(environment.to_lowercase(), spans);
            }
        }
        let mut wanted = BTreeSet::new();
        for one in sightings {
            match facts.reporter(project, one) {
                Reporter::Build(build, _) => {
                    wanted.insert((one.question, build.key()));
                }
                Reporter::Deployed(then, before, _) => {
                    wanted.insert((one.question, then.key()));
                    wanted.extend(before.map(|build| (one.question, build.key())));
                }
                Reporter::Nothing(_) | Reporter::Unknown(_) => {}
            }
        }
        facts.answers = tx.list_answers(project.id, &wanted).await?;
        Ok(facts)
    }

    /// What is known of the build of an event.
    #[must_use]
    pub fn of(&self, project: &Project, sighting: &Sighting<'_>) -> Fact {
        let fact = |build: &Build, name: &str| {
            let answer = self.answers.get(&(sighting.question, build.key()));
            said(answer, name, sighting.is_baseline)
        };
        match self.reporter(project, sighting) {
            Reporter::Build(build, name) => fact(build, &name),
            Reporter::Deployed(then, before, name) => match fact(then, &name) {
                Fact::Has(reason) => match before.map(|before| fact(before, &name)) {
                    Some(Fact::Has(_)) => Fact::Has(reason),
                    None | Some(Fact::Lacks(_)) => {
                        let minutes = GRACE.as_secs() / 60;
                        Fact::Lacks(format!("{reason}, but not for {minutes} minutes yet"))
                    }
                    Some(Fact::Unknown(reason)) => Fact::Unknown(reason),
                },
                other @ (Fact::Lacks(_) | Fact::Unknown(_)) => other,
            },
            Reporter::Nothing(reason) => Fact::Lacks(reason),
            Reporter::Unknown(reason) => Fact::Unknown(reason),
        }
    }

    /// The builds whose answers are missing, for whoever may ask git.
    #[must_use]
    pub fn missing<'a>(&'a self, project: &Project, sighting: &Sighting<'_>) -> Vec<&'a Build> {
        let builds = match self.reporter(project, sighting) {
            Reporter::Build(build, _) => vec![build],
            Reporter::Deployed(then, before, _) => std::iter::once(then).chain(before).collect(),
            Reporter::Nothing(_) | Reporter::Unknown(_) => Vec::new(),
        };
        let is_missing =
            |build: &&Build| !self.answers.contains_key(&(sighting.question, build.key()));
        builds.into_iter().filter(is_missing).collect()
    }

    /// Adds what was found out meanwhile.
    pub fn learn(&mut self, question: FixId, build: BuildKey, answer: Answer) {
        self.answers.insert((question, build), answer);
    }

    fn reporter(&self, project: &Project, sighting: &Sighting<'_>) -> Reporter<'_> {
        if let Some(version) = sighting.release {
            return match self.releases.get(version) {
                Some(Release { is_ambiguous: true, .. }) => Reporter::Unknown(format!(
                    "the tag of release {version} has moved; register the release"
                )),
                Some(Release { bound: Some(bound), .. }) => {
                    Reporter::Build(&bound.build, format!("release {version}"))
                }
                Some(_) | None => Reporter::Unknown(format!(
                    "no commit is known of release {version}; register the release"
                )),
            };
        }
        if sighting.is_client {
            let reason = "the report names no release, and it comes from where nothing is deployed";
            return Reporter::Unknown(reason.to_owned());
        }
        let nothing = || {
            let environment = sighting.environment;
            Reporter::Nothing(format!("nothing was deployed on {environment} when it happened"))
        };
        let Some(environment) = project.environment(sighting.environment) else {
            return nothing();
        };
        let spans = self.deployed.get(&environment.name.to_lowercase());
        let at = |time: Timestamp| spans?.iter().rev().find(|span| span.from <= time);
        match (at(sighting.at), at(sighting.at.minus(GRACE))) {
            (Some(then), _) if !then.is_deployed => nothing(),
            (Some(then), Some(before)) => {
                let name = format!("what was deployed on {} when it happened", environment.name);
                let before = before.is_deployed.then_some(&before.build);
                Reporter::Deployed(&then.build, before, name)
            }
            (Some(_) | None, _) => {
                let environment = &environment.name;
                Reporter::Unknown(format!("what was deployed on {environment} then is looked up"))
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

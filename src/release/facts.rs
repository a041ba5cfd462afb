//! What is known of the builds that report events, as far as rows say: git is never asked here.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::build::{Build, BuildKey};
use crate::domain::fix::{Answer, FixId};
use crate::domain::lifecycle::Fact;
use crate::domain::project::Project;
use crate::domain::repository::RepositoryId;
use crate::domain::sighting::{GRACE, Named, Reporter, Sighting, Span};
use crate::domain::time::Timestamp;
use crate::store::release::Release;
use crate::store::{StoreError, Tx};

/// Digest looks at this many deploys of one environment for a batch; what is older is settled.
pub const DEPLOYS_OF_BATCH: i64 = 20;

/// Whoever settles looks at this many.
pub const DEPLOYS_OF_SETTLING: i64 = 2_000;

/// What is known of the builds of some events.
#[derive(Debug, Default)]
pub struct Facts {
    releases: BTreeMap<String, Release>,
    /// By the environment's name: what was deployed when, the oldest first. What was before the first is
    /// not known here.
    deployed: BTreeMap<String, Vec<Span>>,
    answers: BTreeMap<(FixId, BuildKey), Answer>,
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
                    spans.push(Span { from, build: deployed.last.map(|_| deployed.build) });
                }
                facts.deployed.insert(environment.to_owned(), spans);
            }
        }
        let builds = |one| facts.reporter(project, one).builds();
        let wanted = sightings
            .iter()
            .flat_map(|one| builds(one).into_iter().map(|build| (one.question, build.key())))
            .collect();
        facts.answers = tx.list_answers(project.id, &wanted).await?;
        Ok(facts)
    }

    /// What is known of the build of an event.
    #[must_use]
    pub fn of(&self, project: &Project, sighting: &Sighting<'_>) -> Fact {
        let answer = |key| self.answers.get(&(sighting.question, key));
        self.reporter(project, sighting).fact(answer, sighting.is_baseline)
    }

    /// The builds whose answers are missing, for whoever may ask git.
    pub fn missing<'a>(
        &'a self,
        project: &'a Project,
        sighting: &Sighting<'a>,
    ) -> impl Iterator<Item = &'a Build> {
        let question = sighting.question;
        let builds = self.reporter(project, sighting).builds();
        builds.into_iter().filter(move |build| !self.answers.contains_key(&(question, build.key())))
    }

    /// Adds what was found out meanwhile.
    pub fn learn(&mut self, question: FixId, build: BuildKey, answer: Answer) {
        self.answers.insert((question, build), answer);
    }

    fn reporter<'a>(&'a self, project: &'a Project, sighting: &Sighting<'a>) -> Reporter<'a> {
        let named = match sighting.release.and_then(|version| self.releases.get(version)) {
            Some(Release { is_ambiguous: true, .. }) => Named::Moved,
            Some(Release { bound: Some(bound), .. }) => Named::Build(&bound.build),
            Some(_) | None => Named::Unknown,
        };
        let environment = project.environment(sighting.environment);
        let deployed = environment.map(|environment| {
            let spans = self.deployed.get(&environment.name);
            (environment.name.as_str(), spans.map_or(&[][..], Vec::as_slice))
        });
        sighting.reporter(named, deployed)
    }
}

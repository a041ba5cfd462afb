//! Trackers that say when something changes: their webhooks are made, kept and ended, and what they say is
//! heard.
//!
//! *Invariant*: a webhook only hints that the tracker is to be asked, and nothing depends on it: whatever
//! it says, or fails to say, is found by asking.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::asana::Asana;
use super::asana::webhooks::{Delivers, Made, is_hint};
use super::connections::Trackers;
use super::line::Pass;
use super::{Connect as _, Connection, TrackerError};
use crate::domain::id::{ProjectId, ProjectItemId};
use crate::domain::project::Project;
use crate::domain::tracker::{AsanaSettings, Check};
use crate::store::StoreError;
use crate::store::hook::{Hook, HookState};
use crate::store::tracker::StoredTracker;

/// How long a tracker may shake hands after it was asked to make a webhook.
const EXPECTED: Duration = Duration::from_mins(5);

/// Who changes the settings of a tracker waits so long for the end of its webhooks.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// What the check of webhooks is called.
const CHECK: &str = "webhooks";

impl Trackers {
    /// The address of a webhook, where one can be reached.
    fn hook_url(&self, id: &str) -> Option<String> {
        Some(format!("{}/hooks/tracker/{id}", self.reached_at.as_deref()?.trim_end_matches('/')))
    }

    /// Sees to it that a project's tracker says when something changes, where it is to, and only there.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn keep_hooks(&self, project: &Project) -> Result<(), StoreError> {
        let asana = match self.connect(project).await? {
            Connection::Asana(asana) => asana,
            Connection::BuiltIn(_) | Connection::Redmine(_) | Connection::GitHub(_) => {
                return Ok(());
            }
        };
        let is_wanted = asana.settings.webhooks && self.reached_at.is_some();
        let mut wanted = if is_wanted { asana.hook_places() } else { BTreeSet::new() };
        for hook in self.store.read().await?.list_hooks(project.id).await? {
            let is_wanted = wanted.contains(&hook.place);
            match self.is_kept(&asana, &hook, is_wanted).await {
                Ok(true) => {
                    wanted.remove(&hook.place);
                }
                Ok(false) if is_wanted => {}
                Ok(false) => {
                    let mut tx = self.store.write().await?;
                    tx.delete_hook(hook.id).await?;
                    tx.commit().await?;
                }
                // It is looked at another time.
                Err(cause) => {
                    wanted.remove(&hook.place);
                    tracing::info!(project = project.slug, %cause, "a webhook is not looked at");
                }
            }
        }
        for place in wanted {
            self.make_hook(project, &asana, &place).await?;
        }
        Ok(())
    }

    /// Whether a webhook is there and wanted. One that is not wanted is ended.
    async fn is_kept(
        &self,
        asana: &Asana,
        hook: &Hook,
        is_wanted: bool,
    ) -> Result<bool, TrackerError> {
        let Some(remote) = hook.remote() else { return Ok(false) };
        let url = self.hook_url(&hook.id.to_string()).filter(|_| is_wanted);
        let Some(url) = url else { return asana.end_hook(remote).await.map(|()| false) };
        Ok(match asana.look_at_hook(Pass::Work, remote, &url).await? {
            Delivers::Well | Delivers::Badly(_) => true,
            Delivers::Not => false,
        })
    }

    async fn make_hook(
        &self,
        project: &Project,
        asana: &Asana,
        place: &str,
    ) -> Result<(), StoreError> {
        // Nobody guesses it.
        let random = uuid::Builder::from_random_bytes(self.clock.random());
        let id = ProjectItemId { project: project.id, id: random.into_uuid() };
        let Some(url) = self.hook_url(&id.to_string()) else { return Ok(()) };
        let mut tx = self.store.write().await?;
        tx.expect_hook(id, place, self.clock.now().plus(EXPECTED)).await?;
        tx.commit().await?;
        let made = async {
            // Those whose secret was lost on its way, or that go to an address of before.
            if let Some(prefix) = self.hook_url(&format!("{}-", project.id.0)) {
                asana.end_hooks_to(place, &prefix).await?;
            }
            asana.make_hook(place, &url).await
        };
        let (made, slug) = (made.await, &project.slug);
        let mut tx = self.store.write().await?;
        let is_wanted = match &made {
            Ok(Made { id: remote, secret }) => {
                let secret = self.secrets.seal(&owner(id), secret);
                tx.set_hook(id, Ok((remote, &secret))).await?
            }
            Err(cause) => {
                tracing::warn!(project = slug, %cause, "a webhook was not made");
                tx.set_hook(id, Err(&cause.to_string())).await?
            }
        };
        tx.commit().await?;
        if let (false, Ok(made)) = (is_wanted, made) {
            // The settings changed meanwhile.
            if let Err(cause) = asana.end_hook(&made.id).await {
                tracing::warn!(project = slug, %cause, "a webhook was not ended");
            }
        }
        Ok(())
    }

    /// A project's tracker says nothing any more: the project is about to be deleted.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn leave(&self, project: ProjectId) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        let before = tx.find_tracker(project).await?;
        let hooks = tx.take_hooks(project).await?;
        tx.commit().await?;
        self.end_hooks(project, before, &hooks).await;
        Ok(())
    }

    /// Ends webhooks that are forgotten. One that is not ended fails from now on, until the tracker
    /// itself gives it up.
    pub(super) async fn end_hooks(
        &self,
        project: ProjectId,
        before: Option<StoredTracker>,
        hooks: &[Hook],
    ) {
        let Some(asana) = before.and_then(|before| self.asana_of(project, &before)) else { return };
        let ended = timeout(MOST_WAIT, async {
            for remote in hooks.iter().filter_map(Hook::remote) {
                if let Err(cause) = asana.end_hook(remote).await {
                    tracing::warn!(project = project.0, %cause, "a webhook was not ended");
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!(project = project.0, "webhooks were not ended in time");
        }
    }

    /// Whether somebody may shake hands at the address of a webhook now.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn expects_hook(&self, id: ProjectItemId) -> Result<bool, StoreError> {
        let hook = self.store.read().await?.find_hook(id).await?;
        Ok(hook.is_some_and(|hook| match hook.state {
            HookState::Expected(until) => self.clock.now() < until,
            HookState::Made { .. } | HookState::Failed(_) => false,
        }))
    }

    /// What a webhook is signed with, if it is there.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hook_secret(&self, id: ProjectItemId) -> Result<Option<String>, StoreError> {
        let hook = self.store.read().await?.find_hook(id).await?;
        Ok(hook.and_then(|hook| match hook.state {
            HookState::Made { secret, .. } => self.secrets.open(&owner(id), &secret).ok(),
            HookState::Expected(_) | HookState::Failed(_) => None,
        }))
    }

    /// Hears what a webhook says, which is signed: the tracker is asked soon.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn hear(&self, project: ProjectId, body: &[u8]) -> Result<(), StoreError> {
        if is_hint(body, self.user_of(project).as_deref()) {
            let mut tx = self.store.write().await?;
            tx.hint_tracker(project, self.clock.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// How the webhooks of a project are; none where none are wanted.
    pub(super) async fn check_hooks(
        &self,
        project: &Project,
        asana: &Asana,
    ) -> Result<Option<Check>, StoreError> {
        let AsanaSettings { webhooks, poll_seconds, .. } = asana.settings;
        if !webhooks {
            return Ok(None);
        }
        let check = |ok: bool, detail: String, hint: Option<String>| {
            Ok(Some(Check { name: CHECK.to_owned(), ok, detail, hint }))
        };
        let meanwhile = format!("Asana is asked every {poll_seconds} s");
        let Some(url) = self.hook_url("") else {
            let detail = format!("none: the server was not started with --public-url; {meanwhile}");
            return check(true, detail, None);
        };
        let hint = || {
            Some(format!(
                "let Asana reach {url} over https, or set webhooks to false; {meanwhile} anyway"
            ))
        };
        let hooks = self.store.read().await?.list_hooks(project.id).await?;
        let mut n_made = 0;
        for place in asana.hook_places() {
            let Some(hook) = hooks.iter().find(|hook| hook.place == place) else { continue };
            let url = format!("{url}{}", hook.id);
            let remote = match &hook.state {
                HookState::Expected(_) => continue,
                HookState::Failed(cause) => return check(false, cause.clone(), hint()),
                HookState::Made { remote, .. } => remote,
            };
            match asana.look_at_hook(Pass::Check, remote, &url).await {
                Ok(Delivers::Well) => n_made += 1,
                Ok(Delivers::Badly(cause)) => {
                    let detail = format!("what Asana sends does not arrive: {cause}");
                    return check(false, detail, hint());
                }
                Ok(Delivers::Not) => {
                    let detail = "Asana has given one up; it is made anew".to_owned();
                    return check(false, detail, hint());
                }
                Err(cause) => return check(false, cause.to_string(), hint()),
            }
        }
        let n_places = asana.hook_places().len();
        if n_made < n_places {
            let detail = format!("{n_made} of {n_places} are there, the others are being made");
            return check(true, detail, None);
        }
        check(true, format!("Asana says when something changes in {n_places} projects"), None)
    }
}

/// Whom the secret of a webhook is sealed for.
fn owner(id: ProjectItemId) -> String {
    format!("webhook {id}")
}

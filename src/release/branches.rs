//! What branches say of a fix, whatever is deployed.

use super::answers::{Question, answers};
use super::histories::Histories;
use super::repositories::{Repositories, RepositoryError};
use crate::domain::build::Build;
use crate::domain::containment::Containment;
use crate::domain::fix::{FixCommit, FixState};
use crate::domain::project::Project;
use crate::domain::repository::RepositoryId;
use crate::store::fix::{Current, Kind};

/// What branches say against a standing fix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The first branch that counts, and the commit on it, if that takes the fix back.
    pub reverted_on: Option<(String, String)>,
    /// Whether the fix was on branches and is on none that counts any more.
    pub has_vanished: bool,
}

/// What branches say against a fix, if it stands.
///
/// # Errors
/// [`RepositoryError`].
pub async fn doubt(
    repositories: &Repositories,
    project: &Project,
    current: &Current,
    is_deployed: bool,
) -> Result<Doubt, RepositoryError> {
    let mut doubt = Doubt::default();
    if current.state != FixState::Standing {
        return Ok(doubt);
    }
    let histories = Histories::load(repositories, project.id).await?;
    let question = [Question::of(&current.fix, Kind::Fix)];
    for commit in &current.fix.commits {
        let Some(id) = commit.repository else { continue };
        let Some((branch, build)) = first_branch(&histories, id) else { continue };
        let said = answers(repositories, &histories, project.id, &build, &question).await?;
        match said.get(&current.fix.id).map(|answer| &answer.containment) {
            Some(Containment::Reverted { by, .. }) => {
                doubt.reverted_on = Some((branch, by.short()));
                return Ok(doubt);
            }
            Some(Containment::Absent) => {
                doubt.has_vanished |= has_vanished(&histories, id, commit, is_deployed);
            }
            _ => {}
        }
    }
    Ok(doubt)
}

/// The first branch of a repository that counts, and what it would be to deploy it.
fn first_branch(histories: &Histories, id: RepositoryId) -> Option<(String, Build)> {
    let repository = histories.repositories.iter().find(|one| one.id == id)?;
    let branches = &histories.snapshot(id)?.branches;
    let branch = repository.branches.first(branches.keys().map(String::as_str))?;
    Some((branch.to_owned(), Build::default().with(id, *branches.get(branch)?)))
}

/// Whether a commit that the first branch does not have was on branches once. What was deployed was on
/// one that counts; what is on none at all was on one that is gone. Of a repository without a mirror
/// nobody knows all branches.
fn has_vanished(
    histories: &Histories,
    id: RepositoryId,
    commit: &FixCommit,
    is_deployed: bool,
) -> bool {
    let Some(place) = histories.place(id, &commit.sha) else { return false };
    let is_tracked = histories.branch_of(id, place).is_some();
    histories.is_mirrored(id) && !is_tracked && (is_deployed || !histories.is_on_branch(id, place))
}

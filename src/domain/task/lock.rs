//! The task of a lock that a person or a script made.

use super::{Block, MOST_TITLE_CHARS, Wanted, cut};
use crate::domain::lock::{Lock, Subject};
use crate::domain::time::Timestamp;

/// The task of a lock, as it is at a time; `None` for that of an issue, which has the issue's.
#[must_use]
pub fn of_lock(lock: &Lock, project: &str, now: Timestamp) -> Option<Wanted> {
    let Subject::Manual { reason, assignee, key, expires_at } = &lock.subject else { return None };
    let mut facts = vec![
        ("Project".to_owned(), project.to_owned()),
        ("Environment".to_owned(), lock.environment.clone()),
        ("Locked by".to_owned(), lock.owner.clone()),
        ("Since".to_owned(), lock.created_at.to_string()),
    ];
    let mut fact = |name: &str, text: Option<String>| {
        facts.extend(text.map(|text| (name.to_owned(), text)));
    };
    fact("Key", key.clone());
    fact("Expires", expires_at.map(|at| at.to_string()));
    fact("Released", lock.released.as_ref().map(|it| format!("{} by {}", it.at, it.by)));
    fact("Because", lock.released.as_ref().map(|it| it.reason.clone()));
    let is_active = lock.is_active(now);
    let mut body = vec![Block::Text(reason.clone()), Block::Facts(facts)];
    if is_active {
        let text = format!("Nothing is deployed to {} until this is done.", lock.environment);
        body.push(Block::Text(text));
    }
    Some(Wanted {
        title: cut(&format!("{} is locked: {reason}", lock.environment), MOST_TITLE_CHARS),
        body,
        is_done: !is_active,
        assignee: assignee.clone(),
        fix: None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::id::{IssueId, ProjectId, ProjectItemId};
    use crate::domain::lock::Released;

    fn at(hour: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_hours(hour))
    }

    fn lock(subject: Subject) -> Lock {
        Lock {
            id: ProjectItemId { project: ProjectId(1), id: Uuid::nil() },
            environment: "production".to_owned(),
            subject,
            owner: "robin".to_owned(),
            created_at: at(1),
            released: None,
        }
    }

    fn manual(expires_at: Option<Timestamp>) -> Lock {
        lock(Subject::Manual {
            reason: "the import runs\nuntil noon".to_owned(),
            assignee: Some("zoe".to_owned()),
            key: None,
            expires_at,
        })
    }

    #[test]
    fn a_lock_is_open_while_it_blocks() {
        let task = of_lock(&manual(None), "shop", at(2)).expect("a task");
        assert_eq!(task.title, "production is locked: the import runs until noon");
        assert_eq!((task.is_done, task.assignee.as_deref()), (false, Some("zoe")));
        let expiring = manual(Some(at(3)));
        assert!(!of_lock(&expiring, "shop", at(2)).expect("a task").is_done);
        assert!(of_lock(&expiring, "shop", at(3)).expect("a task").is_done);
    }

    #[test]
    fn who_released_it_is_said() {
        let (by, reason) = ("zoe".to_owned(), "all imported".to_owned());
        let released = Some(Released { at: at(2), by, reason, fix: None });
        let task = of_lock(&Lock { released, ..manual(None) }, "shop", at(2)).expect("a task");
        let facts = format!("{:?}", task.body);
        assert!(task.is_done);
        assert!(facts.contains("by zoe") && facts.contains("all imported"), "{facts}");
    }

    #[test]
    fn the_lock_of_an_issue_has_the_task_of_the_issue() {
        assert_eq!(of_lock(&lock(Subject::Issue(IssueId(Uuid::nil()))), "shop", at(1)), None);
    }
}

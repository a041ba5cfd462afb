//! Who there is in Asana, so that a task can be given to somebody by name or mail address.

use std::time::Duration;

use super::super::line::{Failure, Pass};
use super::Asana;
use super::records::Record;

/// How long what is known of people is good.
const KNOWN_FOR: Duration = Duration::from_mins(10);

/// A user.
#[derive(Debug, Clone)]
pub(super) struct Person {
    gid: String,
    name: String,
    email: String,
}

impl Asana {
    /// The one who is called so, if exactly one is.
    pub(super) async fn person(&self, name: &str) -> Result<Option<String>, Failure> {
        let now = self.shared.line.now();
        let is_fresh = |known: &(_, Vec<Person>)| now.since(known.0) < KNOWN_FOR;
        let is_known = self.shared.memory().people.as_ref().is_some_and(is_fresh);
        if !is_known {
            let people = self.people().await?;
            self.shared.memory().people = Some((now, people));
        }
        let memory = self.shared.memory();
        let people = memory.people.as_ref().map(|(_, people)| people.as_slice());
        let is_so = |own: &str| !own.is_empty() && own.to_lowercase() == name.to_lowercase();
        let called =
            |person: &&Person| person.gid == name || is_so(&person.email) || is_so(&person.name);
        let mut called = people.unwrap_or_default().iter().filter(called);
        Ok(called.next().filter(|_| called.next().is_none()).map(|person| person.gid.clone()))
    }

    /// All people of the workspace; nobody when Asana does not say.
    async fn people(&self) -> Result<Vec<Person>, Failure> {
        let project = ["projects", &self.settings.issue_project];
        let fields = [("opt_fields", "workspace.gid")];
        let found = match self.get(Pass::Work, &project, &fields).await {
            Err(Failure::Answer { .. }) => return Ok(Vec::new()),
            found => found?,
        };
        let workspace = found.workspace.and_then(|workspace| workspace.gid).unwrap_or_default();
        let query = [("workspace", workspace.as_str()), ("opt_fields", "name,email")];
        let users = match self.list(Pass::Work, &["users"], &query).await {
            Err(Failure::Answer { .. }) => return Ok(Vec::new()),
            users => users?,
        };
        let person = |user: Record| {
            let (name, email) = (user.name.unwrap_or_default(), user.email.unwrap_or_default());
            Some(Person { gid: user.gid?, name, email })
        };
        Ok(users.into_iter().filter_map(person).collect())
    }
}

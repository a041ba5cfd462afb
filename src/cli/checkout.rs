//! The commits of the checkout a command is run in, for servers that cannot fetch its repository.
//!
//! *Invariant*: whatever becomes of it, the command goes on. What the server does not have then, it
//! says itself.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::{self, List};
use super::candidate::Candidate;
use super::client::Api;
use super::failure::Failure;
use super::output::Output;
use super::text::{counted, one_line};
use crate::domain::commit::Sha;
use crate::domain::submission::{
    MOST_AUTHOR_BYTES, MOST_COMMITS, MOST_MESSAGE_BYTES, MOST_PARENTS,
};
use crate::domain::time::Timestamp;

/// A request with commits is not longer, in bytes.
const MOST_BODY_BYTES: usize = 768 * 1024;

/// A project has no more repositories.
const MOST_REPOSITORIES: usize = 100;

/// A deploy waits no longer for it.
const SUBMIT_TIME: Duration = Duration::from_mins(2);

/// 9999-12-31T23:59:59Z, in seconds.
const LAST_SECOND: i64 = 253_402_300_799;

#[derive(Debug, Clone, Args)]
pub(super) struct CheckoutArgs {
    /// The branch the commit is on, told with commits that are submitted [default: the one that is
    /// checked out]
    #[arg(long, value_name = "NAME", env = "AIRLOCK_BRANCH")]
    branch: Option<String>,
}

/// A commit that is in the checkout here, with all it descends from.
#[derive(Debug)]
pub(super) struct Checkout {
    tip: Sha,
    branch: Option<String>,
    repository: Option<String>,
}

/// A repository of a project, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Repository {
    name: String,
    url: Option<String>,
}

/// What the server does not have.
#[derive(Debug, Deserialize)]
struct Wanted {
    wanted: BTreeSet<Sha>,
}

impl Checkout {
    /// The checkout here, if it has the commit.
    pub(super) async fn find(candidate: &Candidate, args: &CheckoutArgs) -> Option<Self> {
        let (commit, repository) = (candidate.commit.clone(), candidate.repository.clone());
        let named = args.branch.clone().filter(|branch| !branch.is_empty());
        let found = spawn_blocking(move || {
            let tip: Sha =
                said(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{commit}}")])?
                    .parse()
                    .ok()?;
            // Another commit than the one that is checked out may be of any branch.
            let is_head = said(&["rev-parse", "HEAD"]).is_some_and(|head| head == tip.to_string());
            let current = || said(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
            let branch = named.or_else(|| current().filter(|_| is_head));
            Some(Self { tip, branch, repository })
        });
        found.await.ok().flatten()
    }

    /// Submits the commits that the server has not, if the project has a repository without a url for
    /// them; false when the server could not be reached.
    pub(super) async fn offer(&self, api: &Api, project: &str) -> bool {
        let late = || Failure::Unfinished("it takes too long".to_owned());
        let submitted = timeout(SUBMIT_TIME, self.submit(api, project)).await;
        match submitted.unwrap_or_else(|_| Err(late())) {
            Ok(0) => {}
            Ok(n_commits) => {
                let commits = counted(n_commits as u64, "commit");
                Output::note(&format!("airlock: {commits} of this checkout submitted"));
            }
            Err(Failure::Unreachable(_)) => return false,
            Err(failure) => {
                Output::note(&format!("airlock: the commits here were not submitted: {failure}"));
            }
        }
        true
    }

    /// Submits; gives how many commits the server did not have.
    async fn submit(&self, api: &Api, project: &str) -> Result<usize, Failure> {
        let Some(repository) = self.repository_of(api, project).await? else { return Ok(0) };
        let tip = self.tip;
        let all = spawn_blocking(move || list(&tip)).await.ok().flatten().unwrap_or_default();
        let path = ["projects", project, "repositories", &repository, "commits"];
        let asked = api.post(&[&path[..], &["wanted"]].concat(), json!(all)).await;
        let wanted: Wanted = match asked {
            Ok(found) => answer::read(&found)?,
            // Named, and it is fetched, or not there: the server says so of the deploy.
            Err(Failure::Refused(_)) => return Ok(0),
            Err(failure) => return Err(failure),
        };
        let wanted: Vec<Sha> =
            all.into_iter().rev().filter(|sha| wanted.wanted.contains(sha)).collect();
        let n_wanted = wanted.len();
        let parts = spawn_blocking(move || parts(&wanted)).await.ok().flatten();
        let parts = parts.ok_or_else(|| Failure::Unfinished("git cannot read them".to_owned()))?;
        for part in parts {
            api.post(&path, Value::Array(part)).await?;
        }
        if let Some(branch) = &self.branch {
            let query = [("branch", branch.as_str()), ("tip", &tip.to_string())];
            api.post_with(&path, &query, json!([])).await?;
        }
        Ok(n_wanted)
    }

    /// The repository that these commits are submitted to.
    async fn repository_of(&self, api: &Api, project: &str) -> Result<Option<String>, Failure> {
        if self.repository.is_some() {
            return Ok(self.repository.clone());
        }
        let path = ["projects", project, "repositories"];
        let found = match api.list(&path, &[], MOST_REPOSITORIES).await {
            // Who may not read may still deploy.
            Err(Failure::Refused(_) | Failure::Rights { .. }) => return Ok(None),
            found => answer::read::<List<Repository>>(&found?)?,
        };
        match found.items.as_slice() {
            [only] => Ok(only.url.is_none().then(|| only.name.clone())),
            several if several.iter().any(|one| one.url.is_none()) => {
                let names: Vec<String> = several.iter().map(|one| one_line(&one.name)).collect();
                let which = format!("name the repository with --repository: {}", names.join(", "));
                Err(Failure::Usage(which))
            }
            _ => Ok(None),
        }
    }
}

fn git(arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(arguments).env("GIT_NO_LAZY_FETCH", "1").env("GIT_NO_REPLACE_OBJECTS", "1");
    git.stdin(Stdio::null()).stderr(Stdio::null());
    git
}

/// What git says in one line, if it is well.
fn said(arguments: &[&str]) -> Option<String> {
    let output = git(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// A commit and what it descends from, as far as the checkout and one question to the server go; the
/// newest first.
fn list(tip: &Sha) -> Option<Vec<Sha>> {
    let most = format!("--max-count={MOST_COMMITS}");
    let output = git(&["rev-list", "--topo-order", &most, &tip.to_string()]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().map(|line| line.parse().ok()).collect()
}

/// Commits as they are submitted, in requests that the server takes.
fn parts(shas: &[Sha]) -> Option<Vec<Vec<Value>>> {
    let (mut parts, mut part, mut n_bytes) = (Vec::new(), Vec::new(), 0);
    for commit in read(shas)?.into_iter().flatten() {
        let length = commit.to_string().len() + 1;
        if n_bytes + length > MOST_BODY_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            n_bytes = 0;
        }
        n_bytes += length;
        part.push(commit);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    Some(parts)
}

/// Reads commits as they lie in the repository: where a checkout is cut, all else hides the parents.
fn read(shas: &[Sha]) -> Option<Vec<Option<Value>>> {
    let mut git = git(&["cat-file", "--batch"]);
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    let asked: Vec<String> = shas.iter().map(Sha::to_string).collect();
    let asked = asked.join("\n");
    // Aside: git answers before it has read all of it.
    let asking = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let commits = answers(&mut child, shas);
    if commits.is_none() {
        // It would wait for somebody to read the rest.
        let _ = child.kill();
    }
    let is_well = child.wait().is_ok_and(|status| status.success());
    let is_asked = asking.join().is_ok_and(|asked| asked.is_ok());
    commits.filter(|_| is_well && is_asked)
}

fn answers(child: &mut Child, shas: &[Sha]) -> Option<Vec<Option<Value>>> {
    let mut stdout = BufReader::new(child.stdout.take()?);
    let mut commits = Vec::with_capacity(shas.len());
    for sha in shas {
        let mut head = String::new();
        stdout.read_line(&mut head).ok()?;
        let n_bytes = head.trim_end().rsplit(' ').next()?.parse().ok()?;
        let mut data = vec![0; n_bytes];
        stdout.read_exact(&mut data).ok()?;
        stdout.read_exact(&mut [0]).ok()?;
        commits.push(commit(sha, &String::from_utf8_lossy(&data)));
    }
    Some(commits)
}

/// A commit as the API takes it. One that it would refuse is left out: what nobody knows is unknown,
/// what is cut might say something else.
fn commit(sha: &Sha, data: &str) -> Option<Value> {
    let (head, message) = data.split_once("\n\n").unwrap_or((data, ""));
    let with = |word: &'static str| head.lines().filter_map(move |line| line.strip_prefix(word));
    let parents: Vec<&str> = with("parent ").collect();
    let author = with("author ").next().unwrap_or_default();
    let (author, rest) = author.rsplit_once('>').unwrap_or((author, ""));
    let (name, email) = author.split_once('<').unwrap_or((author, ""));
    let committer = with("committer ").next().unwrap_or_default();
    let rest = committer.rsplit_once('>').map_or(rest, |(_, rest)| rest);
    let second = rest.split_whitespace().next().and_then(|second| second.parse().ok());
    let second = second.unwrap_or(0_i64).clamp(0, LAST_SECOND);
    let message = message.replace('\0', "\u{fffd}");
    let is_taken = parents.len() <= MOST_PARENTS
        && author.len() <= MOST_AUTHOR_BYTES
        && message.len() <= MOST_MESSAGE_BYTES;
    is_taken.then(|| {
        json!({
            "sha": sha,
            "parents": parents,
            "author": name.trim().replace('\0', ""),
            "email": email.trim().replace('\0', ""),
            "time": Timestamp::from_micros(second * 1_000_000),
            "message": message,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_as_they_lie_in_a_repository() {
        let sha: Sha = "4f2c91a04f2c91a04f2c91a04f2c91a04f2c91a0".parse().expect("a name");
        let parent = "1".repeat(40);
        let data = format!(
            "tree {parent}\nparent {parent}\nparent {parent}\nauthor Zoe <b> Z <zoe@shop.example> 5 +0000\n\
             committer Robot <r> 1790000000 +0200\ngpgsig parent\n parent x\n\nSubject\n\nparent no\n\0"
        );
        assert_eq!(
            commit(&sha, &data).expect("a commit"),
            json!({
                "sha": sha,
                "parents": [parent, parent],
                "author": "Zoe",
                "email": "b> Z <zoe@shop.example",
                "time": "2026-09-21T14:13:20Z",
                "message": "Subject\n\nparent no\n\u{fffd}",
            })
        );
        let odd = commit(&sha, "tree x").expect("a commit");
        assert_eq!((&odd["time"], &odd["message"]), (&json!("1970-01-01T00:00:00Z"), &json!("")));
        assert!(
            commit(&sha, &format!("tree x\n\n{}", "x".repeat(MOST_MESSAGE_BYTES + 1))).is_none()
        );
        assert!(commit(&sha, &"parent 1\n".repeat(MOST_PARENTS + 1)).is_none());
    }
}

//! The commit that a command is about: named, or `HEAD` of the git repository it is run in.

use std::process::Stdio;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::failure::Failure;
use super::text::one_line;

/// Where the commit comes from if it is not named.
const HOW_TO_COMMIT: &str = "name it with --commit, or run this in the repository's checkout";

#[derive(Debug, Args)]
pub(super) struct CandidateArgs {
    /// The commit [default: HEAD of the git repository here]
    #[arg(long, value_name = "SHA", value_parser = parse)]
    pub(super) commit: Option<String>,
    /// The repository it belongs to, where the project has several
    #[arg(long, value_name = "NAME")]
    pub(super) repository: Option<String>,
}

/// A commit, and its repository if that was said.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) commit: String,
    pub(super) repository: Option<String>,
}

impl CandidateArgs {
    /// Looks for `HEAD` if nothing is named.
    pub(super) async fn find(self) -> Result<Candidate, Failure> {
        let commit = match self.commit {
            Some(commit) => commit,
            None => head().await?,
        };
        Ok(Candidate { commit, repository: self.repository })
    }
}

impl Candidate {
    /// As part of a request's body.
    pub(super) fn body(&self) -> Map<String, Value> {
        let mut body = Map::from_iter([("commit".to_owned(), json!(self.commit))]);
        if let Some(repository) = &self.repository {
            body.insert("repository".to_owned(), json!(repository));
        }
        body
    }
}

/// Reads the name of a commit, whole or shortened.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && (7..=64).contains(&text.len()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("not a commit: 7 to 40 hex digits".to_owned())
    }
}

/// The commit that is checked out where the command is run.
pub(super) async fn head() -> Result<String, Failure> {
    let mut git = Command::new("git");
    git.args(["rev-parse", "HEAD"]).stdin(Stdio::null()).kill_on_drop(true);
    let no_commit =
        |why: &str| Failure::Usage(format!("no commit ({}): {HOW_TO_COMMIT}", one_line(why)));
    let output = git.output().await.map_err(|cause| no_commit(&format!("no git: {cause}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(no_commit(said.lines().find(|line| !line.is_empty()).unwrap_or("git failed")));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    parse(said.trim()).map_err(|_| no_commit("git names none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_hex_digits() {
        let whole = "4F2C91A0B1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6";
        assert_eq!(parse(whole), Ok(whole.to_lowercase()));
        assert_eq!(parse("4f2c91a").as_deref(), Ok("4f2c91a"));
        for text in ["", "HEAD", "4f2c91", "v1.2.3", "4f2c91a ", &"a".repeat(65)] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

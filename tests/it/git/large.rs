//! A repository of any size, made the same way each time.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Numbers that look random (xorshift).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap_or(u64::MAX)).unwrap_or(0)
    }
}

/// Makes a bare repository: `main` with branches that are merged as pull requests, about one commit
/// in ten; one in a hundred takes a request back; every thousand commits a release branch begins
/// that goes on by itself.
pub(crate) fn make(path: &Path, n_commits: usize) -> io::Result<()> {
    let status =
        Command::new("git").args(["init", "-q", "--bare", "-b", "main"]).arg(path).status()?;
    assert!(status.success(), "a repository");
    let mut import = Command::new("git")
        .arg("--git-dir")
        .arg(path)
        .args(["fast-import", "--quiet", "--done"])
        .stdin(Stdio::piped())
        .spawn()?;
    let stdin = import.stdin.take().expect("an input");
    write(&mut BufWriter::new(stdin), n_commits)?;
    assert!(import.wait()?.success(), "an import");
    Ok(())
}

fn write(out: &mut impl Write, n_commits: usize) -> io::Result<()> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut main = 1;
    let mut topics: Vec<usize> = Vec::new();
    let mut releases: Vec<(usize, usize)> = Vec::new();
    let mut n_requests = 0;
    commit(out, "refs/heads/main", 1, "Begin", &[])?;
    for number in 2..=n_commits {
        if number % 1_000 == 0 {
            releases.push((releases.len(), main));
        }
        match numbers.below(100) {
            0..10 if !topics.is_empty() => {
                let topic = topics.swap_remove(numbers.below(topics.len()));
                n_requests += 1;
                let message = format!("Merge pull request #{n_requests} from shop/topic");
                commit(out, "refs/heads/main", number, &message, &[main, topic])?;
                main = number;
            }
            10 if n_requests > 0 => {
                let request = n_requests - numbers.below(n_requests.min(20));
                let message = format!("Revert\n\nReverts shop/web#{request}");
                commit(out, "refs/heads/main", number, &message, &[main])?;
                main = number;
            }
            11..14 if !releases.is_empty() => {
                let release = numbers.below(releases.len());
                let (name, tip) = releases[release];
                let name = format!("refs/heads/release/{name}");
                commit(out, &name, number, &format!("Hotfix {number}"), &[tip])?;
                releases[release].1 = number;
            }
            14..24 => {
                commit(out, "refs/heads/topic", number, &format!("Topic {number}"), &[main])?;
                topics.push(number);
            }
            24..60 if !topics.is_empty() => {
                let topic = numbers.below(topics.len());
                let message = format!("Topic {number}");
                commit(out, "refs/heads/topic", number, &message, &[topics[topic]])?;
                topics[topic] = number;
            }
            _ => {
                commit(out, "refs/heads/main", number, &format!("Change {number}"), &[main])?;
                main = number;
            }
        }
    }
    writeln!(out, "done")
}

fn commit(
    out: &mut impl Write,
    branch: &str,
    number: usize,
    message: &str,
    parents: &[usize],
) -> io::Result<()> {
    let time = 1_500_000_000 + number * 60;
    let author = number % 40;
    writeln!(out, "commit {branch}\nmark :{number}")?;
    writeln!(out, "author A{author} <a{author}@example.com> {time} +0000")?;
    writeln!(out, "committer A{author} <a{author}@example.com> {time} +0000")?;
    writeln!(out, "data {}\n{message}", message.len())?;
    for (index, parent) in parents.iter().enumerate() {
        writeln!(out, "{} :{parent}", if index == 0 { "from" } else { "merge" })?;
    }
    let text = format!("{number}\n");
    let file = format!("{}/{}", number % 50, number % 2_000);
    writeln!(out, "M 644 inline {file}\ndata {}\n{text}", text.len())
}

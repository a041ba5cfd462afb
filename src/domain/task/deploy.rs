//! The task of a deploy.

use std::time::Duration;

use super::{Block, MOST_LINE_CHARS, MOST_TITLE_CHARS, Wanted, cut};
use crate::domain::deploy::{Deploy, DeployStatus};

/// So many lines of the output of a deploy that went wrong are shown: the last.
pub const MOST_TAIL_LINES: usize = 30;

/// So much of new output is said at a time, in bytes: the end of it.
pub const MOST_TOLD_BYTES: u64 = 16 * 1024;

/// New output of a deploy that runs is said after this at the earliest.
const LOOK_PAUSE: Duration = Duration::from_secs(30);

/// What is known of a deploy for its task.
#[derive(Debug, Clone, Copy)]
pub struct DeployFacts<'a> {
    /// The deploy.
    pub deploy: &'a Deploy,
    /// The name of its project.
    pub project: &'a str,
    /// The end of its output.
    pub tail: &'a str,
    /// Where it is shown.
    pub url: &'a str,
}

/// The task of a deploy. One that did not succeed is not done: somebody has to look.
#[must_use]
pub fn of_deploy(facts: &DeployFacts<'_>) -> Wanted {
    let DeployFacts { deploy, project, tail, url } = *facts;
    let (status, commit) = (deploy.status, deploy.sha.short());
    let mut shown = vec![
        ("Project".to_owned(), project.to_owned()),
        ("Environment".to_owned(), deploy.environment.clone()),
        ("Commit".to_owned(), deploy.sha.to_string()),
    ];
    let mut fact = |name: &str, text: Option<String>| {
        shown.extend(text.filter(|text| !text.is_empty()).map(|text| (name.to_owned(), text)));
    };
    fact("Release", deploy.version.clone());
    fact("By", Some(deploy.by.clone()));
    fact("Status", Some(status.as_str().to_owned()));
    fact("Started", Some(deploy.started_at.to_string()));
    fact("Ended", deploy.finished_at.map(|at| at.to_string()));
    fact("Exit code", deploy.exit_code.map(|code| code.to_string()));
    fact("Gate", (!deploy.is_gated).then(|| "was not asked".to_owned()));
    fact("Gate overridden", deploy.override_reason.clone());
    if let Some(outcome) = &deploy.outcome {
        fact("Resolved", Some(outcome.resolved.join(", ")));
        fact("Took back the fixes of", Some(outcome.taken_back.join(", ")));
        let n_locks = outcome.released_locks.len();
        fact("Released locks", (n_locks > 0).then(|| n_locks.to_string()));
    }
    let mut body = vec![Block::Facts(shown)];
    let is_bad = matches!(status, DeployStatus::Failed | DeployStatus::Lost);
    if is_bad && !tail.trim().is_empty() {
        body.push(Block::Code(last_lines(tail)));
    }
    let more = deploy.url.as_ref().filter(|url| url.starts_with("http"));
    body.extend(more.map(|url| Block::Link { text: "What ran it".to_owned(), url: url.clone() }));
    let text = format!("Deploy {} in Airlock", deploy.number);
    body.push(Block::Link { text, url: url.to_owned() });
    let release = deploy.version.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    let end = if is_bad { format!(": {}", status.as_str()) } else { String::new() };
    let title =
        format!("Deploy {} to {}: {commit}{release}{end}", deploy.number, deploy.environment);
    Wanted {
        title: cut(&title, MOST_TITLE_CHARS),
        body,
        is_done: status == DeployStatus::Succeeded,
        assignee: None,
        fix: None,
    }
}

/// After which time it is looked again what a deploy that runs has said: the longer it runs, the less
/// often, so that nobody gets a hundred comments.
#[must_use]
pub fn look_pause(runs_for: Duration) -> Duration {
    LOOK_PAUSE.max(runs_for / 4)
}

/// What is said of new output on the task of a deploy, of which some may be left out before; nothing
/// when there is nothing to read.
#[must_use]
pub fn of_output(text: &str, n_left_out: u64) -> Option<String> {
    let mut lines = lines_of(text);
    if lines.is_empty() && n_left_out == 0 {
        return None;
    }
    if n_left_out > 0 {
        lines.insert(0, format!("({n_left_out} bytes of output are left out here)"));
    }
    Some(lines.join("\n"))
}

/// The last lines of output.
fn last_lines(tail: &str) -> Vec<String> {
    let mut lines = lines_of(tail);
    let first = lines.len().saturating_sub(MOST_TAIL_LINES);
    lines.drain(..first);
    lines
}

/// The lines of output as a person reads them: without colours, and of a line that was overwritten what
/// it was overwritten with.
fn lines_of(output: &str) -> Vec<String> {
    let plain = anstream::adapter::strip_str(output).to_string();
    let lines = plain.lines().filter(|line| !line.trim().is_empty());
    let shown = |line: &str| {
        let last = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        cut(last, MOST_LINE_CHARS)
    };
    lines.map(shown).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::commit::Sha;
    use crate::domain::deploy::Outcome;
    use crate::domain::id::{ProjectId, ProjectItemId};
    use crate::domain::time::Timestamp;

    fn deploy(status: DeployStatus) -> Deploy {
        Deploy {
            id: ProjectItemId { project: ProjectId(1), id: Uuid::nil() },
            number: 17,
            environment: "beta".to_owned(),
            repository: None,
            sha: Sha::NULL,
            version: Some("1.4.2".to_owned()),
            url: None,
            by: "robin".to_owned(),
            status,
            is_gated: true,
            override_reason: None,
            gate: None,
            lease_seconds: 600,
            lease_until: None,
            started_at: Timestamp::from_micros(0),
            finished_at: None,
            exit_code: None,
            n_output: 0,
            output_gone_at: None,
            outcome: None,
        }
    }

    fn task(deploy: &Deploy, tail: &str) -> Wanted {
        let url = "https://errors.example/api/v1/deploys/d17";
        of_deploy(&DeployFacts { deploy, project: "shop", tail, url })
    }

    #[test]
    fn only_what_succeeded_is_done() {
        use DeployStatus::{Failed, Lost, Running, Succeeded};
        for (status, is_done, end) in [
            (Running, false, "(1.4.2)"),
            (Succeeded, true, "(1.4.2)"),
            (Failed, false, ": failed"),
            (Lost, false, ": lost"),
        ] {
            let task = task(&deploy(status), "");
            assert_eq!(task.is_done, is_done, "{status:?}");
            assert!(task.title.starts_with("Deploy 17 to beta: 0000000 (1.4.2)"), "{task:?}");
            assert!(task.title.ends_with(end), "{task:?}");
        }
    }

    #[test]
    fn the_end_of_the_output_of_what_failed_is_shown() {
        let steps: Vec<_> = (0..100).map(|n| format!("10 %\r{n} %\r\nstep {n}\n\n")).collect();
        let output = steps.concat();
        let shown = task(&deploy(DeployStatus::Failed), &output);
        let Some(Block::Code(lines)) = shown.body.get(1) else { panic!("no output: {shown:?}") };
        assert_eq!(lines.len(), MOST_TAIL_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("85 %"));
        assert_eq!(lines.last().map(String::as_str), Some("step 99"));
        let fine = task(&deploy(DeployStatus::Succeeded), &output);
        assert!(!fine.body.iter().any(|block| matches!(block, Block::Code(_))));
    }

    #[test]
    fn output_is_said_as_people_read_it() {
        let text = "\u{1b}[32mbuilt\u{1b}[0m\n\n10 %\r100 %\r\ndone\u{7}\n";
        assert_eq!(of_output(text, 0).as_deref(), Some("built\n100 %\ndone"));
        let cut = of_output("end", 70_000);
        assert_eq!(cut.as_deref(), Some("(70000 bytes of output are left out here)\nend"));
        assert_eq!(of_output("\n \n", 0), None);
    }

    #[test]
    fn a_long_deploy_says_little() {
        let (mut runs_for, mut n_looks) = (Duration::ZERO, 0);
        while runs_for < Duration::from_hours(4) {
            runs_for += look_pause(runs_for);
            n_looks += 1;
        }
        assert!(n_looks < 30, "{n_looks}");
    }

    #[test]
    fn what_it_did_is_said() {
        let outcome = Outcome {
            resolved: vec!["SHOP-1".to_owned(), "SHOP-2".to_owned()],
            released_locks: vec!["l1".to_owned()],
            taken_back: Vec::new(),
        };
        let done = Deploy { outcome: Some(outcome), ..deploy(DeployStatus::Succeeded) };
        let text = format!("{:?}", task(&done, "").body);
        assert!(text.contains("SHOP-1, SHOP-2"), "{text}");
        assert!(!text.contains("Took back"), "{text}");
    }
}

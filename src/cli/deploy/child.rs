//! Runs the command of a deploy as a shell would, and copies what it says.
//!
//! *Invariant*: the command's bytes reach our own stdout and stderr unchanged and at once; only
//! what is recorded is made text.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::recorder::Tap;
use super::signals::{Signals, pass_on};
use super::utf8::Decoder;

/// A command that cannot be run, and one that is not there.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How much is copied at once.
const PIECE: usize = 64 << 10;

/// What the command has started may keep its output open. When the command itself has ended, this
/// much silence ends it,
const SILENCE: Duration = Duration::from_millis(500);

/// and so does this much time.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How long a stdout that takes nothing now is left alone.
const FULL: Duration = Duration::from_millis(5);

/// Why a command did not start, as a shell says it.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) code: u8,
    pub(super) cause: io::Error,
}

/// Starts the command; it reads our stdin.
pub(super) fn start(command: &[OsString]) -> Result<Child, NotStarted> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| NotStarted { code: NOT_FOUND, cause: io::ErrorKind::NotFound.into() })?;
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    started.map_err(|cause| {
        let is_missing = cause.kind() == io::ErrorKind::NotFound;
        NotStarted { code: if is_missing { NOT_FOUND } else { NOT_EXECUTABLE }, cause }
    })
}

/// Copies what the command says, passes signals on to it, and gives its exit code.
pub(super) async fn attend(mut child: Child, signals: &mut Signals, tap: &Tap) -> u8 {
    let (ended, has_ended) = watch::channel(None);
    let mut copies = JoinSet::new();
    if let Some(from) = child.stdout.take() {
        copies.spawn(copy(from, std::io::stdout, tap.clone(), has_ended.clone()));
    }
    if let Some(from) = child.stderr.take() {
        copies.spawn(copy(from, std::io::stderr, tap.clone(), has_ended));
    }
    let command = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => {
                if let Some(command) = command {
                    pass_on(signal, command);
                }
            }
        }
    };
    ended.send_replace(Some(Instant::now() + LONGEST_REST));
    while copies.join_next().await.is_some() {}
    status.map_or(u8::MAX, exit_code)
}

/// The command's own code; 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Copies one stream until its end, or until its reader is gone: then the command learns of it as
/// if there were nobody between.
async fn copy<W: AsFd + Send + 'static>(
    mut from: impl AsyncRead + Unpin,
    to: fn() -> W,
    tap: Tap,
    mut has_ended: watch::Receiver<Option<Instant>>,
) {
    let mut decoder = Decoder::default();
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        let read = tokio::select! {
            biased;
            read = from.read_buf(&mut piece) => read,
            () = silence(&mut has_ended) => break,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = decoder.text(&piece);
        let written = tokio::task::spawn_blocking(move || {
            let written = write_all(to(), &piece);
            (piece, written)
        });
        let Ok((empty, written)) = written.await else { break };
        piece = empty;
        tap.append(&text);
        if written.is_err() {
            break;
        }
    }
    tap.append(&decoder.end());
}

/// Comes when the command has ended and nothing more is to be expected of it.
async fn silence(has_ended: &mut watch::Receiver<Option<Instant>>) {
    let Ok(rest) = has_ended.wait_for(Option::is_some).await.map(|rest| *rest) else { return };
    let rest = rest.unwrap_or_else(Instant::now).min(Instant::now() + SILENCE);
    let _ = timeout_at(rest, std::future::pending::<()>()).await;
}

/// Writes to a file as it is: it may be one that takes nothing just now.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => std::thread::sleep(FULL),
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_a_shell_says_them() {
        for (wait, code) in [(0, 0), (3 << 8, 3), (255 << 8, 255), (15, 143), (9, 137)] {
            assert_eq!(exit_code(ExitStatus::from_raw(wait)), code, "{wait}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_run() {
        for (command, code) in
            [(&["/nowhere/at/all"][..], NOT_FOUND), (&["/"], NOT_EXECUTABLE), (&[], NOT_FOUND)]
        {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            assert_eq!(start(&command).expect_err("nothing to run").code, code, "{command:?}");
        }
    }
}

//! Signals that are meant for the command.

use std::io;

use futures_util::FutureExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind};

/// Signals that are passed on to the command instead of ending this process.
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
    quit: unix::Signal,
}

impl Signals {
    /// From now on these signals no longer end this process.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
            quit: unix::signal(SignalKind::quit())?,
        })
    }

    /// The next that comes.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.quit.recv() => Signal::QUIT,
        }
    }

    /// One that has come already.
    pub(super) fn pending(&mut self) -> Option<Signal> {
        self.next().now_or_never()
    }
}

/// What a shell says of a process that such a signal ended.
pub(super) fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)
}

/// Passes a signal on to the command.
///
/// The command is in this process's group, unless it has left it. What is typed at its terminal has
/// reached it already, and a second interrupt means something else to many programs.
pub(super) fn pass_on(signal: Signal, command: Pid) {
    let is_typed = signal == Signal::INT || signal == Signal::QUIT;
    if !(is_typed && is_in_foreground(command)) {
        // A command that has just ended needs none.
        let _ = kill_process(command, signal);
    }
}

/// Whether a process is in the group that our terminal sends signals to.
fn is_in_foreground(process: Pid) -> bool {
    let terminal = std::fs::File::open("/dev/tty").ok();
    let foreground = terminal.and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok());
    foreground.is_some() && foreground == rustix::process::getpgid(Some(process)).ok()
}

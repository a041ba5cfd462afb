//! Where results and messages go, and how they look there.

use std::io::{ErrorKind, IsTerminal, Write};

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use super::text::json_line;

/// How results are printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputOptions {
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// Print without colours, as on anything that is no terminal
    #[arg(
        long,
        env = "NO_COLOR",
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        hide_env_values = true,
        value_name = "ANY"
    )]
    no_color: Option<String>,
    /// The width that the shell says the terminal has; only the environment has this setting.
    #[arg(long = "environment-columns", env = "COLUMNS", global = true, hide = true)]
    columns: Option<String>,
}

/// What a text is printed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

/// How text is laid out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// Columns; `None` when nothing is to be cut.
    pub(super) width: Option<usize>,
    /// Whether there are colours.
    pub(super) is_coloured: bool,
}

impl Style {
    /// A text in this ink.
    pub(super) fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Red => 31,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Cyan => 36,
        };
        if self.is_coloured && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// stdout for the result, stderr for everything else.
#[derive(Debug)]
pub(super) struct Output {
    is_json: bool,
    style: Style,
}

impl Output {
    pub(super) fn new(options: &OutputOptions) -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Self { is_json: options.json, style: Style::default() };
        }
        let said = options.columns.as_deref().and_then(|columns| columns.parse().ok());
        let asked = || rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col.into());
        let width = said.or_else(asked).filter(|width: &usize| *width > 0);
        let is_coloured = options.no_color.as_deref().is_none_or(str::is_empty);
        Self { is_json: options.json, style: Style { width, is_coloured } }
    }

    /// Whether the result is JSON, for scripts.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints the result: the JSON, or the text made for people.
    pub(super) fn result(
        &self,
        json: &Value,
        text: impl FnOnce(Style) -> String,
    ) -> Result<(), Failure> {
        let text = if self.is_json { json_line(json) + "\n" } else { text(self.style) };
        print(&text).map(|_| ())
    }

    /// Prints a part of a result that is still growing, and says whether anybody reads it.
    pub(super) fn part(text: &str) -> Result<bool, Failure> {
        print(text)
    }

    /// How results are laid out.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// A line on stderr. A closed stderr costs the message, not the command.
    pub(super) fn note(line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// A line on stderr for people, whom a script with `--json` is not.
    pub(super) fn hint(&self, line: &str) {
        if !self.is_json {
            Self::note(line);
        }
    }
}

/// Prints to stdout, and says whether anybody reads it.
fn print(text: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        // `airlock issues shop | head`: the reader has what it wanted.
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(cause) => Err(Failure::Output(cause)),
        Ok(()) => Ok(true),
    }
}

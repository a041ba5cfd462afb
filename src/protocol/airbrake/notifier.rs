//! Which client sent a notice, and what follows from that.

use serde_json::{Value, json};

use super::super::lenient::{self, Object};

/// The client that sent a notice.
pub(super) struct Notifier {
    name: Option<String>,
    version: Option<String>,
}

/// Notifiers whose backtraces begin with the outermost call; all others begin with the line that
/// raised. Source: `airbrake` from `PyPI`, which sends `traceback.extract_tb` as it is.
const OUTERMOST_FIRST: &[&str] = &["airbrake-python"];

/// Platforms by the first word of a notifier's name or language. `javascript` is the browser's.
const PLATFORMS: &[(&str, &str)] = &[
    ("airbrake-js/node", "node"),
    ("airbrake-js", "javascript"),
    ("airbrake-node", "node"),
    ("node", "node"),
    ("javascript", "javascript"),
    ("pybrake", "python"),
    ("airbrake-python", "python"),
    ("python", "python"),
    ("airbrake-ruby", "ruby"),
    ("airbrake notifier", "ruby"),
    ("ruby", "ruby"),
    ("gobrake", "go"),
    ("go", "go"),
    ("phpbrake", "php"),
    ("php", "php"),
    ("javabrake", "java"),
    ("java", "java"),
    ("sharpbrake", "csharp"),
    ("c#", "csharp"),
    (".net", "csharp"),
    ("rust", "rust"),
    ("swift", "cocoa"),
    ("objective-c", "cocoa"),
    ("elixir", "elixir"),
];

/// The whole name of the notifier of npm that sends XML; others only begin with it.
const NPM_NAME: &str = "airbrake";

impl Notifier {
    pub(super) fn read(mut claimed: Object) -> Self {
        Self {
            name: lenient::take_text(&mut claimed, "name"),
            version: lenient::take_text(&mut claimed, "version"),
        }
    }

    /// Whether its backtraces begin with the outermost call.
    pub(super) fn is_outermost_first(&self) -> bool {
        self.name.as_deref().is_some_and(|name| OUTERMOST_FIRST.contains(&name))
    }

    /// Whether it is that of npm, which cuts the application's folder off the paths of all files within.
    pub(super) fn is_npms(&self) -> bool {
        self.name.as_deref() == Some(NPM_NAME)
    }

    /// The platform, from the notifier and the language it names.
    pub(super) fn platform(&self, language: Option<&str>) -> &'static str {
        let by = |word: Option<&str>| {
            let word = word?.trim().to_lowercase();
            // `go1.22` and `Python/3.11` name a version behind the word.
            let begins = |(beginning, _): &&(&str, &str)| {
                let rest = word.strip_prefix(beginning);
                rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphabetic()))
            };
            PLATFORMS.iter().find(begins).map(|(_, platform)| *platform)
        };
        if self.is_npms() {
            return "node";
        }
        by(self.name.as_deref()).or_else(|| by(language)).unwrap_or("other")
    }

    /// The notifier as the SDK of an event.
    pub(super) fn into_sdk(self) -> Option<Value> {
        Some(json!({"name": self.name?, "version": self.version}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_the_notifiers_else_the_languages() {
        for (name, language, expected) in [
            (Some("airbrake-js/browser"), Some("JavaScript"), "javascript"),
            (Some("airbrake-js/node"), Some("JavaScript"), "node"),
            (Some("pybrake"), Some("Python/3.11.7"), "python"),
            (Some("gobrake"), Some("go1.22.1"), "go"),
            (Some("airbrake"), None, "node"),
            (Some("Airbrake Notifier"), None, "ruby"),
            (Some("airbrake-of-my-own"), Some("Ruby/3.3"), "ruby"),
            (Some("made-at-home"), Some("go1.22.1"), "go"),
            (Some("made-at-home"), Some("PHP 8.3"), "php"),
            (None, Some("Java"), "java"),
            (None, Some("Gopher"), "other"),
            (None, None, "other"),
        ] {
            let notifier = Notifier { name: name.map(str::to_owned), version: None };
            assert_eq!(notifier.platform(language), expected, "{name:?} {language:?}");
        }
    }
}

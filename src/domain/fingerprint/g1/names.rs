//! What a frame's function and module are called, without what changes from build to build.
//!
//! One file for each family that has rules of its own. To add one: a file, and a line in [`name`].

mod dotnet;
mod go;
mod js;
pub(super) mod jvm;
mod native;
mod php;
mod python;
mod ruby;

use std::borrow::Cow;

use regex::Regex;

use super::family::Family;
use super::tables;
use crate::domain::event::Frame;

/// The name of the code of a frame.
#[derive(Debug, Default)]
pub(super) struct Name<'a> {
    /// The module, where it takes part.
    pub(super) module: Cow<'a, str>,
    /// The function; empty when it has no name.
    pub(super) function: Cow<'a, str>,
    /// The name does not tell one piece of code from another.
    pub(super) is_weak: bool,
    /// Why the frame never takes part.
    pub(super) dropped: Option<&'static str>,
    /// The function's name says where it is.
    pub(super) is_qualified: bool,
}

/// The name of a frame's code. `path` is the frame's, with `/` for every separator.
pub(super) fn name<'a>(frame: &'a Frame, family: Family, path: &str) -> Name<'a> {
    let function = frame.function.as_deref().unwrap_or_default().trim();
    let function = if tables::NO_NAMES.contains(&function) { "" } else { function };
    let name = Name {
        module: frame.module.as_deref().unwrap_or_default().into(),
        function: function.into(),
        ..Name::default()
    };
    match family {
        Family::Js => js::name(function, path),
        Family::Python => python::name(name, path),
        Family::Jvm => jvm::name(name),
        Family::Dotnet => dotnet::name(name),
        Family::Ruby => ruby::name(function),
        Family::Php => php::name(name),
        Family::Go => go::name(name),
        Family::Native => native::name(function),
        Family::Other => name,
    }
}

/// Replaces every match, without a copy where there is none.
fn replaced<'a>(text: Cow<'a, str>, pattern: &Regex, with: &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => pattern.replace_all(text, with),
        Cow::Owned(text) => match pattern.replace_all(&text, with) {
            Cow::Owned(replaced) => Cow::Owned(replaced),
            Cow::Borrowed(_) => Cow::Owned(text),
        },
    }
}

/// What is left after a beginning; the text as it is without it.
fn without<'a>(text: Cow<'a, str>, beginning: &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => text.strip_prefix(beginning).unwrap_or(text).into(),
        Cow::Owned(text) => match text.strip_prefix(beginning) {
            Some(rest) => rest.to_owned().into(),
            None => text.into(),
        },
    }
}

/// The text without everything in round brackets.
fn without_arguments(text: &str) -> Cow<'_, str> {
    if !text.contains(['(', ')']) {
        return text.into();
    }
    let mut depth = 0_usize;
    let kept = text.chars().filter(|character| match character {
        '(' => {
            depth += 1;
            false
        }
        ')' => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => depth == 0,
    });
    kept.collect::<String>().into()
}

//! Native code: Rust, C, C++, Objective-C, Swift, and what they compile to.

use std::borrow::Cow;

use super::{Name, replaced, without_arguments};
use crate::domain::fingerprint::g1::tables;

/// The suffixes of names that stand for a part of a function.
const PARTS: &[&str] = &["<lambda>", "<closure>", "<block>"];

pub(super) fn name(function: &str) -> Name<'_> {
    let mut name = Name { function: without_build(function), ..Name::default() };
    let is_runtime = tables::NATIVE_RUNTIME.contains(&&*name.function)
        || tables::NATIVE_RUNTIME_BEGINNINGS
            .iter()
            .any(|beginning| name.function.starts_with(beginning));
    if is_runtime {
        name.dropped = Some("runtime frame");
    }
    closures(&mut name);
    if !name.function.starts_with("-[") && !name.function.starts_with("+[") {
        name.function = without_types(name.function);
    }
    name.is_qualified = name.function.contains("::")
        || name.function.starts_with("-[")
        || name.function.starts_with("+[")
        || name.function.contains('.');
    name
}

/// Without what compilers and linkers add.
fn without_build(function: &str) -> Cow<'_, str> {
    let mut function = Cow::Borrowed(function);
    if function.contains("::h") {
        function = replaced(function, &tables::RUST_HASH, "");
    }
    if function.contains('[') {
        function = replaced(function, &tables::RUST_CRATE, "");
        function = replaced(function, &tables::COMPILER_CLONE, "");
    }
    if function.contains('.') {
        function = replaced(function, &tables::COMPILER_SUFFIX, "");
    }
    if function.contains("?A0x") || function.contains("nonymous") || function.contains("_N_") {
        function = replaced(function, &tables::ANONYMOUS_NAMESPACE, "{anon}");
    }
    function
}

/// Names of closures become those of the functions they are in.
fn closures(name: &mut Name<'_>) {
    let group = |found: &regex::Captures<'_>| {
        found.get(1).map(|group| group.as_str().to_owned()).unwrap_or_default()
    };
    if name.function.ends_with(|last: char| last.is_ascii_digit() || last == 'e')
        && let Some(found) = tables::OBJC_BLOCK.captures(&name.function)
    {
        name.function = format!("{}<block>", group(&found)).into();
    }
    if name.function.contains("closure #")
        && let Some(found) = tables::SWIFT_CLOSURE.captures(&name.function)
    {
        name.function = format!("{}<closure>", without_arguments(&group(&found))).into();
        name.is_weak = true;
    } else if tables::SWIFT_THUNKS.iter().any(|thunk| name.function.starts_with(thunk)) {
        name.dropped = Some("compiler thunk");
    }
    if name.function.contains("impl") {
        let function = std::mem::take(&mut name.function);
        name.function = replaced(function, &tables::RUST_IMPL, "");
    }
    if tables::NATIVE_NAMELESS.is_match(&name.function) {
        name.function = "".into();
    }
    if let Some(found) = tables::CPP_LAMBDA.find(&name.function) {
        let outer = name.function.get(..found.start()).unwrap_or_default().trim_end_matches(':');
        name.function = format!("{}<lambda>", without_arguments(outer)).into();
        name.is_weak = true;
    }
    if name.function.contains("{{closure}}") || name.function.contains("{closure#") {
        let function = std::mem::take(&mut name.function);
        name.function = replaced(function, &tables::RUST_CLOSURE, "<closure>");
    }
}

/// Without type arguments, parameters and a leading return type.
fn without_types(function: Cow<'_, str>) -> Cow<'_, str> {
    let function = of_trait(function);
    let function = if PARTS.iter().any(|part| function.ends_with(part)) {
        let (base, part) = function.rsplit_once('<').unwrap_or((&function, ""));
        let base = without_arguments(&without_templates(base)).trim().to_owned();
        format!("{base}<{part}").into()
    } else if function.contains(['<', '(', ' ']) || function.contains(['>', ')']) {
        let plain = without_arguments(&without_templates(&function)).replace(" const", "");
        plain.trim().to_owned().into()
    } else {
        function
    };
    let function = without_return_type(function);
    if function.contains("<T>") { function.replace("<T>", "").into() } else { function }
}

/// `<T as Trait>::method` → `T::method`.
fn of_trait(function: Cow<'_, str>) -> Cow<'_, str> {
    let parts = function.strip_prefix('<').and_then(|rest| {
        let (of, rest) = rest.split_once(" as ")?;
        let (as_trait, method) = rest.rsplit_once(">::")?;
        let is_whole = !of.is_empty() && !as_trait.is_empty() && !method.is_empty();
        is_whole.then(|| format!("{}::{method}", without_templates(of)))
    });
    parts.map_or(function, Cow::Owned)
}

/// `const shop::Cart& shop::find` → `shop::find`.
fn without_return_type(function: Cow<'_, str>) -> Cow<'_, str> {
    if !function.contains(' ') {
        return function;
    }
    let start = function
        .match_indices(' ')
        .map(|(at, space)| (at, at + space.len()))
        .scan((0, true), |(word_start, is_type), (at, next)| {
            let word = function.get(*word_start..at).unwrap_or_default();
            *is_type = *is_type && tables::RETURN_TYPE.is_match(word);
            *word_start = next;
            Some((next, *is_type))
        })
        .take_while(|(_, is_type)| *is_type)
        .map(|(next, _)| next)
        .filter(|next| function.get(*next..).is_some_and(|rest| tables::QUALIFIED.is_match(rest)))
        .last();
    match start.and_then(|start| function.get(start..)) {
        Some(rest) => rest.to_owned().into(),
        None => function,
    }
}

/// `Vec<Item>::push` → `Vec<T>::push`; what is left out is marked, so that a return type can be told.
fn without_templates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut before = '\0';
    for (at, character) in text.char_indices() {
        match character {
            '<' if opens_template(text, at) => {
                if depth == 0 {
                    out.push_str("<T>");
                }
                depth += 1;
            }
            // The arrow of a function's type closes nothing.
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth == 0 => out.push(character),
            _ => {}
        }
        before = character;
    }
    out
}

fn opens_template(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let is_lambda = before.is_empty() && text.starts_with("<lambda");
    !is_lambda && !before.ends_with("operator") && !before.ends_with("<lambda>")
}

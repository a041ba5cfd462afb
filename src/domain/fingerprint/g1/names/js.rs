//! JavaScript, in browsers and in Node.

use super::Name;
use crate::domain::fingerprint::g1::tables;

const MODIFIERS: &[&str] = &["async* ", "async ", "new ", "bound ", "get ", "set "];

pub(super) fn name<'a>(function: &'a str, path: &str) -> Name<'a> {
    let function = last_segment(function);
    let is_engine = tables::JS_ENGINE_FILES.contains(&path)
        || path.starts_with("node:internal")
        || path.starts_with("internal/");
    let dropped = if is_engine {
        Some("engine frame")
    } else if is_runtime(function, path) {
        Some("runtime helper")
    } else if tables::JS_POLYFILL.is_match(path) {
        Some("polyfill")
    } else {
        None
    };
    Name { function: function.into(), is_weak: function.is_empty(), dropped, ..Name::default() }
}

/// `Object.handle [as process]` → `handle`; empty for functions without a name.
fn last_segment(function: &str) -> &str {
    let function = without_alias(function);
    let function =
        MODIFIERS.iter().find_map(|modifier| function.strip_prefix(modifier)).unwrap_or(function);
    if function.ends_with("/<") || tables::JS_ANONYMOUS.contains(&function) {
        return "";
    }
    if function.starts_with("__webpack_require__") {
        return function;
    }
    match function.rsplit(['.', '/']).next().unwrap_or(function) {
        "<anonymous>" | "<computed>" | "<" => "",
        segment => segment,
    }
}

fn without_alias(function: &str) -> &str {
    let alias = function.strip_suffix(']').and_then(|body| {
        let last = body.rfind(']').map_or(0, |at| at + 1);
        body.get(last..)?.find(" [as ").map(|at| last + at)
    });
    alias.and_then(|at| function.get(..at)).unwrap_or(function)
}

fn is_runtime(function: &str, path: &str) -> bool {
    if tables::JS_COMPILED.contains(&function) {
        return tables::JS_COMPILERS.iter().any(|compiler| path.contains(compiler));
    }
    tables::JS_RUNTIME.contains(&function) || function.starts_with("__webpack_require__")
}

//! Python.

use super::Name;

/// Parts of a function that newer versions have no frames of.
const COMPREHENSIONS: &[&str] = &["<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"];

pub(super) fn name<'a>(mut name: Name<'a>, path: &str) -> Name<'a> {
    if name.module == "__main__" {
        name.module = "".into();
    }
    name.dropped = if COMPREHENSIONS.contains(&&*name.function) {
        Some("comprehension")
    } else if path.starts_with("<frozen ") || path == "<string>" {
        Some("interpreter frame")
    } else {
        None
    };
    name.is_weak = name.function == "<lambda>";
    name
}

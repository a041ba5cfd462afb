//! Ruby.

use std::borrow::Cow;

use super::{Name, replaced};
use crate::domain::fingerprint::g1::tables;

pub(super) fn name(function: &str) -> Name<'_> {
    let function = match tables::RUBY_BLOCK.find(function) {
        Some(found) => function.get(found.end()..).unwrap_or_default(),
        None => function,
    };
    // Since 3.4 labels bring the class: `Shop::Cart#total`.
    let function = if function.starts_with('<') {
        function
    } else {
        function.rsplit(['#', '.']).next().unwrap_or(function)
    };
    let function = replaced(Cow::Borrowed(function), &tables::RUBY_TEMPLATE, "");
    let function = if function == "block" { Cow::Borrowed("") } else { function };
    Name { function, ..Name::default() }
}

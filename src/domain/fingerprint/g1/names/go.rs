//! Go.

use super::{Name, replaced};
use crate::domain::fingerprint::g1::tables;

pub(super) fn name(mut name: Name<'_>) -> Name<'_> {
    if name.function.contains('[') {
        name.function = replaced(name.function, &tables::GO_GENERIC, "");
    }
    if name.function.contains(['.', '-', '·']) {
        name.function = replaced(name.function, &tables::GO_CLOSURE, "");
    }
    name.is_qualified = !name.module.is_empty();
    name
}

//! PHP.

use super::{Name, replaced, without};
use crate::domain::fingerprint::g1::tables;

const ANONYMOUS_CLASS: &str = "class@anonymous";

pub(super) fn name(mut name: Name<'_>) -> Name<'_> {
    name.function = without(name.function, r"Proxies\__CG__\");
    if name.function.starts_with("Container") {
        name.function = replaced(name.function, &tables::PHP_CONTAINER, "");
    }
    if name.function.contains("{closure") {
        name.function = "{closure}".into();
        name.is_weak = true;
    } else if name.function.starts_with(ANONYMOUS_CLASS) {
        let method = name.function.rsplit_once("::").map(|(_, method)| method);
        let function = method.map_or_else(
            || ANONYMOUS_CLASS.to_owned(),
            |method| format!("{ANONYMOUS_CLASS}::{method}"),
        );
        name.function = function.into();
        name.is_weak = true;
    } else {
        name.is_qualified = name.function.contains('\\') || name.function.contains("::");
    }
    if name.function.contains("__TwigTemplate_") {
        name.function = replaced(name.function, &tables::TWIG_TEMPLATE, "__TwigTemplate");
    }
    name
}

//! C# and other languages of .NET.

use super::{Name, replaced, without_arguments};
use crate::domain::fingerprint::g1::tables;

pub(super) fn name(mut name: Name<'_>) -> Name<'_> {
    let is_plumbing =
        tables::DOTNET_PLUMBING.iter().any(|beginning| name.module.starts_with(beginning));
    let is_lambda_method = name
        .function
        .strip_prefix("lambda_method")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    name.dropped = (is_plumbing || is_lambda_method).then_some("async plumbing");
    if name.module.contains('`') {
        name.module = replaced(name.module, &tables::DOTNET_ARITY, "");
    }
    if name.function == "MoveNext" {
        let machine = tables::DOTNET_STATE_MACHINE.captures(&name.module).and_then(|found| {
            Some((found.get(1)?.as_str().to_owned(), found.get(2)?.as_str().to_owned()))
        });
        if let Some((class, method)) = machine {
            (name.module, name.function) = (class.into(), method.into());
        }
    }
    if name.module.contains("+<>c") {
        name.module = replaced(name.module, &tables::DOTNET_CLOSURE_CLASS, "");
    }
    if name.function.starts_with('<') {
        let group = |found: &regex::Captures<'_>, at| {
            found.get(at).map(|group| group.as_str().to_owned()).unwrap_or_default()
        };
        if let Some(found) = tables::DOTNET_LAMBDA.captures(&name.function) {
            name.function = format!("{}<lambda>", group(&found, 1)).into();
            name.is_weak = true;
        } else if let Some(found) = tables::DOTNET_LOCAL.captures(&name.function) {
            name.function = format!("{}.{}", group(&found, 1), group(&found, 2)).into();
        }
    }
    if name.function.contains(['`', '[']) {
        name.function = replaced(name.function, &tables::DOTNET_GENERIC, "");
    }
    if name.function.contains(['(', ')']) {
        name.function = without_arguments(&name.function).into_owned().into();
    }
    name.is_qualified = !name.module.is_empty();
    name
}

//! Java, Kotlin, Scala, Groovy and Clojure.

use std::borrow::Cow;

use super::{Name, replaced};
use crate::domain::fingerprint::g1::tables::{self, JVM_LIBRARY};

pub(super) fn name(mut name: Name<'_>) -> Name<'_> {
    let module = &*name.module;
    let is_generated = module.contains("$$Lambda")
        || module.contains("LambdaForm$")
        || module.contains("FastClassBy")
        || module.contains("$$FastClass");
    if tables::JVM_REFLECTION.is_match(module) {
        name.dropped = Some("reflection");
    } else if is_generated {
        name.dropped = Some("generated frame");
    }
    if module.contains('$') {
        compiled_class(&mut name);
    }
    name.module = without_numbers(name.module);
    if name.function.contains('$') {
        let lambda = tables::JAVA_LAMBDA
            .captures(&name.function)
            .or_else(|| tables::SCALA_LAMBDA.captures(&name.function))
            .and_then(|found| Some(format!("{}<lambda>", found.get(1)?.as_str())));
        if let Some(lambda) = lambda {
            name.function = lambda.into();
            name.is_weak = true;
        }
    }
    name.is_qualified = !name.module.is_empty();
    name
}

/// Classes that compilers and proxies make.
fn compiled_class(name: &mut Name<'_>) {
    if tables::JVM_PROXY.is_match(&name.module) {
        name.module = "$Proxy".into();
    }
    if let Some(found) = tables::JVM_SUBCLASS.find(&name.module) {
        let base = name.module.get(..found.start()).unwrap_or_default().to_owned();
        name.module = base.into();
        let passes = tables::JVM_PASSING.contains(&&*name.function);
        if passes || name.function.starts_with("CGLIB$") {
            name.dropped = Some("generated frame");
        }
    }
    if tables::JVM_CLOSURE_METHODS.contains(&&*name.function) {
        let closure = tables::JVM_CLOSURE.captures(&name.module).and_then(|found| {
            Some((found.get(1)?.as_str().to_owned(), found.get(2)?.as_str().to_owned()))
        });
        if let Some((class, method)) = closure {
            (name.module, name.function) = (class.into(), method.into());
        }
    }
    if tables::JVM_ANONYMOUS.is_match(&name.module) {
        let module = tables::JVM_NUMBER.replace_all(&name.module, "$$<anon>").into_owned();
        name.module = module.into();
        name.is_weak = true;
    }
    if name.module.contains("$$anon") {
        let module = tables::SCALA_ANONYMOUS.replace_all(&name.module, "$$<anon>").into_owned();
        name.module = module.into();
        name.is_weak = true;
    }
}

/// Numbers that Clojure and Groovy count up.
fn without_numbers(module: Cow<'_, str>) -> Cow<'_, str> {
    // Most modules are plain, and these patterns need a digit.
    if !module.bytes().any(|byte| byte.is_ascii_digit()) {
        return match module.strip_suffix('$') {
            Some(_) => module.trim_end_matches('$').to_owned().into(),
            None => module,
        };
    }
    let module = replaced(module, &tables::CLOJURE_FUNCTION, "$1");
    let module = match module.strip_suffix('$') {
        Some(_) => module.trim_end_matches('$').to_owned().into(),
        None => module,
    };
    let module = replaced(module, &tables::GROOVY_CLOSURE, "$$closure");
    replaced(module, &tables::GROOVY_SCRIPT, "$1$2")
}

/// Whether a library made the frame, whatever the SDK says.
pub(in crate::domain::fingerprint::g1) fn is_library(module: &str) -> bool {
    JVM_LIBRARY.is_match(module)
}

/// Whether a module's name was made short: it names nothing.
pub(in crate::domain::fingerprint::g1) fn is_obfuscated(module: &str) -> bool {
    !module.is_empty() && module.split('.').all(|segment| segment.chars().count() <= 2)
}

//! Why two errors are not one: the difference of what was hashed, in words.

use serde::{Deserialize, Serialize};

use super::Item;
use crate::domain::text::bounded;

/// Characters of a value that is quoted.
const MOST_QUOTED_CHARS: usize = 160;

/// What a hash was made of, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Basis {
    /// The config.
    pub config: String,
    /// What it was made from.
    pub kind: String,
    /// Exactly what was hashed.
    pub items: Vec<Item>,
}

/// A part in which two errors differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The exception of the chain it belongs to, from 1; none for what belongs to none.
    pub exception: Option<usize>,
    /// The tag of the items.
    pub tag: String,
    /// What only the first has.
    pub only_a: Vec<String>,
    /// What only the second has.
    pub only_b: Vec<String>,
    /// The same in words.
    pub words: String,
}

/// How two errors compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// In which they differ; empty when they are one.
    pub differences: Vec<Difference>,
    /// Items that both have.
    pub n_shared: usize,
}

impl Comparison {
    /// How many items only one of them has.
    #[must_use]
    pub fn distance(&self) -> usize {
        self.differences.iter().map(|part| part.only_a.len() + part.only_b.len()).sum()
    }
}

/// The items of one part: an exception of the chain and a tag.
type Part = (Option<usize>, String);

/// Compares two bases.
#[must_use]
pub fn compare(a: &Basis, b: &Basis) -> Comparison {
    let (of_a, of_b) = (parts(&a.items), parts(&b.items));
    let mut names: Vec<&Part> = of_a.iter().map(|(part, _)| part).collect();
    names.extend(of_b.iter().map(|(part, _)| part).filter(|part| find(&of_a, part).is_empty()));
    let mut differences = Vec::new();
    let mut n_shared = 0;
    if (a.kind.as_str(), a.config.as_str()) != (b.kind.as_str(), b.config.as_str()) {
        differences.extend(by_kind(a, b));
    }
    for part in names {
        let (values_a, values_b) = (find(&of_a, part), find(&of_b, part));
        let (only_a, only_b, n_common) = apart(values_a, values_b);
        n_shared += n_common;
        if values_a == values_b {
            continue;
        }
        let (exception, tag) = part.clone();
        let words = words(&tag, exception, (&only_a, &only_b));
        differences.push(Difference { exception, tag, only_a, only_b, words });
    }
    Comparison { differences, n_shared }
}

fn by_kind(a: &Basis, b: &Basis) -> Option<Difference> {
    let difference = |tag: &str, one: &str, other: &str, words: String| Difference {
        exception: None,
        tag: tag.to_owned(),
        only_a: vec![one.to_owned()],
        only_b: vec![other.to_owned()],
        words,
    };
    if a.kind != b.kind {
        let words = format!(
            "{} decides about the first, {} about the second",
            of_kind(&a.kind),
            of_kind(&b.kind)
        );
        return Some(difference("kind", &a.kind, &b.kind, words));
    }
    let words =
        format!("the first was grouped under config {}, the second under {}", a.config, b.config);
    (a.config != b.config).then(|| difference("config", &a.config, &b.config, words))
}

fn of_kind(kind: &str) -> &str {
    match kind {
        "exception" => "the exception",
        "message" => "the message",
        "csp" => "the violated policy",
        "template" => "the template",
        "stack" => "the stack",
        "builtin" => "a built-in rule",
        "custom" | "hybrid" => "a chosen fingerprint",
        _ => "next to nothing",
    }
}

/// Items by the part they belong to, in their order.
fn parts(items: &[Item]) -> Vec<(Part, Vec<String>)> {
    let mut parts: Vec<(Part, Vec<String>)> = Vec::new();
    let mut exception = None;
    for (tag, value) in items {
        if tag == "exc" {
            exception = value.parse::<usize>().ok().map(|ordinal| ordinal + 1);
            continue;
        }
        let part = (exception, tag.clone());
        match parts.iter_mut().find(|(known, _)| *known == part) {
            Some((_, values)) => values.push(value.clone()),
            None => parts.push((part, vec![value.clone()])),
        }
    }
    parts
}

fn find<'a>(parts: &'a [(Part, Vec<String>)], part: &Part) -> &'a [String] {
    parts.iter().find(|(known, _)| known == part).map_or(&[], |(_, values)| values)
}

/// What only one list has, and how many values both have.
fn apart(a: &[String], b: &[String]) -> (Vec<String>, Vec<String>, usize) {
    let mut only_b: Vec<&String> = b.iter().collect();
    let mut only_a = Vec::new();
    for value in a {
        match only_b.iter().position(|other| *other == value) {
            Some(at) => {
                only_b.remove(at);
            }
            None => only_a.push(value.clone()),
        }
    }
    let n_common = a.len() - only_a.len();
    (only_a, only_b.into_iter().cloned().collect(), n_common)
}

fn words(tag: &str, exception: Option<usize>, (a, b): (&[String], &[String])) -> String {
    let place = match exception {
        None | Some(1) => String::new(),
        Some(ordinal) => format!(" of exception {ordinal} of the chain"),
    };
    let what = match tag {
        "type" => "the type",
        "frame" => "the frames near the crash",
        "source" => "the crashing line",
        "caller" => "the line that called it",
        "message" => "the message without its values",
        "family" => "the runtime",
        "group" => "the type of the group",
        "ns" => "domain and code",
        "fp" => "the chosen fingerprint",
        "default" => "the default that is mixed in",
        "rule" => "what the built-in rule saw",
        "directive" => "the violated directive",
        "transaction" => "the route",
        "logger" => "the logger",
        "file" => "the template",
        _ => tag,
    };
    let quoted = |values: &[String]| {
        let quoted: Vec<String> =
            values.iter().map(|value| format!("`{}`", bounded(value, MOST_QUOTED_CHARS))).collect();
        quoted.join(", ")
    };
    match (a.is_empty(), b.is_empty()) {
        (true, true) => format!("{what}{place}: the same, in another order"),
        (false, true) => format!("{what}{place}: only the first has {}", quoted(a)),
        (true, false) => format!("{what}{place}: only the second has {}", quoted(b)),
        (false, false) => {
            format!("{what}{place}: {} in the first, {} in the second", quoted(a), quoted(b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(kind: &str, items: &[(&str, &str)]) -> Basis {
        let item = |(tag, value): &(&str, &str)| ((*tag).to_owned(), (*value).to_owned());
        let items = items.iter().map(item).collect();
        Basis { config: "g1".to_owned(), kind: kind.to_owned(), items }
    }

    fn words_of(a: &Basis, b: &Basis) -> Vec<String> {
        compare(a, b).differences.into_iter().map(|difference| difference.words).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let common = [("family", "python"), ("exc", "0"), ("type", "KeyError")];
        let one = [&common[..], &[("frame", "shop|post"), ("source", "a['x']")]].concat();
        let two = [&common[..], &[("frame", "shop|get"), ("source", "a['x']")]].concat();
        let (a, b) = (basis("exception", &one), basis("exception", &two));
        assert_eq!(
            words_of(&a, &b),
            ["the frames near the crash: `shop|post` in the first, `shop|get` in the second"]
        );
        let compared = compare(&a, &b);
        assert_eq!((compared.n_shared, compared.distance()), (3, 2));
        assert!(words_of(&a, &a).is_empty());
    }

    #[test]
    fn a_cause_more_and_another_kind_are_named() {
        let one = [("exc", "0"), ("type", "A")];
        let two = [("exc", "0"), ("type", "A"), ("exc", "1"), ("type", "B")];
        assert_eq!(
            words_of(&basis("exception", &one), &basis("exception", &two)),
            ["the type of exception 2 of the chain: only the second has `B`"]
        );
        let message = basis("message", &[("message", "x")]);
        assert_eq!(
            words_of(&basis("exception", &one), &message).first().map(String::as_str),
            Some("the exception decides about the first, the message about the second")
        );
    }

    #[test]
    fn an_order_is_a_difference() {
        let one = basis("stack", &[("frame", "a|x"), ("frame", "b|y")]);
        let two = basis("stack", &[("frame", "b|y"), ("frame", "a|x")]);
        assert_eq!(words_of(&one, &two), ["the frames near the crash: the same, in another order"]);
    }
}

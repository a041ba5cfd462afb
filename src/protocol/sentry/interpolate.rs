//! Filling the parameters of a log message in.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::super::lenient;

/// Fills `params` in where `template` has placeholders: `%s` and its kin, `%(name)s`, or, when
/// there is none of these, `{}`, `{0}` and `{name}`. Names are looked up in the only parameter,
/// when that is an object. What has no parameter stays as it is.
///
/// Widths and flags are ignored. The text may exceed `most` characters by one parameter.
pub(super) fn interpolate(template: &str, params: &[Value], most: usize) -> String {
    if params.is_empty() {
        return template.to_owned();
    }
    let mut printf = Filler { params, next: 0, n_filled: 0, out: String::new() };
    printf.percents(template, most);
    if printf.n_filled > 0 {
        return printf.out;
    }
    let mut braces = Filler { params, next: 0, n_filled: 0, out: String::new() };
    braces.braces(template, most);
    if braces.n_filled > 0 { braces.out } else { template.to_owned() }
}

struct Filler<'a> {
    params: &'a [Value],
    /// The next parameter without a name.
    next: usize,
    n_filled: usize,
    out: String,
}

impl<'a> Filler<'a> {
    fn percents(&mut self, template: &str, most: usize) {
        let mut rest = template.chars().peekable();
        while let Some(character) = rest.next() {
            if self.out.len() > most.saturating_mul(4) {
                return;
            }
            if character != '%' {
                self.out.push(character);
            } else if rest.next_if_eq(&'%').is_some() {
                self.out.push('%');
            } else {
                let mut read = String::from('%');
                match self.directive(&mut rest, &mut read) {
                    Some(text) => self.fill(&text),
                    None => self.out.push_str(&read),
                }
            }
        }
    }

    /// Reads one directive behind its `%`; what was read is in `read`.
    fn directive(&mut self, rest: &mut Peekable<Chars<'_>>, read: &mut String) -> Option<String> {
        let mut name = None;
        if take_if(rest, read, |character| character == '(').is_some() {
            let inside = take_while(rest, read, |character| character != ')');
            take_if(rest, read, |character| character == ')')?;
            name = Some(inside);
        }
        take_while(rest, read, |character| matches!(character, '-' | '+' | '#' | '0'..='9'));
        let mut decimals = None;
        if take_if(rest, read, |character| character == '.').is_some() {
            let digits = take_while(rest, read, |character| character.is_ascii_digit());
            decimals = Some(digits.parse::<usize>().unwrap_or(0).min(20));
        }
        let kind = take_if(rest, read, |character| "sdiuxXofFeEgGrajOc".contains(character))?;
        let value = match name {
            Some(name) => self.named(&name)?,
            None => self.following()?,
        };
        Some(directive_text(value, kind, decimals))
    }

    fn braces(&mut self, template: &str, most: usize) {
        let mut rest = template.chars().peekable();
        while let Some(character) = rest.next() {
            if self.out.len() > most.saturating_mul(4) {
                return;
            }
            if character != '{' {
                self.out.push(character);
                continue;
            }
            let mut read = String::from('{');
            let inside =
                take_while(&mut rest, &mut read, |character| !matches!(character, '{' | '}'));
            let value = take_if(&mut rest, &mut read, |character| character == '}')
                .and_then(|_| self.field(&inside));
            match value {
                Some(value) => self.fill(&plain_text(value)),
                None => self.out.push_str(&read),
            }
        }
    }

    /// The parameter of `{inside}`; formats behind `:` and `!` are ignored.
    fn field(&mut self, inside: &str) -> Option<&'a Value> {
        let name = inside.split([':', '!']).next().unwrap_or_default().trim();
        if name.is_empty() {
            return self.following();
        }
        match name.parse::<usize>() {
            Ok(position) => self.params.get(position),
            Err(_) => self.named(name),
        }
    }

    fn following(&mut self) -> Option<&'a Value> {
        let value = self.params.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(value)
    }

    fn named(&self, name: &str) -> Option<&'a Value> {
        match self.params {
            [Value::Object(named)] => named.get(name),
            _ => None,
        }
    }

    fn fill(&mut self, text: &str) {
        self.out.push_str(text);
        self.n_filled = self.n_filled.saturating_add(1);
    }
}

fn take_if(
    rest: &mut Peekable<Chars<'_>>,
    read: &mut String,
    wanted: impl FnOnce(char) -> bool,
) -> Option<char> {
    let character = rest.next_if(|character| wanted(*character))?;
    read.push(character);
    Some(character)
}

fn take_while(
    rest: &mut Peekable<Chars<'_>>,
    read: &mut String,
    wanted: impl Fn(char) -> bool,
) -> String {
    let mut taken = String::new();
    while let Some(character) = take_if(rest, read, &wanted) {
        taken.push(character);
    }
    taken
}

fn plain_text(value: &Value) -> String {
    lenient::text_or_json(value.clone()).unwrap_or_else(|| "None".to_owned())
}

fn directive_text(value: &Value, kind: char, decimals: Option<usize>) -> String {
    let formatted = match kind {
        'f' | 'F' => value.as_f64().map(|float| format!("{float:.*}", decimals.unwrap_or(6))),
        'x' => value.as_i64().filter(|number| *number >= 0).map(|number| format!("{number:x}")),
        'X' => value.as_i64().filter(|number| *number >= 0).map(|number| format!("{number:X}")),
        'o' => value.as_i64().filter(|number| *number >= 0).map(|number| format!("{number:o}")),
        'r' | 'a' => value.as_str().map(|text| format!("'{text}'")),
        _ => None,
    };
    formatted.unwrap_or_else(|| plain_text(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_of_all_kinds() {
        let cases = [
            ("Backup failed on %s", json!(["db-1"]), "Backup failed on db-1"),
            ("%s of %d (%i) %%", json!(["a", 2, 3]), "a of 2 (3) %"),
            ("%.2f € %x %X %5d %-3s|", json!([1.005, 255, 255, 7, "a"]), "1.00 € ff FF 7 a|"),
            ("%r %s", json!(["x", null]), "'x' None"),
            ("%(name)s is %(age)d", json!([{"name": "Zoë", "age": 7}]), "Zoë is 7"),
            ("one %s two %s", json!(["a"]), "one a two %s"),
            ("{} and {}", json!([1, true]), "1 and true"),
            ("{1} {0} {2}", json!(["a", "b"]), "b a {2}"),
            ("{name!r:>5} {other}", json!([{"name": "x"}]), "x {other}"),
            ("100% done {}", json!(["a"]), "100% done a"),
            ("payload {} for %s", json!(["a"]), "payload {} for a"),
            ("none %", json!(["a"]), "none %"),
            ("open %(name", json!([{"name": 1}]), "open %(name"),
            ("%s", json!([{"a": [1]}]), r#"{"a":[1]}"#),
            ("%s", json!([]), "%s"),
        ];
        for (template, params, expected) in cases {
            let params = params.as_array().expect("a list").clone();
            assert_eq!(interpolate(template, &params, 100), expected, "{template}");
        }
    }

    proptest! {
        #[test]
        fn no_template_makes_it_panic(template in r"([%{}()!:.*a-z0-9é]|%s|\{0\}){0,20}", long: String) {
            let params = [json!(long), json!(2), json!({"a": 1})];
            let _ = interpolate(&template, &params, 50);
            let _ = interpolate(&template, &[json!({"a": 1})], 50);
        }
    }
}

//! Making JSON fit what the parser follows: closing what was cut off, and cutting what is too deep
//! or too much.

/// Levels of lists and objects within each other; the parser itself gives up at 128.
pub const MOST_LEVELS: usize = 100;

/// Values of a report, counted by their brackets and commas. A small text can describe values that
/// take a hundred times its own memory.
pub const MOST_VALUES: usize = 100_000;

/// Stands where something was cut.
const CUT: &str = "\"[cut]\"";

/// JSON that ends properly, and what it took.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    /// The JSON.
    pub(super) text: String,
    /// Lists and objects that were too deep.
    pub(super) n_deep: usize,
    /// Whether there were too many values.
    pub(super) has_too_many: bool,
}

/// Whether a text may describe too many values. Cheap, and never wrong when it says no.
pub(super) fn may_have_too_many(text: &str) -> bool {
    text.len() > MOST_VALUES
        && text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > MOST_VALUES
}

/// What comes next in a list or object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Key,
    Value,
    /// The member is whole.
    Done,
}

/// A list or object that is open.
#[derive(Debug)]
struct Level {
    is_object: bool,
    /// Where in the text its current member begins, with the comma before it.
    member_start: usize,
    phase: Phase,
}

/// Follows JSON as far as its brackets and strings go. Anything else is the parser's business.
#[derive(Debug, Default)]
struct Scanner {
    out: Bounded,
    levels: Vec<Level>,
    n_values: usize,
    /// Levels within one that is too deep.
    n_skipped: usize,
    in_string: bool,
    is_escaped: bool,
}

/// Rewrites `text` within [`MOST_LEVELS`] and [`MOST_VALUES`]. What `is_cut`, by whoever sent it or
/// here, is closed; anything else that does not end stays so.
pub(super) fn bound(text: &str, is_cut: bool) -> Bounded {
    let mut scanner = Scanner::default();
    scanner.out.text.reserve(text.len().saturating_add(64));
    for character in text.chars() {
        if scanner.in_string {
            scanner.in_string(character);
        } else {
            scanner.outside(character);
        }
        if scanner.n_values > MOST_VALUES {
            scanner.out.has_too_many = true;
            break;
        }
    }
    if is_cut || scanner.out.has_too_many {
        scanner.close();
    }
    scanner.out
}

impl Scanner {
    fn push(&mut self, character: char) {
        if self.n_skipped == 0 {
            self.out.text.push(character);
        }
    }

    fn in_string(&mut self, character: char) {
        self.push(character);
        match character {
            _ if self.is_escaped => self.is_escaped = false,
            '\\' => self.is_escaped = true,
            '"' => {
                self.in_string = false;
                if self.phase() == Some(Phase::Value) {
                    self.set_phase(Phase::Done);
                }
            }
            _ => {}
        }
    }

    fn outside(&mut self, character: char) {
        match character {
            '"' => {
                self.push(character);
                self.in_string = true;
            }
            '[' | '{' => self.open(character),
            ']' | '}' => self.shut(character),
            ':' => {
                self.push(character);
                self.set_phase(Phase::Value);
            }
            ',' => {
                if self.n_skipped == 0
                    && let Some(level) = self.levels.last_mut()
                {
                    self.n_values += 1;
                    level.member_start = self.out.text.len();
                    level.phase = if level.is_object { Phase::Key } else { Phase::Value };
                }
                self.push(character);
            }
            _ => self.push(character),
        }
    }

    fn open(&mut self, bracket: char) {
        if self.n_skipped > 0 {
            self.n_skipped += 1;
            return;
        }
        self.n_values += 1;
        if self.levels.len() >= MOST_LEVELS {
            self.out.text.push_str(CUT);
            self.out.n_deep += 1;
            self.n_skipped = 1;
        } else {
            self.push(bracket);
            let is_object = bracket == '{';
            let phase = if is_object { Phase::Key } else { Phase::Value };
            self.levels.push(Level { is_object, member_start: self.out.text.len(), phase });
        }
    }

    fn shut(&mut self, bracket: char) {
        if self.n_skipped > 0 {
            self.n_skipped -= 1;
        } else {
            self.push(bracket);
            self.levels.pop();
        }
        self.set_phase(Phase::Done);
    }

    fn phase(&self) -> Option<Phase> {
        self.levels.last().filter(|_| self.n_skipped == 0).map(|level| level.phase)
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.n_skipped == 0
            && let Some(level) = self.levels.last_mut()
        {
            level.phase = phase;
        }
    }

    /// Ends the text here: the string that is open is kept as far as it goes, a member that is not
    /// whole is left out, and everything is closed.
    fn close(&mut self) {
        let is_value = self.in_string && self.phase() == Some(Phase::Value);
        if is_value {
            if self.is_escaped {
                self.out.text.pop();
            }
            self.out.text.push('"');
        } else if self.n_skipped == 0
            && let Some(level) = self.levels.last()
            && level.phase != Phase::Done
        {
            self.out.text.truncate(level.member_start);
        }
        while let Some(level) = self.levels.pop() {
            self.out.text.push(if level.is_object { '}' } else { ']' });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_was_cut_off_is_closed_and_half_members_are_left_out() {
        for (text, expected) in [
            (r#"{"a": "one tw"#, r#"{"a": "one tw"}"#),
            (r#"{"a": "one\"#, r#"{"a": "one"}"#),
            (r#"{"a": 1, "b"#, r#"{"a": 1}"#),
            (r#"{"a": 1, "b": "#, r#"{"a": 1}"#),
            (r#"{"a": 1, "b": tru"#, r#"{"a": 1}"#),
            (r#"{"a": [1, {"b": "x"}, 2"#, r#"{"a": [1, {"b": "x"}]}"#),
            (r#"{"a": [{"b": "}]"#, r#"{"a": [{"b": "}]"}]}"#),
            (r#"{"a": {"#, r#"{"a": {}}"#),
            (r#"{"a": "x"}"#, r#"{"a": "x"}"#),
            ("{", "{}"),
        ] {
            assert_eq!(bound(text, true).text, expected, "{text}");
        }
        assert_eq!(bound(r#"{"a": "#, false).text, r#"{"a": "#);
    }

    #[test]
    fn what_is_too_deep_is_cut_and_its_neighbours_stay() {
        let deep = format!("{}\"[{{\"{}", "[".repeat(100_000), "]".repeat(100_000));
        let bounded = bound(&format!("{{\"a\": {deep}, \"b\": 1}}"), false);
        assert_eq!(bounded.n_deep, 1);
        let value: Value = serde_json::from_str(&bounded.text).expect("JSON");
        assert_eq!(value["b"], 1);
        assert!(value["a"].to_string().contains("[cut]"));
    }

    #[test]
    fn what_is_too_much_is_cut() {
        let many = format!("{{\"a\": 1, \"b\": [{}]}}", "{\"\":0},".repeat(200_000));
        assert!(may_have_too_many(&many));
        let bounded = bound(&many, false);
        assert!(bounded.has_too_many);
        let value: Value = serde_json::from_str(&bounded.text).expect("JSON");
        assert_eq!(value["a"], 1);
        let n_kept = value["b"].as_array().expect("a list").len();
        assert!((MOST_VALUES / 2 - 2..=MOST_VALUES / 2).contains(&n_kept), "{n_kept}");
    }

    proptest! {
        /// Wherever JSON is cut, what is left of it is JSON.
        #[test]
        fn any_beginning_becomes_json(at in 1usize..400) {
            let whole = json!({
                "message": "a \"quoted\" \\ text, [with] {brackets} \u{fffd}",
                "extra": {"list": [1, -2.5e9, true, null, [[]], {}], "": {"x": "é\n"}},
                "tags": [["a", "b"], ["c", "d"]],
            })
            .to_string();
            let at = (0..=at.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
            if let Some(beginning) = whole.get(..at).filter(|text| !text.is_empty()) {
                let bounded = bound(beginning, true);
                let value: Result<Value, _> = serde_json::from_str(&bounded.text);
                prop_assert!(value.is_ok_and(|value| value.is_object()), "{} -> {}", beginning, bounded.text);
            }
        }

        #[test]
        fn json_within_the_bounds_stays_as_it_is(text in r#"([\[\]{}",:\\]|\\u|d8|é|0|-|N|\n){0,60}"#) {
            prop_assert_eq!(&bound(&text, false).text, &text);
        }
    }
}

//! The rules of values, in the order of their priority at one place.

use std::sync::LazyLock;

use regex_automata::meta::{BuildError, Regex};
use regex_automata::{Anchored, Input};

use super::scan::{Scan, char_before, joins_path};

/// What a match becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stays as it is.
    Keep,
    /// Is a value.
    Value,
    /// Is a value; begins where no word goes on.
    Path,
    /// `Name@1a2b3c` → `Name@<*>`.
    ObjectReference,
    /// `<Foo object at 0x…>` → `<Foo>`.
    Representation,
    /// `[SQL: …` → `[SQL]`.
    Sql,
    /// `IN (1, 2)` → `IN (<*>)`.
    InList,
    /// `<local4>` → `<local>`.
    Local,
    /// Is a value where a parser takes it for an address; otherwise a word.
    Ip6,
    /// `pi_3Nx…` → `pi_<*>`.
    Prefixed,
    /// As [`super::word`] says.
    Word,
}

/// A match that begins where it was looked for.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) kind: Kind,
    pub(super) end: usize,
}

/// A rule.
struct Rule {
    kind: Kind,
    /// Whether a match can begin here, as far as it is seen cheaply.
    can_begin: fn(&Scan<'_>, usize) -> bool,
    /// Whether a match ends where a word does.
    ends_word: bool,
    pattern: Regex,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $kind:ident, $can_begin:expr, $pattern:expr;)*) => {
        static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| vec![$(Rule {
            kind: Kind::$kind,
            can_begin: $can_begin,
            ends_word: $pattern.ends_with(r"\b"),
            pattern: compile($pattern),
        }),*]);
    };
}

/// Ends of words are those of ASCII: no automaton finds others in linear time. Letters of other
/// alphabets are looked for beside a match.
fn compile(pattern: &str) -> Regex {
    let pattern = pattern.replace(r"\b", r"(?-u:\b)");
    let built: Result<Regex, Box<BuildError>> = Regex::new(&pattern).map_err(Box::new);
    built.expect("every rule is compiled by a test")
}

const MONTHS: &str = "(?:[Jj]anuar|[Ff]ebruar|[Mm]ärz|[Mm]ai|[Jj]uni|[Jj]uli|[Oo]ktober|[Dd]ezember|janvier|février|mars|avril|juin|juillet|août|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)";
const DAYS: &str = r"(?:(?:Mon|Tues?|Wed|Thu(?:rs)?|Fri|Sat|Sun)\w*,? )?";

/// ISO 8601, RFC 822, 850, 1123 and 3339, what JavaScript prints, and dates as people write them.
fn date() -> String {
    [
        r"\b(?:\d{4}-?[01]\d-?[0-3]\d)[T ][0-2]\d:?[0-5]\d(?::?[0-6]\d)?(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?(?:\d\d:\d\d)?",
        r"|\b\d{4}-[01]\d-[0-3]\d\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b",
        &format!(r"|\b{DAYS}\d{{1,2}}\.?[ -]{MONTHS}[ -]\d{{2,4}}"),
        r"(?: \d{1,2}:\d\d(?::\d\d)?)?(?: (?:[A-Z]{2,4}|[+-]\d{4})\b)?",
        r"|\d{4}年\d{1,2}月\d{1,2}日",
        &format!(r"|\b{DAYS}{MONTHS}\.? \d{{1,2}}"),
        r"(?:,? \d{4}|(?: \d\d:\d\d:\d\d)? \d{4})(?: \d\d:\d\d:\d\d)?(?: GMT[+-]\d{4})?(?: \([^)]*\))?",
        r"|datetime\.datetime\([^)]*\)",
        r"|\b[0-2]?\d:[0-5]\d(?::[0-6]\d)?(?:[.,]\d+)?(?: ?[aApP][mM])?\b",
    ]
    .concat()
}

rules! {
    /// Codes that tell one fault from another.
    Keep, |scan, at| scan.can_begin_code(at),
        r"SQLSTATE\[[0-9A-Z]{5}\]|\bORA-\d{5}\b|\b(?:TS|CS|E|C|LNK)\d{4}\b|\b(?:os error|[Ee]rrno:?|exit (?:code|status)|[Ss]ignal|error #|[Ee]rror code:?) ?\d{1,6}\b|\[(?:Errno|WinError) -?\d+\]|\b0x8[0-9a-fA-F]{7}\b|\b(?i:utf|iso|sha|aes|rsa|windows|cp|http|base|x86|es)-\d{1,5}(?:-\d{1,2})?\b|\b(?i:HTTP)/\d(?:\.\d)?\b";
    /// JSON Web Tokens.
    Value, |scan, at| scan.starts_with(at, "eyJ"),
        r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?";
    /// Addresses of any scheme.
    Value, |scan, at| scan.can_begin_url(at),
        r#"\b(?:blob:|data:|view-source:)?[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s"'<>`]+|\bdata:[a-z]+/[a-z0-9.+-]+[;,][^\s"'<>]*"#;
    ObjectReference, |scan, at| scan.can_begin_object_reference(at), r"\b[A-Za-z_$][\w$.]*@[0-9a-f]{4,16}\b";
    /// Mail addresses.
    Value, |scan, at| scan.can_begin_email(at),
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+";
    Representation, |scan, at| scan.can_begin_representation(at),
        r"<[A-Za-z_][\w.$]*(?: object)? at 0x[0-9a-fA-F]+>|#<[A-Z][\w:]*(?::0x[0-9a-fA-F]+)?[^>]{0,400}>";
    Sql, |scan, at| scan.starts_with(at, "[SQL: "), r"\[SQL: [\s\S]*\]?$";
    InList, |scan, at| scan.is(at, b"iI") && scan.is(at + 1, b"nN") && scan.begins_word(at),
        r"\b(?i:in)\s*\(\s*[^()\s,]+(?:\s*,\s*[^()\s,]+)*\s*\)";
    Local, |scan, at| scan.starts_with(at, "<local"), r"<local\d+>";
    /// Traces of W3C and AWS.
    Value, |scan, at| scan.is_hex(at) && (scan.is(at + 2, b"-") || scan.is(at + 1, b"-")),
        r"\b[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b|\b1-[0-9a-f]{8}-[0-9a-f]{24}\b";
    /// UUIDs.
    Value, |scan, at| (scan.is_hex(at) && scan.is(at + 8, b"-")) || scan.is(at, b"{"),
        r"\{?\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b\}?";
    Value, |scan, at| scan.can_begin_date(at), &date();
    /// Addresses of network cards.
    Value, |scan, at| scan.is_hex(at) && scan.is(at + 2, b":-"),
        r"\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b";
    /// Addresses of IPv4.
    Value, |scan, at| scan.is_digit(at), r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5}|/\d{1,2})?\b";
    Ip6, |scan, at| scan.can_begin_ip6(at),
        r"\[?[0-9a-fA-F]{0,4}:[0-9a-fA-F:]{0,38}:[0-9a-fA-F.]{0,15}\]?(?::\d{1,5}|/\d{1,3})?";
    /// Paths of Windows.
    Value, |scan, at| scan.is(at, b"\\") || scan.is(at + 1, b":"),
        r#"\b[A-Za-z]:[\\/][^\s"'<>|:*?,;)\]]*|\\\\[\w.$-]+\\[^\s"'<>|:*?,;)\]]+"#;
    /// Paths of Unix.
    Path, |scan, at| scan.can_begin_path(at),
        r"(?:~|\.{1,2})?(?:/[\w.@%+~=$-]+){2,}/?|~/[\w./-]+";
    Prefixed, |scan, at| scan.can_begin_prefix(at),
        r"\b[a-z]{2,10}(?:_(?:test|live))?_[A-Za-z0-9]{8,}\b";
    /// Files whose names have digits.
    Value, |scan, at| scan.can_begin_file(at),
        r"\b[\w.%()+-]*\d[\w.%()+-]*\.(?i:jpe?g|png|gif|webp|tiff?|bmp|svg|pdf|csv|tsv|xlsx?|docx?|pptx?|zip|gz|tgz|tar|bz2|zst|mp[34]|mov|avi|wav|json|jsonl|ndjson|xml|ya?ml|txt|log|html?|parquet|avro|bak|tmp|dat|bin|dump|sqlite|db)\b";
    /// Hosts by name.
    Value, |scan, at| scan.can_begin_host(at),
        r"\b(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:com|net|org|io|dev|app|cloud|internal|local|lan|edu|gov|info|biz|de|uk|fr|nl|eu|ch|at|it|es|pl|se|no|fi|dk|jp|cn|br|au|ca|us|ru|kr|example|test)\b(?::\d{1,5})?";
    /// Numbers in hex.
    Value, |scan, at| scan.is(at, b"0") && scan.is(at + 1, b"xX"), r"\b0[xX][0-9a-fA-F]+\b";
    /// Durations of ISO 8601.
    Value, |scan, at| scan.is(at, b"P") && scan.begins_word(at),
        r"\bP(?:\d+[YMWD])*(?:T(?:\d+(?:\.\d+)?[HMS])+)?\b";
    /// Amounts of money.
    Value, |scan, at| scan.is(at, b"$") || scan.is_currency(at) || scan.ends_in_unit(at),
        r"[$€£¥₹] ?\d[\d.,]*|\b\d[\d.,]* ?(?:USD|EUR|GBP|JPY|CHF|SEK|NOK|DKK|PLN|CAD|AUD|INR|BRL|CNY)\b|\b\d[\d.,]* ?(?:zł|€|£)";
    /// Parameters of SQL.
    Value, |scan, at| scan.is(at, b"$"), r"\$\d+\b";
    /// Quantities with their units.
    Value, |scan, at| scan.ends_in_unit(at),
        r"[-+]?\b(?:\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)? ?(?i:ns|µs|us|ms|msecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|b|bytes?|[kmgtp]i?b|[kmgtp]bps|rps|qps|px|pt|em|hz|[kmg]hz))(?: ?\d+(?:[.,]\d+)* ?(?i:ns|µs|us|ms|s|m|h|d|mins?|secs?))*\b";
    /// Numbers that are more than digits.
    Value, |scan, at| scan.can_begin_number(at),
        r"[-+]?\b\d{1,3}(?:\.\d{3})+,\d+\b|[-+]?\b\d{1,3}(?:,\d{3})+(?:\.\d+)?\b%?|[-+]?\b\d+(?:\.\d+)+\b%?|[-+]?\b\d+(?:[eE][+-]?\d+)?%";
}

impl Rule {
    /// Whether a match can begin after a letter of another alphabet.
    fn begins_anywhere(&self) -> bool {
        matches!(self.kind, Kind::Path | Kind::Ip6 | Kind::Representation | Kind::Sql | Kind::Local)
    }
}

/// The match that begins at a place; the first rule wins.
pub(super) fn find(scan: &Scan<'_>, at: usize) -> Option<Match> {
    let is_in_word = scan.continues_word(at);
    let is_in_path = joins_path(char_before(scan.text, at));
    let by_rule = RULES
        .iter()
        .filter(|rule| scan.sees_everything || (rule.can_begin)(scan, at))
        .find_map(|rule| {
            let input = Input::new(scan.text).range(at..).anchored(Anchored::Yes);
            let end = rule.pattern.search(&input)?.end();
            let is_cut_off = (is_in_word && !rule.begins_anywhere())
                || (is_in_path && rule.kind == Kind::Path)
                || (rule.ends_word && scan.is_continued_by_letter(end));
            (end > at && !is_cut_off).then_some(Match { kind: rule.kind, end })
        });
    by_rule.or_else(|| {
        let end = word_end(scan.text, at);
        (end > at).then_some(Match { kind: Kind::Word, end })
    })
}

/// The end of the run of letters, digits and underscores that begins at a place.
pub(super) fn word_end(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    at + rest.iter().take_while(|byte| is_word(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_and_none_matches_nothing() {
        for rule in RULES.iter() {
            assert!(!rule.pattern.is_match(""), "{:?} {:?}", rule.kind, rule.pattern);
        }
    }

    #[test]
    fn no_cheap_look_hides_a_match() {
        let texts = include_str!("../../../../../tests/fixtures/grouping/messages.txt");
        for text in texts.lines() {
            for (at, _) in text.char_indices() {
                let found = find(&Scan::new(text), at).map(|found| (found.kind, found.end));
                let expected = find(&Scan::seeing_everything(text), at);
                let expected = expected.map(|found| (found.kind, found.end));
                assert_eq!(found, expected, "{text:?} at {at}");
            }
        }
    }
}

//! Names that say that a value is secret.
//!
//! A name is split into words (see `words`), and compared without regard to case and separators.

use super::beginnings::Beginnings;
use super::rules::{IpAddresses, ScrubRules};
use super::words::{WordList, Words};

/// Secret wherever they stand in a name, also without separators: `csrfmiddlewaretoken`.
const ANYWHERE: &[&str] = &[
    "accesskey",
    "accountkey",
    "apikey",
    "authkey",
    "authorization",
    "bearer",
    "cardnum",
    "ccnum",
    "cookie",
    "credential",
    "creditcard",
    "csrf",
    "encryptionkey",
    "masterkey",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "pgpass",
    "privatekey",
    "secret",
    "securitycode",
    "sessid",
    "sessiondata",
    "sessionid",
    "sessionkey",
    "sharedkey",
    "signingkey",
    "socialsecurity",
    "sshkey",
    "token",
    "xamzsignature",
    "xgoogsignature",
    "xsrf",
];

/// Secret as the last word of a name; elsewhere they mean other things: `passed`, `session_count`.
const LAST: &[&str] = &[
    "auth", "cred", "creds", "cvc", "cvv", "iban", "jwt", "oauth", "otp", "pass", "pin", "pw",
    "pwd", "sess", "session", "sid", "ssn",
];

/// Behind one of [`LAST`] these still name the secret: `pin_code`, `passHash`, `auth_header`.
const CARRIERS: &[&str] = &["code", "hash", "header", "value"];

/// The number of a session or a pass counts; that of one of these is the secret.
const NUMBERED: &[&str] = &["cvc", "cvv", "iban", "otp", "pin", "ssn"];

/// A name that ends in one of these tells about a secret, not the secret.
const ABOUT: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "at",
    "count",
    "enabled",
    "endpoint",
    "exists",
    "expiration",
    "expires",
    "expiry",
    "field",
    "file",
    "host",
    "in",
    "issuer",
    "len",
    "length",
    "limit",
    "name",
    "names",
    "path",
    "policy",
    "present",
    "provider",
    "required",
    "scheme",
    "status",
    "strategy",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "used",
    "valid",
];

/// Harmless, although they look like secrets.
const HARMLESS: &[&str] = &[
    "completiontokens",
    "inputtokens",
    "maxtokens",
    "mintokens",
    "ntokens",
    "numtokens",
    "outputtokens",
    "prompttokens",
    "publickey",
    "tokenize",
    "tokenized",
    "tokenizer",
    "tokens",
    "totaltokens",
];

/// Beginnings of names that may be secret, for a text's single pass; [`Names::class_of`] decides.
pub(super) const HINTS: &[&str] = &[
    "auth",
    "card",
    "ccnum",
    "cookie",
    "cred",
    "csrf",
    "cvc",
    "cvv",
    "iban",
    "jwt",
    "key",
    "otp",
    "pass",
    "pin",
    "pw",
    "secret",
    "securitycode",
    "security_code",
    "security-code",
    "sess",
    "sid",
    "sig",
    "socialsecurity",
    "social_security",
    "social-security",
    "ssn",
    "token",
    "xsrf",
];

/// Names under which addresses of people's machines come, beside those that end in `ip`,
/// `ip_address` and `ip_addr`.
const IP_NAMES: &[&str] = &[
    "clientaddr",
    "clientaddress",
    "clientip",
    "forwarded",
    "forwardedfor",
    "httpforwarded",
    "httpxforwardedfor",
    "ipaddr",
    "ipaddress",
    "ipaddresses",
    "ips",
    "ipv4",
    "ipv6",
    "peeraddr",
    "peeraddress",
    "remoteaddr",
    "remoteaddress",
    "remoteip",
    "sourceaddress",
    "sourceip",
    "trueclientip",
    "userip",
    "xforwardedfor",
];

/// Names of signatures, which stand for who signed; functions and crashes have such names too.
const SIGNATURES: &[&str] = &["sig", "signature"];

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing.
    Plain,
    /// It is secret.
    Secret,
    /// It is secret, and runs to the end of the line when nothing quotes it: headers.
    SecretLine,
    /// It is secret if it looks like one: `key`, `signature`.
    Suspicious,
    /// It is an address of somebody's machine.
    IpAddress,
}

/// What a name tells about that sounds like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// How many tokens there are; where it holds texts, they are the tokens.
    Tokens,
    /// A secret's type, place, age, …
    Other,
}

/// The names that count for a project.
#[derive(Debug)]
pub(super) struct Names {
    has_defaults: bool,
    has_ip_rule: bool,
    secret: Vec<Words>,
    safe: Vec<String>,
    anywhere: Option<Beginnings>,
}

impl Names {
    pub(super) fn new(rules: &ScrubRules) -> Self {
        Self {
            has_defaults: rules.defaults,
            has_ip_rule: rules.ip_addresses != IpAddresses::Keep,
            secret: rules.keys.iter().map(|key| Words::of(key)).collect(),
            safe: rules.safe_keys.iter().map(|key| Words::of(key).collapsed).collect(),
            anywhere: Beginnings::new(ANYWHERE),
        }
    }

    /// What `name` says of its value.
    pub(super) fn class_of(&self, name: &str) -> Class {
        let words = Words::of(name);
        let words = words.all();
        if words.collapsed.is_empty() || self.is_safe_name(words.collapsed) {
            return Class::Plain;
        }
        if self.is_own_of(words) {
            return Class::Secret;
        }
        if self.has_ip_rule && is_ip_name(words) {
            return Class::IpAddress;
        }
        if !self.has_defaults || tells_about(words) {
            return Class::Plain;
        }
        if words.collapsed.ends_with("authorization") || words.collapsed.ends_with("cookie") {
            return Class::SecretLine;
        }
        if self.is_secret(words) {
            return Class::Secret;
        }
        let last = words.last();
        if last == "key" || SIGNATURES.contains(&last) { Class::Suspicious } else { Class::Plain }
    }

    /// Whether a name only tells about a secret, and what its value may be all the same.
    pub(super) fn about(&self, name: &str) -> Option<About> {
        let words = Words::of(name);
        let words = words.all();
        let collapsed = words.collapsed;
        if !self.has_defaults || self.is_safe_name(collapsed) || collapsed == "publickey" {
            return None;
        }
        if HARMLESS.contains(&collapsed) {
            let is_tokens = collapsed.ends_with("tokens");
            return Some(if is_tokens { About::Tokens } else { About::Other });
        }
        let (what, _) = words.split_last().filter(|_| tells_about(words))?;
        self.is_secret(what).then_some(About::Other)
    }

    /// Whether the project says that this name is secret.
    pub(super) fn is_own(&self, name: &str) -> bool {
        !self.secret.is_empty() && self.is_own_of(Words::of(name).all()) && !self.is_safe(name)
    }

    fn is_own_of(&self, words: WordList<'_>) -> bool {
        self.secret.iter().any(|own| words.holds(own.all()))
    }

    /// Whether the built-in names count.
    pub(super) fn has_defaults(&self) -> bool {
        self.has_defaults
    }

    /// Whether the project says that this name is harmless.
    pub(super) fn is_safe(&self, name: &str) -> bool {
        !self.safe.is_empty() && self.is_safe_name(&Words::of(name).collapsed)
    }

    fn is_safe_name(&self, collapsed: &str) -> bool {
        self.safe.iter().any(|safe| safe == collapsed)
    }

    /// Whether [`Self::class_of`] need not be asked: nothing beyond the hints counts.
    pub(super) fn has_only_hints(&self) -> bool {
        !self.has_ip_rule
    }

    fn is_secret(&self, words: WordList<'_>) -> bool {
        let anywhere = self.anywhere.as_ref();
        ends_secret(words) || anywhere.is_some_and(|all| all.find(words.collapsed, 0).is_some())
    }
}

/// Whether a name ends as a signature's does.
pub(super) fn is_signature(name: &str) -> bool {
    SIGNATURES.contains(&Words::of(name).all().last())
}

fn is_ip_name(words: WordList<'_>) -> bool {
    let (before, last) = words.last_two();
    let ends = before == "ip" && matches!(last, "address" | "addr");
    ends || last == "ip" || IP_NAMES.contains(&words.collapsed)
}

fn tells_about(words: WordList<'_>) -> bool {
    let (before, last) = words.last_two();
    !before.is_empty() && ABOUT.contains(&last) || HARMLESS.contains(&words.collapsed)
}

/// Whether a name ends in a secret's: `userPin`, `cvv2`, `pin_code`.
fn ends_secret(words: WordList<'_>) -> bool {
    let is_among = |names: &[&str], word: &str| {
        names.contains(&word.trim_end_matches(|digit: char| digit.is_ascii_digit()))
    };
    let (before, last) = words.last_two();
    CARRIERS.contains(&last) && is_among(LAST, before)
        || last == "number" && is_among(NUMBERED, before)
        || is_among(LAST, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Class {
        Names::new(&ScrubRules::default()).class_of(name)
    }

    #[test]
    fn secret_names() {
        for name in [
            "password",
            "PGPASSWORD",
            "db_passwd",
            "api_key",
            "X-Api-Key",
            "apiToken",
            "secret_note",
            "csrfmiddlewaretoken",
            "AWS_SECRET_ACCESS_KEY",
            "sessionid",
            "PHPSESSID",
            "connect.sid",
            "session",
            "user_session",
            "cvv2",
            "card_number",
            "'password'",
            "user[password]",
            "oauth",
            "private_key",
            "client_credentials",
            "cvv_code",
            "pin_code",
            "otpCode",
            "passHash",
            "auth_code",
            "ssn_number",
            "auth_header",
            "authorization_header",
            "X-Goog-Signature",
            "x_amz_signature",
        ] {
            assert_eq!(class(name), Class::Secret, "{name}");
        }
        for name in ["Authorization", "HTTP_AUTHORIZATION", "proxy-authorization", "Set-Cookie"] {
            assert_eq!(class(name), Class::SecretLine, "{name}");
        }
    }

    #[test]
    fn names_that_only_look_secret() {
        for name in [
            "",
            "author",
            "shipping",
            "inside",
            "passed",
            "compass",
            "session_count",
            "max_tokens",
            "token_type",
            "cookie_name",
            "token_url",
            "password_length",
            "keyboard",
            "trace_id",
            "side",
            "mapping",
            "discard",
            "authors",
            "TOTAL_TOKENS",
            "card",
            "tokens",
            "status_code",
            "spin_code",
            "author_code",
            "content_hash",
            "session_number",
            "pass_number",
            "header",
            "design",
            "signal",
            "signature_version",
        ] {
            assert_eq!(class(name), Class::Plain, "{name}");
        }
        for name in ["cache_key", "sig", "signature", "X-Hub-Signature"] {
            assert_eq!(class(name), Class::Suspicious, "{name}");
        }
    }

    #[test]
    fn a_project_adds_whole_words_and_takes_names_out() {
        let rules = ScrubRules {
            keys: vec!["tax id".to_owned(), "pesel".to_owned()],
            safe_keys: vec!["session".to_owned()],
            ip_addresses: IpAddresses::Scrub,
            ..ScrubRules::default()
        };
        let names = Names::new(&rules);
        for (name, expected) in [
            ("customerTaxId", Class::Secret),
            ("syntax_id", Class::Plain),
            ("PESEL", Class::Secret),
            ("session", Class::Plain),
            ("user_session", Class::Secret),
            ("X-Forwarded-For", Class::IpAddress),
            ("HTTP_X_REAL_IP", Class::IpAddress),
            ("source_ip", Class::IpAddress),
            ("user.ip", Class::IpAddress),
            ("client.address", Class::IpAddress),
            ("clientIpAddress", Class::IpAddress),
            ("zip", Class::Plain),
            ("address", Class::Plain),
            ("shipment", Class::Plain),
        ] {
            assert_eq!(names.class_of(name), expected, "{name}");
        }
    }
}

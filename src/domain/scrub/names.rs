//! Names that say that a value is secret.
//!
//! A name is split into words (`dbPassword`, `DB_PASSWORD` and `db-password` are the same two), and
//! compared without regard to case and separators.

use super::rules::{IpAddresses, ScrubRules};

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
    "xsrf",
];

/// Secret as the last word of a name; elsewhere they mean other things: `passed`, `session_count`.
const LAST: &[&str] = &[
    "auth", "cred", "creds", "cvc", "cvv", "iban", "jwt", "oauth", "otp", "pass", "pin", "pwd",
    "sess", "session", "sid", "ssn",
];

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
    "header",
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
    "pwd",
    "secret",
    "securitycode",
    "security_code",
    "security-code",
    "sess",
    "sid",
    "socialsecurity",
    "social_security",
    "social-security",
    "ssn",
    "token",
    "x-amz-signature",
    "xsrf",
];

/// Names under which addresses of people's machines come.
const IP_NAMES: &[&str] = &[
    "cfconnectingip",
    "clientaddr",
    "clientip",
    "fastlyclientip",
    "flyclientip",
    "forwarded",
    "httpclientip",
    "httpforwarded",
    "httpxclientip",
    "httpxforwardedfor",
    "httpxrealip",
    "ip",
    "ipaddress",
    "remoteaddr",
    "remoteip",
    "trueclientip",
    "xclientip",
    "xclusterclientip",
    "xforwardedfor",
    "xrealip",
];

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing.
    Plain,
    /// It is secret.
    Secret,
    /// It is secret, and runs to the end of the line when nothing quotes it: headers.
    SecretLine,
    /// It is secret if it looks like one: `key`.
    Suspicious,
    /// It is an address of somebody's machine.
    IpAddress,
}

/// The names that count for a project.
#[derive(Debug)]
pub(super) struct Names {
    has_defaults: bool,
    has_ip_rule: bool,
    secret: Vec<Vec<String>>,
    safe: Vec<String>,
}

impl Names {
    pub(super) fn new(rules: &ScrubRules) -> Self {
        Self {
            has_defaults: rules.defaults,
            has_ip_rule: rules.ip_addresses != IpAddresses::Keep,
            secret: rules.keys.iter().map(|key| words(key)).collect(),
            safe: rules.safe_keys.iter().map(|key| words(key).concat()).collect(),
        }
    }

    /// What `name` says of its value.
    pub(super) fn class_of(&self, name: &str) -> Class {
        let words = words(name);
        let collapsed = words.concat();
        if collapsed.is_empty() || self.safe.contains(&collapsed) {
            return Class::Plain;
        }
        let is_own =
            |secret: &Vec<String>| words.windows(secret.len().max(1)).any(|at| at == secret);
        if self.secret.iter().any(is_own) {
            return Class::Secret;
        }
        if self.has_ip_rule && IP_NAMES.contains(&collapsed.as_str()) {
            return Class::IpAddress;
        }
        if !self.has_defaults || HARMLESS.contains(&collapsed.as_str()) {
            return Class::Plain;
        }
        let last = words.last().map_or("", String::as_str);
        if words.len() > 1 && ABOUT.contains(&last) {
            return Class::Plain;
        }
        if collapsed.ends_with("authorization") || collapsed.ends_with("cookie") {
            return Class::SecretLine;
        }
        if LAST.contains(&last.trim_end_matches(|digit: char| digit.is_ascii_digit()))
            || ANYWHERE.iter().any(|part| collapsed.contains(part))
        {
            return Class::Secret;
        }
        if last == "key" { Class::Suspicious } else { Class::Plain }
    }

    /// Whether the built-in names count.
    pub(super) fn has_defaults(&self) -> bool {
        self.has_defaults
    }

    /// Whether the project says that this name is harmless.
    pub(super) fn is_safe(&self, name: &str) -> bool {
        !self.safe.is_empty() && self.safe.contains(&words(name).concat())
    }

    /// Whether [`Self::class_of`] need not be asked: nothing beyond the hints counts.
    pub(super) fn has_only_hints(&self) -> bool {
        !self.has_ip_rule
    }
}

/// The words of a name, in lower case; only ASCII letters and digits are in words.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let starts_word = character.is_uppercase()
            && (before.is_lowercase()
                || before.is_ascii_digit()
                // `HTTPToken` is `http`, `token`.
                || before.is_uppercase()
                    && characters.peek().is_some_and(|next| next.is_lowercase()));
        let is_part = character.is_alphanumeric();
        if starts_word || !is_part {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        }
        if is_part {
            word.extend(character.to_lowercase());
        }
        before = character;
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Class {
        Names::new(&ScrubRules::default()).class_of(name)
    }

    #[test]
    fn names_split_into_words() {
        for (name, expected) in [
            ("dbPassword", vec!["db", "password"]),
            ("X-Api-Key", vec!["x", "api", "key"]),
            ("HTTPToken", vec!["http", "token"]),
            ("PGPASSWORD", vec!["pgpassword"]),
            ("'Authorization'", vec!["authorization"]),
            ("user[pin]", vec!["user", "pin"]),
            ("", vec![]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
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
        ] {
            assert_eq!(class(name), Class::Plain, "{name}");
        }
        assert_eq!(class("cache_key"), Class::Suspicious);
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
            ("shipment", Class::Plain),
        ] {
            assert_eq!(names.class_of(name), expected, "{name}");
        }
    }
}

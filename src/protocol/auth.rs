//! Which key a client reports with.
//!
//! Airbrake's clients send it bare. Source for Sentry's: its "authentication": the header `X-Sentry-Auth`, the query, or the envelope's own
//! `dsn`. Where several are given they must agree.

/// The longest public key, in bytes.
const MOST_KEY_BYTES: usize = 64;

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientAuth {
    /// The public key.
    pub key: Option<String>,
    /// The client's name and version: `sentry.python/2.75.0`.
    pub client: Option<String>,
}

/// What is wrong with how a client names its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuth {
    /// The key cannot be one.
    #[error("what is sent is not a key: 1 to {MOST_KEY_BYTES} letters and digits")]
    Key,
    /// Two places name different keys.
    #[error("the request names two different keys")]
    Contradiction,
}

impl ClientAuth {
    /// Reads `X-Sentry-Auth: Sentry sentry_key=…, sentry_client=…`; parameters in any order.
    ///
    /// # Errors
    /// [`InvalidAuth::Key`].
    pub fn from_header(header: &str) -> Result<Self, InvalidAuth> {
        let parameters = header.trim();
        let parameters = match parameters.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sentry ") => rest,
            _ => parameters,
        };
        Self::from_parameters(parameters.split(',').filter_map(|pair| pair.split_once('=')))
    }

    /// Reads the parameters of a query, already unescaped.
    ///
    /// # Errors
    /// [`InvalidAuth::Key`].
    pub fn from_parameters<'a>(
        parameters: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidAuth> {
        let mut auth = Self::default();
        for (name, value) in parameters {
            let value = value.trim();
            match name.trim() {
                "sentry_key" => auth.key = Some(checked_key(value)?),
                "sentry_client" => auth.client = Some(value.chars().take(100).collect()),
                _ => {}
            }
        }
        Ok(auth)
    }

    /// Reads a key that stands alone.
    ///
    /// # Errors
    /// [`InvalidAuth::Key`].
    pub fn from_key(key: &str) -> Result<Self, InvalidAuth> {
        Ok(Self { key: Some(checked_key(key.trim())?), client: None })
    }

    /// This and what another place says.
    ///
    /// # Errors
    /// [`InvalidAuth::Contradiction`] when they name different keys.
    pub fn and(self, other: Self) -> Result<Self, InvalidAuth> {
        let key = match (self.key, other.key) {
            (Some(one), Some(another)) if one != another => return Err(InvalidAuth::Contradiction),
            (one, another) => one.or(another),
        };
        Ok(Self { key, client: self.client.or(other.client) })
    }
}

/// A public key, checked.
///
/// # Errors
/// [`InvalidAuth::Key`].
pub fn checked_key(key: &str) -> Result<String, InvalidAuth> {
    let is_key = (1..=MOST_KEY_BYTES).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_key { Ok(key.to_ascii_lowercase()) } else { Err(InvalidAuth::Key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(key: &str, client: Option<&str>) -> ClientAuth {
        ClientAuth { key: Some(key.to_owned()), client: client.map(str::to_owned) }
    }

    #[test]
    fn headers_of_real_clients() {
        for (header, expected) in [
            (
                "Sentry sentry_key=a1b2, sentry_version=7, sentry_client=sentry.python/2.75.0",
                auth("a1b2", Some("sentry.python/2.75.0")),
            ),
            (
                "Sentry sentry_timestamp=1795226466.7,sentry_client=raven/6,sentry_version=6,sentry_key=a1b2,sentry_secret=x",
                auth("a1b2", Some("raven/6")),
            ),
            ("sentry_key=A1B2", auth("a1b2", None)),
            ("Sentry", ClientAuth::default()),
        ] {
            assert_eq!(ClientAuth::from_header(header), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_key() {
        for key in ["", "../etc", &"a".repeat(65), "a b", "ключ"] {
            assert_eq!(checked_key(key), Err(InvalidAuth::Key), "{key}");
        }
    }

    #[test]
    fn places_must_agree() {
        assert_eq!(auth("a", None).and(auth("b", None)), Err(InvalidAuth::Contradiction));
        assert_eq!(auth("a", None).and(auth("a", Some("x"))), Ok(auth("a", Some("x"))));
        assert_eq!(ClientAuth::default().and(auth("a", None)), Ok(auth("a", None)));
    }
}

//! The address an application reports to: `https://KEY@HOST/PATH/PROJECT`.

use std::fmt;
use std::str::FromStr;

use super::auth::checked_key;
use crate::domain::id::ProjectId;

/// A data source name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsn {
    /// `http` or `https`.
    pub scheme: String,
    /// The public key.
    pub public_key: String,
    /// Host and port.
    pub host: String,
    /// The path Airlock lives under, without slashes at its ends; mostly empty.
    pub path: String,
    /// The project.
    pub project_id: ProjectId,
}

/// A text that is no DSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a DSN like http://KEY@HOST/1: {0}")]
pub struct InvalidDsn(&'static str);

impl Dsn {
    /// The DSN of a key, at a public address.
    #[must_use]
    pub fn at(public_url: &str, public_key: &str, project_id: ProjectId) -> Option<Self> {
        let (scheme, rest) = public_url.trim_end_matches('/').split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self {
            scheme: scheme.to_owned(),
            public_key: public_key.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            project_id,
        })
    }

    /// The address of an endpoint: `http://HOST/PATH/api/1/envelope/`.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> String {
        let Self { scheme, host, path, project_id, .. } = self;
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{scheme}://{host}{slash}{path}/api/{project_id}/{name}/")
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, public_key, host, path, project_id } = self;
        let slash = if path.is_empty() { "" } else { "/" };
        write!(formatter, "{scheme}://{public_key}@{host}{slash}{path}/{project_id}")
    }
}

impl FromStr for Dsn {
    type Err = InvalidDsn;

    fn from_str(text: &str) -> Result<Self, InvalidDsn> {
        let (scheme, rest) =
            text.trim().split_once("://").ok_or(InvalidDsn("the scheme is missing"))?;
        if !matches!(scheme, "http" | "https") {
            return Err(InvalidDsn("the scheme is neither http nor https"));
        }
        let (user, rest) = rest.split_once('@').ok_or(InvalidDsn("the key is missing"))?;
        // Old DSNs carry a secret after the key; nobody needs it.
        let key = user.split(':').next().unwrap_or(user);
        let public_key = checked_key(key).map_err(|_| InvalidDsn("the key is no key"))?;
        let (place, project) = rest
            .trim_end_matches('/')
            .rsplit_once('/')
            .ok_or(InvalidDsn("the project is missing"))?;
        let project_id = project.parse().map_err(|_| InvalidDsn("the project is not a number"))?;
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        if host.is_empty() {
            return Err(InvalidDsn("the host is missing"));
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            public_key,
            host: host.to_owned(),
            path: path.to_owned(),
            project_id: ProjectId(project_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_says_where_to_report() {
        let dsn: Dsn =
            "https://a1b2:secret@errors.example:8443/team/errors/42".parse().expect("a DSN");
        assert_eq!(
            dsn.endpoint("envelope"),
            "https://errors.example:8443/team/errors/api/42/envelope/"
        );
        assert_eq!(dsn.to_string(), "https://a1b2@errors.example:8443/team/errors/42");
        let made = Dsn::at("https://errors.example:8443/team/errors/", "a1b2", ProjectId(42));
        assert_eq!(made, Some(dsn));
        let plain = Dsn::at("http://127.0.0.1:8460", "a1b2", ProjectId(1)).expect("a DSN");
        assert_eq!(plain.to_string(), "http://a1b2@127.0.0.1:8460/1");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("a1b2@host/1", "the scheme is missing"),
            ("ftp://a1b2@host/1", "the scheme is neither http nor https"),
            ("http://host/1", "the key is missing"),
            ("http://@host/1", "the key is no key"),
            ("http://a1b2@host", "the project is missing"),
            ("http://a1b2@host/shop", "the project is not a number"),
            ("http://a1b2@/1", "the host is missing"),
        ] {
            assert_eq!(text.parse::<Dsn>(), Err(InvalidDsn(expected)), "{text}");
        }
    }
}

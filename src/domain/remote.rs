//! Addresses of repositories, and how they may be reached.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Fetching a repository may take so long, if nothing else is said.
pub const FETCH_TIME: Duration = Duration::from_mins(15);

/// The mirror of a repository may take so many bytes, if nothing else is said.
pub const MOST_BYTES: u64 = 20 << 30;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// `https://…`
    Https,
    /// `http://…`
    Http,
    /// `ssh://…` or `user@host:path`
    Ssh,
    /// `file://…` or a path
    File,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Https, Self::Http, Self::Ssh, Self::File];

    /// Its name, as git has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// Protocols that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocols(BTreeSet<Protocol>);

impl Default for Protocols {
    fn default() -> Self {
        Self(BTreeSet::from([Protocol::Https, Protocol::Ssh]))
    }
}

impl Protocols {
    /// Whether this one may be used.
    #[must_use]
    pub fn allow(&self, protocol: Protocol) -> bool {
        self.0.contains(&protocol)
    }

    /// Those that may be used.
    pub fn iter(&self) -> impl Iterator<Item = Protocol> {
        self.0.iter().copied()
    }
}

impl FromStr for Protocols {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = named.map(|name| {
            let known = Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == name);
            known.ok_or_else(|| InvalidUrl::UnknownProtocol(name.chars().take(40).collect()))
        });
        known.collect::<Result<_, _>>().map(Self)
    }
}

/// The address of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    protocol: Protocol,
}

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It is none.
    #[error(
        "{0:?} is no address of a repository like https://host/path, ssh://host/path or user@host:path"
    )]
    NoUrl(String),
    /// It has, or may have, a secret in it.
    #[error(
        "the address has a name, a password or a query in it; put what is secret into `credential`"
    )]
    Password,
    /// There is no such protocol.
    #[error("protocol {0:?} is not known; https, http, ssh and file are")]
    UnknownProtocol(String),
    /// The protocol is not allowed here.
    #[error("protocol {} is not allowed; AIRLOCK_GIT_PROTOCOLS names those that are", .0.as_str())]
    NotAllowed(Protocol),
}

impl RemoteUrl {
    /// Longer ones are refused, in bytes.
    const MOST_BYTES: usize = 2_000;

    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidUrl`] says what to do.
    pub fn parse(text: &str, allowed: &Protocols) -> Result<Self, InvalidUrl> {
        let no_url = || InvalidUrl::NoUrl(text.chars().take(80).collect());
        let is_plain = text.len() <= Self::MOST_BYTES
            && !text.starts_with('-')
            && text.chars().all(|one| !one.is_control() && !one.is_whitespace());
        if !is_plain {
            return Err(no_url());
        }
        let protocol = match text.split_once("://") {
            Some((scheme, rest)) => {
                let mut named = Protocol::ALL.into_iter();
                let scheme = scheme.to_ascii_lowercase();
                let protocol = named.find(|protocol| protocol.as_str() == scheme);
                let protocol = protocol.ok_or(InvalidUrl::UnknownProtocol(scheme))?;
                let host = rest.split('/').next().unwrap_or_default();
                let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
                if user.contains(':') || (!user.is_empty() && protocol != Protocol::Ssh) {
                    return Err(InvalidUrl::Password);
                }
                if rest.contains(['?', '#']) {
                    return Err(InvalidUrl::Password);
                }
                let needs_host = protocol != Protocol::File;
                // `ssh://-oProxyCommand=…` is an option for ssh.
                if host.starts_with('-') || user.starts_with('-') || (needs_host && host.is_empty())
                {
                    return Err(no_url());
                }
                protocol
            }
            None if text.starts_with('/') => Protocol::File,
            None => {
                // A helper is named as in `ext::sh -c …`.
                let (host, path) = text.split_once(':').ok_or_else(no_url)?;
                if path.contains('@') {
                    return Err(InvalidUrl::Password);
                }
                if host.is_empty() || host.contains('/') || path.is_empty() || path.starts_with(':')
                {
                    return Err(no_url());
                }
                Protocol::Ssh
            }
        };
        if !allowed.allow(protocol) {
            return Err(InvalidUrl::NotAllowed(protocol));
        }
        let url = Self { text: text.to_owned(), protocol };
        if protocol != Protocol::File && url.host().is_none_or(|(host, _)| host.is_empty()) {
            return Err(no_url());
        }
        Ok(url)
    }

    /// As git takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host it is on and the port, where it is on one.
    #[must_use]
    pub fn host(&self) -> Option<(&str, u16)> {
        let usual = match self.protocol {
            Protocol::Https => 443,
            Protocol::Http => 80,
            Protocol::Ssh => 22,
            Protocol::File => return None,
        };
        let Some((_, rest)) = self.text.split_once("://") else {
            let (host, _) = self.text.split_once(':')?;
            return Some((host.rsplit_once('@').map_or(host, |(_, host)| host), usual));
        };
        let place = rest.split(['/', '?', '#']).next()?;
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => place.split_once(':').map_or((place, ""), |(host, port)| (host, port)),
        };
        let port = port.trim_start_matches(':');
        let port = if port.is_empty() { Some(usual) } else { port.parse().ok() };
        Some((host, port?))
    }

    /// How it is reached.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Whether two addresses mean one repository, as far as one can see: whatever the protocol, the user
/// and the end.
#[must_use]
pub fn is_same_place(one: &str, other: &str) -> bool {
    place(one) == place(other)
}

fn place(url: &str) -> String {
    let rest = url.trim().split_once("://").map_or(url.trim(), |(_, rest)| rest);
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix(".git").unwrap_or(rest).replacen(':', "/", 1).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let all: Protocols = "https, http,ssh,file".parse().expect("protocols");
        for (text, expected) in [
            ("https://git.example.com/shop/web.git", Ok(Protocol::Https)),
            ("ssh://git@git.example.com:2222/shop/web", Ok(Protocol::Ssh)),
            ("git@git.example.com:shop/web.git", Ok(Protocol::Ssh)),
            ("file:///srv/git/web.git", Ok(Protocol::File)),
            ("/srv/git/web.git", Ok(Protocol::File)),
            ("https://token@git.example.com/web", Err(InvalidUrl::Password)),
            ("https://a:b@git.example.com/web", Err(InvalidUrl::Password)),
            ("https://git.example.com/web?private_token=x", Err(InvalidUrl::Password)),
            ("user:pw@git.example.com:web", Err(InvalidUrl::Password)),
            ("ext::sh -c id", Err(InvalidUrl::NoUrl("ext::sh -c id".to_owned()))),
            ("ext::sh", Err(InvalidUrl::NoUrl("ext::sh".to_owned()))),
            ("git://host/web", Err(InvalidUrl::UnknownProtocol("git".to_owned()))),
            (
                "ssh://-oProxyCommand=id/web",
                Err(InvalidUrl::NoUrl("ssh://-oProxyCommand=id/web".to_owned())),
            ),
            ("--upload-pack=id", Err(InvalidUrl::NoUrl("--upload-pack=id".to_owned()))),
            ("https:///web", Err(InvalidUrl::NoUrl("https:///web".to_owned()))),
            ("web.git", Err(InvalidUrl::NoUrl("web.git".to_owned()))),
            ("", Err(InvalidUrl::NoUrl(String::new()))),
        ] {
            assert_eq!(RemoteUrl::parse(text, &all).map(|url| url.protocol), expected, "{text}");
        }
        for (text, host) in [
            ("https://git.example.com/shop", Some(("git.example.com", 443))),
            ("https://git.example.com:8443/shop", Some(("git.example.com", 8443))),
            ("https://[::1]:8443/shop", Some(("::1", 8443))),
            ("https://[::1]/shop", Some(("::1", 443))),
            ("ssh://git@git.example.com:2222/shop", Some(("git.example.com", 2222))),
            ("git@git.example.com:shop/web", Some(("git.example.com", 22))),
            ("git.example.com:shop/web", Some(("git.example.com", 22))),
            ("/srv/git", None),
        ] {
            let url = RemoteUrl::parse(text, &all).expect("an address");
            assert_eq!(url.host(), host, "{text}");
        }
        assert!(RemoteUrl::parse("https://host:port/shop", &all).is_err());
        let usual = Protocols::default();
        let refused = RemoteUrl::parse("/srv/git", &usual);
        assert_eq!(refused, Err(InvalidUrl::NotAllowed(Protocol::File)));
        assert!("https,ext".parse::<Protocols>().is_err());
    }

    #[test]
    fn addresses_of_one_repository() {
        let https = "https://git.example/shop/web.git";
        for same in [
            "git@git.example:shop/web",
            "ssh://git@git.example/Shop/web.git",
            "git.example/shop/web/",
        ] {
            assert!(is_same_place(https, same), "{same}");
        }
        for other in ["https://git.example/shop/api.git", "web", ""] {
            assert!(!is_same_place(https, other), "{other}");
        }
    }
}

//! Where browsers may report from.
//!
//! A browser says by `Origin`, or at least by `Referer`, which site a request comes from. A key
//! that names origins takes browsers' reports from these alone. This keeps a key that was copied
//! into another site from filling a project; it keeps no secret, as anything but a browser can say
//! what it likes, or nothing: requests that name no origin are taken.

/// The longest origin, in bytes.
pub const MOST_ORIGIN_BYTES: usize = 200;

/// An origin that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "origin {0:?} is not usable: write https://shop.example, shop.example, shop.example:8443 or *.shop.example"
)]
pub struct InvalidOrigin(String);

/// An origin in parts, in small letters.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
}

/// Checks an origin that a key is to have.
///
/// # Errors
/// [`InvalidOrigin`].
pub fn check_origin(origin: &str) -> Result<(), InvalidOrigin> {
    let invalid = || InvalidOrigin(origin.chars().take(80).collect());
    let parts = parts(origin).ok_or_else(invalid)?;
    let host = parts.host.strip_prefix("*.").unwrap_or(&parts.host);
    let is_host = (host.starts_with('[') && host.ends_with(']')) || {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        host.split('.').all(is_label)
    };
    if is_host && origin.len() <= MOST_ORIGIN_BYTES { Ok(()) } else { Err(invalid()) }
}

/// Whether a request that names itself by `Origin` and `Referer` may use a key with `origins`.
#[must_use]
pub fn is_allowed(origins: &[String], origin: Option<&str>, referer: Option<&str>) -> bool {
    let claimed = origin.or(referer.map(site_of));
    match claimed {
        Some(claimed) if !origins.is_empty() => {
            let claimed = parts(claimed);
            claimed.is_some_and(|claimed| origins.iter().any(|origin| covers(origin, &claimed)))
        }
        _ => true,
    }
}

/// The origin in the address of a page.
fn site_of(address: &str) -> &str {
    let start = address.find("://").map_or(0, |at| at + 3);
    let end = address.get(start..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| address.get(..start + end)).unwrap_or(address)
}

fn covers(origin: &str, claimed: &Parts) -> bool {
    let Some(origin) = parts(origin) else { return false };
    let is_host = match origin.host.strip_prefix('*') {
        Some(suffix) => claimed.host.ends_with(suffix),
        None => claimed.host == origin.host,
    };
    let is_scheme = origin.scheme.is_none() || origin.scheme == claimed.scheme;
    let is_port = match (&origin.scheme, origin.port) {
        // A host alone stands for all of its ports.
        (None, None) => true,
        _ => port(&origin) == port(claimed) || origin.port == Some(port(claimed).unwrap_or(0)),
    };
    is_host && is_scheme && is_port
}

fn port(parts: &Parts) -> Option<u16> {
    parts.port.or(match parts.scheme.as_deref() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

fn parts(origin: &str) -> Option<Parts> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, place) = match origin.split_once("://") {
        Some((scheme @ ("http" | "https"), place)) => (Some(scheme.to_owned()), place),
        // Extensions and apps: `app://…`, `chrome-extension://…`.
        Some((scheme, place)) if !scheme.is_empty() => (Some(scheme.to_owned()), place),
        Some(_) => return None,
        None => (None, origin.as_str()),
    };
    // An address in brackets has colons of its own.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (place, None),
    };
    (!host.is_empty()).then(|| Parts { scheme, host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_report_from_the_sites_of_a_key() {
        for (own, claimed, expected) in [
            ("https://shop.example", "https://shop.example", true),
            ("https://Shop.Example", "https://SHOP.example:443", true),
            ("https://shop.example", "http://shop.example", false),
            ("https://shop.example", "https://shop.example:8443", false),
            ("https://shop.example", "https://evil.example", false),
            ("https://shop.example", "https://shop.example.evil.example", false),
            ("shop.example", "http://shop.example:8080", true),
            ("shop.example", "https://www.shop.example", false),
            ("shop.example:8080", "http://shop.example:8080", true),
            ("shop.example:8080", "http://shop.example", false),
            ("shop.example:443", "https://shop.example", true),
            ("*.shop.example", "https://www.shop.example", true),
            ("*.shop.example", "https://a.b.shop.example:8443", true),
            ("*.shop.example", "https://shop.example", false),
            ("*.shop.example", "https://evilshop.example", false),
            ("https://*.shop.example", "http://www.shop.example", false),
            ("http://[::1]:8080", "http://[::1]:8080", true),
            ("[::1]", "http://[::1]:8080", true),
            ("https://shop.example", "null", false),
        ] {
            let own = [own.to_owned()];
            assert_eq!(is_allowed(&own, Some(claimed), None), expected, "{own:?} {claimed}");
            let page = format!("{claimed}/cart?x=https://shop.example#y");
            assert_eq!(is_allowed(&own, None, Some(&page)), expected, "{own:?} {page}");
        }
    }

    #[test]
    fn origin_counts_before_referer_and_servers_name_neither() {
        let own = ["https://shop.example".to_owned()];
        let (good, evil) = (Some("https://shop.example"), Some("https://evil.example"));
        assert!(is_allowed(&own, good, evil));
        assert!(!is_allowed(&own, evil, good));
        assert!(is_allowed(&own, None, None));
        assert!(is_allowed(&[], evil, evil));
    }

    #[test]
    fn what_is_no_origin() {
        for good in [
            "https://shop.example",
            "http://localhost:3000",
            "*.shop.example",
            "shop.example:8443",
            "http://[::1]:8080",
            "app://obsidian.md",
        ] {
            assert_eq!(check_origin(good), Ok(()), "{good}");
        }
        let long = "x".repeat(201);
        for bad in [
            "",
            "*",
            "https://",
            "https://shop.example/path",
            "https://shop.example?x",
            "shop example",
            "*shop.example",
            "shop.*.example",
            "shop.example:x",
            "shop.example:99999",
            "https://a@b",
            "://x",
            &long,
        ] {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }
}

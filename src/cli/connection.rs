//! Where the server is, and with which token it is asked.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;

use super::failure::Failure;
use super::text::one_line;

/// Where a server is that nobody says anything about.
const DEFAULT_URL: &str = "http://127.0.0.1:8460";

/// What to do without a token.
pub(super) const HOW_TO_TOKEN: &str =
    "set AIRLOCK_TOKEN or --token-file, or run this where the data folder is (--data)";

/// Where the server is, and with which token it is asked.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Connection {
    #[arg(
        long,
        env = "AIRLOCK_URL",
        global = true,
        value_name = "URL",
        help = "The server's address [default: the one in the data folder, else http://127.0.0.1:8460]"
    )]
    pub(super) url: Option<String>,
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "A file with an API token [default: the token in AIRLOCK_TOKEN]"
    )]
    pub(super) token_file: Option<PathBuf>,
    /// The token; only the environment has this setting, as arguments can be seen by others.
    #[arg(
        long = "environment-token",
        env = "AIRLOCK_TOKEN",
        global = true,
        hide = true,
        hide_env_values = true
    )]
    pub(super) token: Option<String>,
    /// The server's data folder, for its address and its administrator's token
    #[arg(
        long,
        env = "AIRLOCK_DATA",
        global = true,
        default_value = "./airlock-data",
        value_name = "DIR"
    )]
    pub(super) data: PathBuf,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A server, and the token for it.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) token: Option<Token>,
    /// The server whose data folder this is, and its administrator's token if there is one.
    own: (Url, PathBuf),
}

/// An API token, and where it was found.
pub(super) struct Token {
    pub(super) secret: String,
    pub(super) source: String,
}

impl Connection {
    /// Chooses the address, and the token for that address.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        let own = match address_in(&self.data) {
            Some(address) => http_url(&address)?,
            None => http_url(DEFAULT_URL)?,
        };
        let url = match self.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) {
            Some(url) => http_url(url)?,
            None => own.clone(),
        };
        // The administrator's token is for the server of this folder, on this machine, only.
        let is_own = url == own && is_loopback(&url);
        Ok(Target { token: self.token(is_own)?, url, own: (own, self.data.join("admin.token")) })
    }

    fn token(&self, is_own: bool) -> Result<Option<Token>, Failure> {
        if let Some(file) = &self.token_file {
            let secret = std::fs::read_to_string(file).map_err(|cause| {
                Failure::Usage(format!("cannot read the token file {}: {cause}", file.display()))
            })?;
            let source = file.display().to_string();
            return checked(Token { secret: secret.trim().to_owned(), source }).map(Some);
        }
        if let Some(secret) = self.token.as_deref().map(str::trim).filter(|one| !one.is_empty()) {
            let source = "AIRLOCK_TOKEN".to_owned();
            return checked(Token { secret: secret.to_owned(), source }).map(Some);
        }
        let file = self.data.join("admin.token");
        match std::fs::read_to_string(&file) {
            Ok(secret) if is_own => {
                let source = file.display().to_string();
                checked(Token { secret: secret.trim().to_owned(), source }).map(Some)
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

/// A token that can be sent: an empty one, or a file that is no token, is not.
fn checked(token: Token) -> Result<Token, Failure> {
    if !token.secret.is_empty() && token.secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err(Failure::Usage(format!("{} holds no token: {HOW_TO_TOKEN}", token.source)))
    }
}

/// The address that the server wrote into its data folder. Where it listens on every address, it
/// is reached at the loopback one.
fn address_in(data: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data.join("address")).ok()?;
    let address = text.lines().next().map(str::trim).filter(|address| !address.is_empty())?;
    let address = address.replace("://0.0.0.0", "://127.0.0.1").replace("://[::]", "://[::1]");
    Some(address)
}

fn http_url(text: &str) -> Result<Url, Failure> {
    let wrong = || {
        let text = one_line(text);
        Failure::Usage(format!("{text:?} is not the address of a server like {DEFAULT_URL}"))
    };
    let mut url: Url = text.parse().map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong());
    }
    // Addresses with and without a last slash are the same.
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty();
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Whether an address is this machine's own.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Target {
    /// This target, if there is a token for it.
    pub(super) fn with_token(self) -> Result<Self, Failure> {
        if self.token.is_some() {
            return Ok(self);
        }
        let (url, (own, file)) = (&self.url, &self.own);
        Err(Failure::Usage(if file.exists() && url != own {
            let file = file.display();
            format!("no token for {url}: the one in {file} is for {own} only; {HOW_TO_TOKEN}")
        } else {
            format!("no token: {HOW_TO_TOKEN}")
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data folder with these files, and a connection to it.
    fn connection(files: &[(&str, &str)]) -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let data = folder.path().to_owned();
        (folder, Connection { url: None, token_file: None, token: None, data })
    }

    #[test]
    fn the_administrators_token_is_for_its_own_loopback_address_only() {
        let token = ("admin.token", "airlock_admin\n");
        let here = ("address", "http://127.0.0.1:9000\n");
        let everywhere = ("address", "http://0.0.0.0:9000");
        let outside = ("address", "http://192.0.2.1:9000");
        for (files, url, chosen, has_token) in [
            (&[token][..], None, "http://127.0.0.1:8460/", true),
            (&[token], Some("http://127.0.0.1:8460/"), "http://127.0.0.1:8460/", true),
            (&[token], Some(""), "http://127.0.0.1:8460/", true),
            (&[token], Some("http://127.0.0.1:9000"), "http://127.0.0.1:9000/", false),
            (&[token], Some("http://errors.example"), "http://errors.example/", false),
            (&[token, here], None, "http://127.0.0.1:9000/", true),
            (&[token, here], Some("http://127.0.0.1:9000"), "http://127.0.0.1:9000/", true),
            // What listens at the default address is another server.
            (&[token, here], Some("http://127.0.0.1:8460"), "http://127.0.0.1:8460/", false),
            (&[token, here], Some("https://127.0.0.1:9000"), "https://127.0.0.1:9000/", false),
            (&[token, everywhere], None, "http://127.0.0.1:9000/", true),
            (&[token, outside], None, "http://192.0.2.1:9000/", false),
            (&[here], None, "http://127.0.0.1:9000/", false),
        ] {
            let (_folder, mut connection) = connection(files);
            connection.url = url.map(str::to_owned);
            let target = connection.target().expect("a target");
            assert_eq!(target.url.as_str(), chosen, "{files:?} {url:?}");
            let source = target.token.map(|token| token.secret);
            assert_eq!(
                source.as_deref(),
                has_token.then_some("airlock_admin"),
                "{files:?} {url:?}"
            );
        }
    }

    #[test]
    fn a_token_that_is_named_goes_before_one_that_lies_about() {
        let files =
            [("admin.token", "airlock_admin"), ("ci.token", "airlock_ci\n"), ("empty", "\n")];
        let (folder, mut connection) = connection(&files);
        let secret = |connection: &Connection| {
            let token = connection.target()?.with_token()?.token;
            Ok::<_, Failure>(token.map(|token| token.secret).unwrap_or_default())
        };
        assert_eq!(secret(&connection).expect("a token"), "airlock_admin");
        connection.token = Some("airlock_environment".to_owned());
        assert_eq!(secret(&connection).expect("a token"), "airlock_environment");
        connection.token_file = Some(folder.path().join("ci.token"));
        assert_eq!(secret(&connection).expect("a token"), "airlock_ci");
        for name in ["empty", "missing"] {
            connection.token_file = Some(folder.path().join(name));
            assert_eq!(secret(&connection).expect_err(name).exit_code(), 2);
        }
        connection.token_file = None;
        connection.token = None;
        connection.url = Some("https://errors.example".to_owned());
        let failure = secret(&connection).expect_err("no token").to_string();
        assert!(failure.contains("AIRLOCK_TOKEN or --token-file"), "{failure}");
        for url in ["errors.example", "ftp://errors.example", "http://", "not a url"] {
            connection.url = Some(url.to_owned());
            assert_eq!(secret(&connection).expect_err(url).exit_code(), 2);
        }
    }
}

//! Pages that report with stock SDKs, in a real browser.
//!
//! Each test has its own web server, so that what the pages send to Airlock crosses origins, as it
//! does between a shop and its error tracker.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::clients::{node_modules, programs, setting};

/// A page in a browser.
pub(crate) struct Browser {
    process: Child,
    log: JoinHandle<Vec<String>>,
    told: mpsc::UnboundedReceiver<Value>,
    /// Where the page is from.
    pub(crate) origin: String,
    _profile: TempDir,
}

/// What the web server has.
struct Site {
    /// The page's script.
    script: Vec<u8>,
    /// The page's headers, each with its line end.
    headers: String,
    told: mpsc::UnboundedSender<Value>,
}

const PAGE: &str = "<!doctype html><meta charset=\"utf-8\"><link rel=\"icon\" href=\"data:,\">
<title>Shop</title><body><script src=\"/shop.js\"></script>";

/// What a browser does not need here: a screen, helpers, the internet.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
];

impl Browser {
    /// Opens a page with one of the programs in `tests/clients/browser`; what it is asked to do is
    /// in its query. `headers` are the page's own, each with its line end.
    pub(crate) async fn open(program: &str, asked: &[(&str, &str)], headers: &str) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let script = bundle(program).await;
        let headers = format!("content-type: text/html; charset=utf-8\r\n{headers}");
        let address = serve(Site { script, headers, told: tell }).await;
        let origin = format!("http://{address}");
        let page = reqwest::Url::parse_with_params(&origin, asked).expect("an address");
        let profile = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(setting("AIRLOCK_TEST_CHROMIUM"));
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(page.as_str()).env("HOME", profile.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the browser starts; ./test installs it");
        let log = process.stderr.take().expect("its log");
        #[expect(clippy::disallowed_methods, reason = "it ends with the browser")]
        let log = tokio::spawn(console(log));
        Self { process, log, told, origin, _profile: profile }
    }

    /// The next thing that the page tells.
    pub(crate) async fn told(&mut self) -> Value {
        let told = tokio::time::timeout(Duration::from_mins(1), self.told.recv()).await;
        told.expect("the page tells something within a minute").expect("the site is open")
    }

    /// Closes the page; gives what stood on its console.
    pub(crate) async fn close(mut self) -> Vec<String> {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw).expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be told");
        self.process.wait().await.expect("it ends");
        self.log.await.expect("its log")
    }
}

/// The script of a page, as a bundler makes it.
async fn bundle(program: &str) -> Vec<u8> {
    let packages = node_modules("AIRLOCK_TEST_BROWSER_PATH");
    let mut esbuild = Command::new(setting("AIRLOCK_TEST_NODE"));
    esbuild.arg(packages.join("esbuild/bin/esbuild")).arg(programs("browser").join(program));
    esbuild.args(["--bundle", "--log-level=warning"]).env("NODE_PATH", packages);
    let made = esbuild.stdin(Stdio::null()).output().await.expect("a bundler");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// The lines of the browser's log that come from the page's console.
async fn console(log: ChildStderr) -> Vec<String> {
    let mut lines = BufReader::new(log).lines();
    let mut console = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, said)) = line.split_once(":CONSOLE:") {
            console.push(said.to_owned());
        }
    }
    console
}

async fn serve(site: Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let site = Arc::new(site);
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
    tokio::spawn(async move {
        while let Ok((browser, _)) = listener.accept().await {
            #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
            tokio::spawn(answer(browser, Arc::clone(&site)));
        }
    });
    address
}

/// One request for each connection.
async fn answer(mut browser: TcpStream, site: Arc<Site>) -> Option<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        (browser.read_buf(&mut request).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    while request.len() < end + length {
        (browser.read_buf(&mut request).await.ok()? > 0).then_some(())?;
    }
    let (status, headers, body) = match head.split(' ').nth(1)? {
        "/told" => {
            site.told.send(serde_json::from_slice(&request[end..]).expect("JSON")).ok()?;
            ("204 No Content", "", [].as_slice())
        }
        "/shop.js" => {
            ("200 OK", "content-type: text/javascript; charset=utf-8\r\n", site.script.as_slice())
        }
        _ => ("200 OK", site.headers.as_str(), PAGE.as_bytes()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
    );
    browser.write_all(head.as_bytes()).await.ok()?;
    browser.write_all(body).await.ok()?;
    browser.shutdown().await.ok()
}

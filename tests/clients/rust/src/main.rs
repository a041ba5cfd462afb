//! A shop that reports its crashes with the stock `sentry` crate.
//!
//! `crash-client panic | message | burst N`. The DSN, release and environment come from
//! `SENTRY_DSN`, `SENTRY_RELEASE` and `SENTRY_ENVIRONMENT`. The id of each event that the SDK is
//! about to send is printed on a line of its own; what the SDK says about itself goes to stderr.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sentry::protocol::{Event, User};
use sentry::{ClientOptions, Level};

const FLUSH: Duration = Duration::from_secs(10);

/// What an order needs to be placed.
struct Cart {
    items: Vec<&'static str>,
    total: Option<u64>,
}

#[derive(Debug)]
struct SoldOut;

impl std::fmt::Display for SoldOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sold out")
    }
}

impl std::error::Error for SoldOut {}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut options = ClientOptions::new();
    options.shutdown_timeout = FLUSH;
    options.auto_session_tracking = true;
    options.debug = true;
    options.before_send = Some(Arc::new(|event: Event<'static>| {
        tell(event.event_id.simple());
        Some(event)
    }));
    // The guard sends what is left when it is dropped, also when a panic unwinds through here.
    let _guard = sentry::init(options);
    match words.as_slice() {
        ["panic"] => {
            let charged = checkout(&Cart { items: vec!["tea", "cup"], total: None });
            tell(charged);
        }
        ["message"] => {
            sentry::capture_message("stock is low", Level::Warning);
        }
        ["burst", count] => match count.parse() {
            Ok(count) => burst(count),
            Err(_) => return ExitCode::from(2),
        },
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// Takes the money for a cart. A cart that was never summed up has no total.
fn checkout(cart: &Cart) -> u64 {
    let total = cart.total.expect("the cart has a total");
    total * u64::from(!cart.items.is_empty())
}

/// The transport holds some thirty envelopes and drops what does not fit, and an error is sent with
/// up to two of them (the event, and the session it fell into): so a burst pauses now and then.
fn burst(count: u32) {
    const EVENTS_PER_FLUSH: u32 = 10;
    for number in 0..count {
        if number % EVENTS_PER_FLUSH == 0 {
            flush();
        }
        let user = User { id: Some(number.to_string()), ..User::default() };
        sentry::with_scope(|scope| scope.set_user(Some(user)), || sentry::capture_error(&SoldOut));
    }
}

fn flush() {
    if let Some(client) = sentry::Hub::current().client() {
        client.flush(Some(FLUSH));
    }
}

/// One line on stdout, there at once: a crash follows.
fn tell(what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).expect("stdout is open");
}

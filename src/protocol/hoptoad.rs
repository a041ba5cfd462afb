//! Airbrake's notices, version 2: the XML of Hoptoad, which old gems still send.
//!
//! The XML is read leniently, because a client may cut it: `airbrake` from npm counts its
//! `Content-Length` in characters. What was read until it breaks off becomes a notice of version 3
//! and is read as such.
//!
//! *Invariant*: no entity stands for more than one character. The five standard ones and numbers
//! are resolved; declarations are not looked at, so any other stays as it is written.
//!
//! Source: Airbrake's "Notifier API version 2", the gems up to version 4.

use super::airbrake;
use super::budget::Budget;
use super::sentry::{InvalidEvent, Outline, Received};

mod notice;
mod tree;

/// The key is among so many first bytes of a notice: it is its first element.
pub const MOST_BYTES_BEFORE_KEY: usize = 16 * 1024;

/// Reads the XML of one notice.
///
/// # Errors
/// When there is no element `notice`.
pub fn parse_notice<'a>(
    bytes: &[u8],
    received: &Received<'a>,
) -> Result<Outline<'a>, InvalidEvent> {
    let text = String::from_utf8_lossy(bytes);
    let read = tree::read(&text);
    let root = read.root.filter(|root| root.name == "notice").ok_or(InvalidEvent::NoNotice)?;
    let notice = notice::to_version_3(&root);
    let mut budget = Budget::default();
    if let Some(fault) = read.fault {
        budget.note(fault);
    }
    Ok(Outline::of(airbrake::to_payload(notice).into(), received, budget))
}

/// The key of a notice, from as much of it as has arrived. An empty one is no key.
#[must_use]
pub fn key_in(beginning: &[u8]) -> Option<&str> {
    let end = beginning.len().min(MOST_BYTES_BEFORE_KEY);
    let beginning = beginning.get(..end)?;
    let valid = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(beginning.get(..error.valid_up_to())?).ok()?,
    };
    let (_, behind) = valid.split_once("<api-key>")?;
    let (key, _) = behind.split_once("</api-key>")?;
    Some(key.trim())
}

/// The answer to a notice that was taken.
#[must_use]
pub fn accepted(id: &str, url: &str) -> String {
    let url = quick_xml::escape::escape(url);
    format!("{DECLARATION}<notice><id>{id}</id><url>{url}</url></notice>\n")
}

/// The answer to a notice that was not.
#[must_use]
pub fn refused(detail: &str) -> String {
    let detail = quick_xml::escape::escape(detail);
    format!("{DECLARATION}<errors><error>{detail}</error></errors>\n")
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

#[cfg(test)]
mod tests;

//! `html_notes` and `html_text`: XML in `<body>`, of few tags.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::reply::Reply;

const COMMON: &[&str] = &["body", "strong", "em", "u", "s", "code", "ol", "ul", "li", "a"];
const NOTES_ONLY: &[&str] = &["h1", "h2", "hr"];

/// The text within, or what is wrong.
pub(super) fn text_of(field: &str, html: &str) -> Result<String, Reply> {
    let invalid = || Reply::bad(format!("{field}: XML is invalid"));
    if html.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(invalid());
    }
    let (mut reader, mut open, mut text) = (Reader::from_str(html), Vec::new(), String::new());
    let mut n_bodies = 0;
    loop {
        match reader.read_event().map_err(|_| invalid())? {
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                check(field, &name, start.attributes().all(|attribute| attribute.is_ok()))?;
                n_bodies += usize::from(name == "body");
                if (name == "body") != open.is_empty() {
                    return Err(invalid());
                }
                open.push(name);
            }
            Event::Empty(empty) => {
                let name = empty.name().as_ref().to_owned();
                check(field, &name, empty.attributes().all(|attribute| attribute.is_ok()))?;
                if open.is_empty() && name != "body" {
                    return Err(invalid());
                }
                n_bodies += usize::from(name == "body");
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(part) => {
                let part = part.xml10_content();
                if open.is_empty() && !part.trim().is_empty() {
                    return Err(invalid());
                }
                text.push_str(&part);
            }
            Event::GeneralRef(part) => {
                let whole = format!("&{};", part.xml10_content());
                let plain = quick_xml::escape::unescape(&whole).map_err(|_| invalid())?;
                text.push_str(&plain);
            }
            Event::Eof => break,
            Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => return Err(invalid()),
        }
    }
    if n_bodies == 1 && open.is_empty() { Ok(text) } else { Err(invalid()) }
}

fn check(field: &str, name: &str, has_good_attributes: bool) -> Result<(), Reply> {
    let is_known = COMMON.contains(&name) || (field == "html_notes" && NOTES_ONLY.contains(&name));
    if is_known && has_good_attributes {
        return Ok(());
    }
    Err(Reply::bad(format!("{field}: XML is invalid: tag <{name}> is not supported")))
}

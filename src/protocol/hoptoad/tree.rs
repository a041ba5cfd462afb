//! XML as a tree, as far as it goes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Elements within each other.
const MOST_DEPTH: usize = 32;

/// Elements of one notice.
const MOST_ELEMENTS: usize = 20_000;

/// Attributes of one element.
const MOST_ATTRIBUTES: usize = 16;

/// An element.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name; empty counts as absent.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }
}

/// What could be read.
pub(super) struct Read {
    /// The outermost element, with everything that was read of it.
    pub(super) root: Option<Element>,
    /// Why the rest could not.
    pub(super) fault: Option<String>,
}

/// Reads a document until its end, or until it cannot be read.
pub(super) fn read(text: &str) -> Read {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_dangling_amp = true;
    let mut builder = Builder::default();
    let fault = loop {
        if builder.root.is_some() {
            break None;
        }
        match reader.read_event() {
            Ok(Event::Eof) => break Some("the XML ends before its last element".to_owned()),
            Ok(event) => {
                if let Err(fault) = builder.take(event) {
                    break Some(fault);
                }
            }
            Err(cause) => break Some(format!("the XML cannot be read further: {cause}")),
        }
    };
    builder.close_all();
    Read { root: builder.root, fault }
}

/// The elements that are still open, the outermost first.
#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    n_elements: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(start) => self.begin(&start)?,
            Event::Empty(start) => {
                self.begin(&start)?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.add(&text.xml10_content()),
            Event::CData(text) => self.add(&text.xml10_content()),
            Event::GeneralRef(reference) => self.add_reference(&reference),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        self.n_elements += 1;
        if self.n_elements > MOST_ELEMENTS {
            return Err(format!("the XML has more than {MOST_ELEMENTS} elements"));
        }
        if self.open.len() >= MOST_DEPTH {
            return Err(format!("the XML is nested more than {MOST_DEPTH} levels deep"));
        }
        let mut attributes = start.attributes();
        let attributes = attributes.with_checks(false).flatten().take(MOST_ATTRIBUTES);
        let attributes = attributes.map(|attribute| {
            // An entity that cannot be resolved leaves the value as it is written.
            let value = unescape(&attribute.value).unwrap_or(Cow::Borrowed(&attribute.value));
            (attribute.key.as_ref().to_owned(), value.into_owned())
        });
        self.open.push(Element {
            name: start.name().as_ref().to_owned(),
            attributes: attributes.collect(),
            ..Element::default()
        });
        Ok(())
    }

    /// Ends the innermost element, whatever the closing tag says.
    fn end(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.end();
        }
    }

    fn add(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
        }
    }

    fn add_reference(&mut self, reference: &BytesRef<'_>) {
        let name = reference.xml10_content();
        let character = match &*name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => reference.resolve_char_ref().ok().flatten(),
        };
        match character {
            Some(character) => self.add(character.encode_utf8(&mut [0; 4])),
            None => self.add(&format!("&{name};")),
        }
    }
}

//! Deploys that a script began without the server: they live in the spool until the script says how
//! they ended, and are recorded then.

use std::io::Read;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::failure::Failure;
use super::super::place::Place;
use super::entry::{About, Entry};
use super::spool::Spool;
use super::utf8::Decoder;

/// How their ids begin, as no id of the server does.
const PREFIX: &str = "kept-";

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Begins one, of this commit and with this key, and gives its id.
pub(super) fn begin(
    context: &Context,
    spool: &Spool,
    server: &Url,
    place: &Place,
    mut body: Map<String, Value>,
) -> Result<String, Failure> {
    body.insert("started_at".to_owned(), json!(context.clock.now()));
    let mut about = About::unknown(server.as_str(), place, body);
    about.is_open = true;
    let entry = spool.create(&context.clock, about);
    let name = entry.folder().and_then(|folder| folder.file_name()?.to_str().map(str::to_owned));
    let nowhere = || Failure::Unreachable("there is no place to keep this deploy".to_owned());
    Ok(format!("{PREFIX}{}", name.ok_or_else(nowhere)?))
}

/// Takes the one with this id, if it is an id of such.
pub(super) fn find(spool: &Spool, id: &str) -> Result<Option<Entry>, Failure> {
    let Some(folder) = id.strip_prefix(PREFIX).and_then(|name| spool.find(name)) else {
        return Ok(None);
    };
    Entry::take(&folder)
        .map_err(|cause| Failure::Usage(format!("cannot read {}: {cause}", folder.display())))
}

/// Adds output to it, and says how much that was.
pub(super) fn add(mut entry: Entry, mut input: impl Read) -> Result<usize, Failure> {
    let (mut decoder, mut n_bytes) = (Decoder::default(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let n_read = match input.read(&mut piece) {
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|cause| Failure::Usage(format!("cannot read output: {cause}")))?,
        };
        let text = match piece.get(..n_read) {
            None | Some([]) => decoder.end(),
            Some(read) => decoder.text(read),
        };
        n_bytes += text.len();
        entry.append(&text);
        if n_read == 0 {
            return Ok(n_bytes);
        }
    }
}

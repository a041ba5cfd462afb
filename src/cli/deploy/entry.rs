//! What is to be told about one deploy: its output, and how it ended.
//!
//! An entry is a folder of the spool. Everything is in its files before it is sent, so that a
//! process that is killed loses nothing; whoever holds the entry's lock sends it, and removes it
//! when all has arrived. Where no folder can be made it lives in memory.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::place::Place;
use super::log::{Log, MOST_KEPT, Piece};
use crate::domain::time::Timestamp;
use crate::file_lock::FileLock;

const ABOUT: &str = "about.json";
const FINISH: &str = "finish.json";
const LOCK: &str = "lock";

/// The format of an entry's files.
const FORMAT: u32 = 1;

/// A script that has not said how its deploy ended after this long never will.
const LONGEST_OPEN: Duration = Duration::from_hours(7 * 24);

/// What an entry is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct About {
    format: u32,
    /// The server that all of it goes to, and no other.
    pub(super) url: String,
    /// The deploy, once the server has given it an id.
    pub(super) deploy: Option<String>,
    /// What is to be recorded if it began without the server.
    pub(super) record: Option<Record>,
    /// The offset at which the output begins; `None`: at the end of what the server has.
    pub(super) begins_at: Option<u64>,
    /// Whether this is a part of what is told about a deploy that a script runs itself.
    pub(super) is_part: bool,
    /// Whether a script adds to it, command by command, until it says how it ended.
    pub(super) is_open: bool,
    /// How much of the output is known to have arrived.
    n_sent: u64,
    /// Whether the server knows how it ended.
    is_finished: bool,
}

/// A deploy that the server did not hear of when it began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) project: String,
    pub(super) environment: String,
    /// The request without how it ended.
    pub(super) body: Map<String, Value>,
}

/// How a deploy ended, as the API takes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Finish {
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finished_at: Option<Timestamp>,
}

/// The request that comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing before more happens.
    Nothing,
    /// Everything was sent.
    Done,
    /// Where the output of a deploy ends.
    AskEnd {
        deploy: String,
    },
    Record {
        record: Record,
        finish: Finish,
    },
    Output {
        deploy: String,
        piece: Piece,
    },
    Finish {
        deploy: String,
        finish: Finish,
    },
}

/// What is to be told about one deploy.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) about: About,
    finish: Option<Finish>,
    log: Log,
    /// Whether nothing more will be added.
    is_closed: bool,
    /// Whether the server wants no more output.
    is_unwanted: bool,
    /// Whether how it ended goes before what is left of the output.
    pub(super) is_pressed: bool,
    /// The server's answer to how it ended.
    pub(super) answer: Option<Value>,
    /// Its folder, and the lock on it.
    home: Option<(PathBuf, FileLock)>,
}

impl Record {
    /// When the deploy began.
    pub(super) fn began_at(&self) -> Option<Timestamp> {
        self.body.get("started_at").and_then(Value::as_str).and_then(Timestamp::parse)
    }
}

impl About {
    /// A deploy that the server knows.
    pub(super) fn deploy(url: &str, deploy: &str) -> Self {
        Self {
            format: FORMAT,
            url: url.to_owned(),
            deploy: Some(deploy.to_owned()),
            record: None,
            begins_at: Some(0),
            is_part: false,
            is_open: false,
            n_sent: 0,
            is_finished: false,
        }
    }

    /// A part of what is told about such a deploy: output from an offset on, or from its end.
    pub(super) fn part(url: &str, deploy: &str, begins_at: Option<u64>) -> Self {
        Self { begins_at, is_part: true, ..Self::deploy(url, deploy) }
    }

    /// A deploy that is recorded when it is over.
    pub(super) fn unknown(url: &str, place: &Place, body: Map<String, Value>) -> Self {
        let Place { project, environment } = place.clone();
        Self {
            format: FORMAT,
            url: url.to_owned(),
            deploy: None,
            record: Some(Record { project, environment, body }),
            begins_at: Some(0),
            is_part: false,
            is_open: false,
            n_sent: 0,
            is_finished: false,
        }
    }
}

impl Entry {
    /// One that lives in memory.
    pub(super) fn in_memory(about: About) -> Self {
        Self::of(about, Log::new(None, MOST_KEPT), None)
    }

    fn of(about: About, log: Log, home: Option<(PathBuf, FileLock)>) -> Self {
        Self {
            about,
            finish: None,
            log,
            is_closed: false,
            is_unwanted: false,
            is_pressed: false,
            answer: None,
            home,
        }
    }

    /// Makes a folder for it in the spool, with room for so many bytes of output.
    pub(super) fn create(spool: &Path, name: &str, about: About, most: u64) -> io::Result<Self> {
        // It gets its name when it is whole: others see it locked, or not at all.
        let draft = spool.join(format!(".{name}"));
        std::fs::DirBuilder::new().mode(0o700).create(&draft)?;
        let mut open = OpenOptions::new();
        let open = open.write(true).create_new(true).mode(0o600);
        let made = open.open(draft.join(LOCK)).and_then(|lock| {
            let lock = FileLock::take(lock)?.ok_or(io::ErrorKind::ResourceBusy)?;
            write(&draft, ABOUT, &about)?;
            let folder = spool.join(name);
            std::fs::rename(&draft, &folder)?;
            Ok((folder, lock))
        });
        match made {
            Ok((folder, lock)) => {
                let log = Log::new(Some(folder.clone()), most);
                Ok(Self::of(about, log, Some((folder, lock))))
            }
            Err(cause) => {
                let _ = std::fs::remove_dir_all(&draft);
                Err(cause)
            }
        }
    }

    /// Takes over what a process has left; `None` if it is still at it, or all was sent meanwhile.
    pub(super) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let lock = match OpenOptions::new().write(true).open(folder.join(LOCK)) {
            Ok(lock) => lock,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause),
        };
        let Some(lock) = FileLock::take(lock)? else { return Ok(None) };
        let Some(about) = read::<About>(folder, ABOUT)? else { return Ok(None) };
        if about.format != FORMAT {
            return Err(io::Error::other("it was written by another version of airlock"));
        }
        let finish = read(folder, FINISH)?;
        let mut entry = Self::of(about, Log::load(folder)?, Some((folder.to_owned(), lock)));
        entry.log.sent(entry.about.n_sent);
        entry.finish = finish;
        entry.is_closed = true;
        Ok(Some(entry))
    }

    /// Its folder, if it has one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.home.as_ref().map(|(folder, _)| folder.as_path())
    }

    /// Whether nobody knows how the deploy ended.
    pub(super) fn is_orphan(&self) -> bool {
        self.finish.is_none() && !self.about.is_part
    }

    /// Whether a script will say how it ended; after so long it will not any more.
    pub(super) fn is_awaited(&self, now: Timestamp) -> bool {
        let began = self.about.record.as_ref().and_then(Record::began_at);
        let is_recent = began.is_none_or(|began| now.since(began) < LONGEST_OPEN);
        self.about.is_open && self.finish.is_none() && is_recent
    }

    /// How much output is to be sent.
    pub(super) fn n_unsent(&self) -> u64 {
        self.log.n_unsent()
    }

    /// Takes more output, unless the server wants none.
    pub(super) fn append(&mut self, text: &str) {
        if !self.is_unwanted {
            self.log.append(text);
        }
    }

    /// Nothing more comes; says how it ended, if that is known.
    pub(super) fn close(&mut self, finish: Option<Finish>) {
        self.log.say_lost();
        if let (Some((folder, _)), Some(finish)) = (&self.home, &finish) {
            // Without the file it is sent by this process or not at all.
            let _ = write(folder, FINISH, finish);
        }
        self.finish = finish;
        self.is_closed = true;
    }

    /// What is to be sent now.
    pub(super) fn next(&self) -> io::Result<Next> {
        let finish = self.finish.as_ref().filter(|_| !self.about.is_finished);
        let Some(deploy) = self.about.deploy.clone() else {
            let told = self.about.record.clone().zip(finish.cloned());
            return Ok(match told {
                Some((record, mut finish)) => {
                    // The clock may have been set back meanwhile.
                    let began = record.began_at();
                    finish.finished_at =
                        finish.finished_at.map(|at| began.map_or(at, |b| at.max(b)));
                    Next::Record { record, finish }
                }
                None if self.is_closed => Next::Done,
                None => Next::Nothing,
            });
        };
        if let Some(finish) = finish.filter(|_| self.is_pressed) {
            return Ok(Next::Finish { deploy, finish: finish.clone() });
        }
        if let Some(mut piece) = self.log.next()? {
            let Some(begins_at) = self.about.begins_at else {
                return Ok(Next::AskEnd { deploy });
            };
            // The server looks for secrets in what comes together: better no half lines.
            let is_rest = piece.text.len() as u64 == self.log.n_unsent();
            if !(self.is_closed && is_rest) {
                piece.cut_after_line();
            }
            piece.offset += begins_at;
            return Ok(Next::Output { deploy, piece });
        }
        Ok(match finish {
            Some(finish) => Next::Finish { deploy, finish: finish.clone() },
            None if self.is_closed => Next::Done,
            None => Next::Nothing,
        })
    }

    /// The server has the output up to this offset.
    pub(super) fn output_sent(&mut self, end: u64) {
        self.log.sent(end.saturating_sub(self.about.begins_at.unwrap_or_default()));
    }

    /// The output cannot be sent, now or later, and what follows neither.
    pub(super) fn drop_output(&mut self) {
        self.is_unwanted = true;
        self.log.drop_all();
    }

    /// Where the output begins.
    pub(super) fn begins_at(&mut self, offset: u64) {
        self.about.begins_at = Some(offset);
        self.save();
    }

    /// The server has recorded it under this id, with how it ended.
    pub(super) fn recorded(&mut self, deploy: &str, answer: Option<Value>) {
        self.about.deploy = Some(deploy.to_owned());
        self.finished(answer);
    }

    /// The server knows how it ended, or does not want to.
    pub(super) fn finished(&mut self, answer: Option<Value>) {
        self.answer = answer;
        self.about.is_finished = true;
        self.save();
    }

    /// Nothing of it is to be told.
    pub(super) fn give_up(&mut self) {
        self.drop_output();
        self.about.record = None;
        self.finished(None);
    }

    fn save(&self) {
        if let Some((folder, _)) = &self.home {
            // What is not saved is asked or sent once more, which changes nothing.
            let _ = write(folder, ABOUT, &self.about);
        }
    }

    /// Leaves the rest for later, and notes where it begins.
    pub(super) fn park(&mut self) {
        self.about.n_sent = self.log.n_sent();
        self.save();
    }

    /// All of it was sent.
    pub(super) fn remove(self) {
        if let Some((folder, _lock)) = &self.home {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Writes a file that is there as a whole or not at all, and stays.
fn write(folder: &Path, name: &str, content: &impl Serialize) -> io::Result<()> {
    let draft = folder.join(format!("{name}.draft"));
    let mut open = OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    file.sync_all()?;
    std::fs::rename(draft, folder.join(name))
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<Option<T>> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

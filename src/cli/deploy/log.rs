//! The output of a deploy that is not sent yet: text, in files of about a mebibyte each, named by
//! the offset at which they begin. What was sent is removed file by file, so that a crash costs
//! no more than sending the last one again, which its offset makes harmless.
//!
//! *Invariants*: a write that fails costs no output as long as there is room in memory; the text is
//! never longer than it may be, and says where something is missing.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most of one deploy's output that is kept until it can be sent.
pub(super) const MOST_KEPT: u64 = 64 << 20;

/// The most of it that is kept in memory when no file takes it.
const MOST_IN_MEMORY: u64 = 4 << 20;

/// A file that is longer than this is followed by another.
const SEGMENT: u64 = 1 << 20;

/// The most that is sent in one request.
pub(super) const MOST_SENT: usize = 256 << 10;

/// How the names of its files begin.
const PREFIX: &str = "output.";

/// Output that is to be sent.
#[derive(Debug)]
pub(super) struct Log {
    /// Where its files are; `None` if there is no place for them.
    folder: Option<PathBuf>,
    most: u64,
    segments: VecDeque<Segment>,
    /// The last file, if it is open.
    open: Option<File>,
    /// Up to here everything is sent.
    n_sent: u64,
    end: u64,
    /// What found no room since the last that did.
    n_lost: u64,
}

#[derive(Debug)]
struct Segment {
    from: u64,
    n_bytes: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    File(PathBuf),
    Memory(Vec<u8>),
}

/// A piece of output, and where it belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) text: String,
}

impl Piece {
    /// Leaves what is behind the last line feed, if there is one, for the next piece.
    pub(super) fn cut_after_line(&mut self) {
        if let Some(at) = self.text.rfind('\n') {
            self.text.truncate(at + 1);
        }
    }
}

impl Log {
    /// An empty one that holds at most so many bytes.
    pub(super) fn new(folder: Option<PathBuf>, most: u64) -> Self {
        Self {
            most: if folder.is_some() { most } else { most.min(MOST_IN_MEMORY) },
            folder,
            segments: VecDeque::new(),
            open: None,
            n_sent: 0,
            end: 0,
            n_lost: 0,
        }
    }

    /// What a process that is gone has left in a folder.
    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        let mut log = Self::new(Some(folder.to_owned()), MOST_KEPT);
        let mut segments = Vec::new();
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            let name = file.file_name();
            let from = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            if let Some(from) = from {
                let n_bytes = file.metadata()?.len();
                segments.push(Segment { from, n_bytes, kept: Kept::File(file.path()) });
            }
        }
        segments.sort_by_key(|segment| segment.from);
        log.n_sent = segments.first().map_or(0, |segment| segment.from);
        log.end = segments.last().map_or(0, |segment| segment.from + segment.n_bytes);
        log.segments = segments.into();
        log.forget_sent();
        Ok(log)
    }

    /// How much is known to have arrived.
    pub(super) fn n_sent(&self) -> u64 {
        self.n_sent
    }

    /// How much is to be sent.
    pub(super) fn n_unsent(&self) -> u64 {
        self.end - self.n_sent
    }

    /// Takes more output; what finds no room is counted.
    pub(super) fn append(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let n_bytes = text.len() as u64;
        if self.n_unsent() + n_bytes > self.most {
            self.n_lost += n_bytes;
            return;
        }
        self.say_lost();
        if !self.write(text) {
            self.n_lost += n_bytes;
        }
    }

    /// Says at the end of the text how much of it is missing, if some is.
    pub(super) fn say_lost(&mut self) {
        if self.n_lost > 0 {
            let note = format!(
                "\n[airlock: {} bytes of output are missing here: they could not be sent in time]\n",
                self.n_lost
            );
            if self.write(&note) {
                self.n_lost = 0;
            }
        }
    }

    /// Whether there was room.
    fn write(&mut self, text: &str) -> bool {
        let needs_segment = match self.segments.back() {
            Some(Segment { n_bytes, .. }) if *n_bytes >= SEGMENT => true,
            // One that another process has left is not written to.
            Some(Segment { kept: Kept::File(_), .. }) => self.open.is_none(),
            Some(_) => false,
            None => true,
        };
        if needs_segment {
            self.begin_segment();
        }
        let n_bytes = text.len() as u64;
        if let (Some(last), Some(file)) = (self.segments.back_mut(), &mut self.open) {
            if file.write_all(text.as_bytes()).is_ok() {
                last.n_bytes += n_bytes;
                self.end += n_bytes;
                return true;
            }
            // The disk is full or gone. What was written in part is taken back.
            let _ = file.set_len(last.n_bytes);
            self.open = None;
        }
        self.keep_in_memory(text)
    }

    fn keep_in_memory(&mut self, text: &str) -> bool {
        let held = self.segments.iter().map(|segment| match &segment.kept {
            Kept::Memory(bytes) => bytes.len() as u64,
            Kept::File(_) => 0,
        });
        let n_bytes = text.len() as u64;
        if held.sum::<u64>() + n_bytes > MOST_IN_MEMORY {
            return false;
        }
        if let Some(Segment { n_bytes: held, kept: Kept::Memory(bytes), .. }) =
            self.segments.back_mut()
        {
            bytes.extend_from_slice(text.as_bytes());
            *held += n_bytes;
        } else {
            let kept = Kept::Memory(text.as_bytes().to_vec());
            self.segments.push_back(Segment { from: self.end, n_bytes, kept });
        }
        self.end += n_bytes;
        true
    }

    /// Opens the file that comes after all that is there. Without one memory has to do.
    fn begin_segment(&mut self) {
        self.open = None;
        let Some(folder) = &self.folder else { return };
        let path = folder.join(format!("{PREFIX}{:020}", self.end));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        if let Ok(file) = opened {
            self.open = Some(file);
            let kept = Kept::File(path);
            self.segments.push_back(Segment { from: self.end, n_bytes: 0, kept });
        }
    }

    /// What is to be sent next.
    pub(super) fn next(&self) -> io::Result<Option<Piece>> {
        let Some(first) = self.segments.iter().find(|segment| segment.n_bytes > 0) else {
            return Ok(None);
        };
        let offset = self.n_sent.max(first.from);
        let at = offset - first.from;
        let n_left = usize::try_from(first.n_bytes - at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; n_left.min(MOST_SENT)];
        match &first.kept {
            Kept::File(path) => File::open(path)?.read_exact_at(&mut bytes, at)?,
            Kept::Memory(held) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                bytes = held.iter().skip(at).take(bytes.len()).copied().collect();
            }
        }
        let is_end = bytes.len() == n_left;
        Ok(Some(Piece { offset, text: text_of(bytes, is_end) }))
    }

    /// Up to this offset everything has arrived.
    pub(super) fn sent(&mut self, n_sent: u64) {
        self.n_sent = n_sent.clamp(self.n_sent, self.end);
        self.forget_sent();
    }

    /// Gives up what is left.
    pub(super) fn drop_all(&mut self) {
        self.n_lost = 0;
        self.sent(self.end);
    }

    fn forget_sent(&mut self) {
        while let Some(first) = self.segments.front() {
            if first.from + first.n_bytes > self.n_sent {
                break;
            }
            if let Some(Segment { kept: Kept::File(path), .. }) = self.segments.pop_front() {
                // One that stays is sent again by a later flush, to the offset it is at.
                let _ = std::fs::remove_file(path);
            }
        }
        if self.segments.is_empty() {
            self.open = None;
        }
    }
}

/// Text of as many bytes. A character that is cut at the end comes with the next piece, if there is
/// one; what a crash has torn becomes a question mark for each byte, so that offsets stay true.
fn text_of(mut bytes: Vec<u8>, is_end: bool) -> String {
    loop {
        let cause = match String::from_utf8(bytes) {
            Ok(text) => return text,
            Err(cause) => cause,
        };
        let (at, is_cut) = (cause.utf8_error().valid_up_to(), cause.utf8_error().error_len());
        bytes = cause.into_bytes();
        if is_cut.is_none() && !is_end && at > 0 {
            bytes.truncate(at);
        } else if let Some(byte) = bytes.get_mut(at) {
            *byte = b'?';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(log: &mut Log) -> String {
        let mut text = String::new();
        let begin = log.n_sent;
        while let Some(piece) = log.next().expect("readable") {
            assert_eq!(piece.offset, begin + text.len() as u64);
            assert!(piece.text.len() <= MOST_SENT && !piece.text.is_empty());
            text += &piece.text;
            log.sent(begin + text.len() as u64);
        }
        text
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).expect("a folder").count()
    }

    #[test]
    fn what_was_appended_is_sent_once_and_its_files_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::new(Some(folder.path().to_owned()), MOST_KEPT);
        let line = "größer 在庫 🥲\n".repeat(1_000);
        let text = line.repeat(200);
        for _ in 0..200 {
            log.append(&line);
        }
        assert_eq!(log.n_unsent(), text.len() as u64);
        assert!(files(folder.path()) > 2);
        assert!(all(&mut log) == text);
        assert_eq!((log.n_unsent(), files(folder.path())), (0, 0));
        log.append("more");
        let piece = Piece { offset: text.len() as u64, text: "more".to_owned() };
        assert_eq!(log.next().expect("readable"), Some(piece));
    }

    #[test]
    fn another_process_goes_on_where_one_was_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::new(Some(folder.path().to_owned()), MOST_KEPT);
        let text = "0123456789abcdef".repeat(1 << 17);
        for piece in text.as_bytes().chunks(1_000) {
            log.append(std::str::from_utf8(piece).expect("ASCII"));
        }
        log.sent((1 << 20) + 5_000);
        drop(log);
        let mut log = Log::load(folder.path()).expect("readable");
        log.append("and more");
        drop(log);
        let mut log = Log::load(folder.path()).expect("readable");
        let text = text + "and more";
        let n_sent = usize::try_from(log.n_sent).expect("small");
        assert!((1_000_000..=(1 << 20) + 5_000).contains(&n_sent), "{n_sent}");
        assert!(text.get(n_sent..) == Some(&all(&mut log)));
    }

    #[test]
    fn what_finds_no_room_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::new(Some(folder.path().to_owned()), 10);
        for text in ["12345678", "abc", "def", "9"] {
            log.append(text);
        }
        let note =
            "\n[airlock: 6 bytes of output are missing here: they could not be sent in time]\n";
        assert_eq!(all(&mut log), format!("12345678{note}9"));
        log.append(&"x".repeat(11));
        log.say_lost();
        assert_eq!(all(&mut log), note.replace("6 bytes", "11 bytes"));
    }

    #[test]
    fn memory_does_where_no_file_can_be() {
        let nowhere = Some(PathBuf::from("/nowhere/at/all"));
        for folder in [None, nowhere] {
            let mut log = Log::new(folder, MOST_KEPT);
            log.append("one ");
            log.append("two");
            assert_eq!(all(&mut log), "one two");
            let much = "x".repeat(3 << 20);
            log.append(&much);
            log.append(&much);
            log.append("!");
            let text = all(&mut log);
            assert!(text.len() < (3 << 20) + 100 && text.ends_with("in time]\n!"));
        }
    }

    #[test]
    fn a_piece_ends_with_a_line_if_it_holds_one() {
        for (text, cut) in [("a\nb\nhal", "a\nb\n"), ("half", "half"), ("a\n", "a\n"), ("", "")] {
            let mut piece = Piece { offset: 7, text: text.to_owned() };
            piece.cut_after_line();
            assert_eq!(piece, Piece { offset: 7, text: cut.to_owned() });
        }
    }

    #[test]
    fn torn_characters_keep_offsets_true() {
        for (bytes, is_end, text) in [
            (&b"a\xc3"[..], false, "a"),
            (b"a\xc3", true, "a?"),
            (b"\xc3", false, "?"),
            (b"\xffb\xf0\x9f", true, "?b??"),
        ] {
            assert_eq!(text_of(bytes.to_vec(), is_end), text, "{bytes:?}");
        }
    }
}

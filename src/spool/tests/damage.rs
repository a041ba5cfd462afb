//! Torn, flipped, missing and forged bytes.

use proptest::prelude::*;

use super::*;

const TEXTS: [&str; 3] = ["the first", "in the middle", "at the end"];

/// A spool's folder with [`TEXTS`] in one segment, and the segment's bytes.
async fn three_records() -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _reader) = reopen(dir.path());
    append(&spool, &TEXTS).await;
    let copy = crash(&dir);
    let bytes = std::fs::read(path(copy.path(), 1)).unwrap();
    (copy, bytes)
}

/// The file of a segment of a spool opened with [`SEED`].
fn path(dir: &Path, first_seq: u64) -> PathBuf {
    segment::Name { first_seq, salt: record::draw_salt(SEED, first_seq) }.path(dir)
}

/// Where each of [`TEXTS`] ends in the segment.
fn ends() -> [usize; 3] {
    let mut end = 24;
    TEXTS.map(|text| {
        end += 32 + text.len();
        end
    })
}

/// What a spool makes of a folder with these segments.
async fn take_up(files: &[(u64, &[u8])]) -> (Vec<String>, Status) {
    let dir = tempfile::tempdir().unwrap();
    for (first_seq, bytes) in files {
        std::fs::write(path(dir.path(), *first_seq), bytes).unwrap();
    }
    let (spool, mut reader) = reopen(dir.path());
    let mut texts = read_all(&mut reader).await;
    append(&spool, &["afterwards"]).await;
    assert_eq!(read_all(&mut reader).await, ["afterwards"]);
    reader.rewind();
    assert_eq!(read_all(&mut reader).await.len(), texts.len() + 1, "found again, counted once");
    reader.ack(u64::MAX).await;
    let status = spool.status();
    assert_eq!(status.backlog_records, 0);
    texts.retain(|text| text != "afterwards");
    (texts, status)
}

#[tokio::test]
async fn a_torn_end_is_cut_wherever_it_is() {
    let (_dir, bytes) = three_records().await;
    let [_, second_end, end] = ends();
    assert_eq!(bytes.len(), end);
    for cut in 0..=end {
        let n_whole = ends().iter().filter(|end| **end <= cut).count();
        let (texts, status) = take_up(&[(1, &bytes[..cut])]).await;
        assert_eq!(texts, TEXTS[..n_whole], "cut to {cut}");
        assert_eq!(status.skipped_records, 0, "cut to {cut}");
    }
    // A file system may leave zeros where a torn write went.
    let mut zeroed = bytes.clone();
    zeroed[second_end..].fill(0);
    zeroed.resize(end + 5000, 0);
    let (texts, status) = take_up(&[(1, &zeroed)]).await;
    assert_eq!((texts.len(), status.skipped_records), (2, 0));

    let dir = tempfile::tempdir().unwrap();
    let path = path(dir.path(), 1);
    std::fs::write(&path, &zeroed).unwrap();
    let (_spool, _reader) = reopen(dir.path());
    assert_eq!(std::fs::read(&path).unwrap(), bytes[..second_end]);
}

#[tokio::test]
async fn a_damaged_record_costs_its_neighbours_nothing() {
    let (_dir, bytes) = three_records().await;
    let [first_end, second_end, end] = ends();
    for position in 0..end {
        for mask in [0x01, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] ^= mask;
            let (texts, status) = take_up(&[(1, &damaged)]).await;
            let context = format!("flipped at {position}");
            if position < 24 {
                assert_eq!(texts, TEXTS, "the header is not needed: {context}");
                assert_eq!(status.skipped_records, 0, "{context}");
            } else if position < first_end {
                assert_eq!((texts.len(), status.skipped_records), (2, 1), "{context}");
            } else if position < second_end {
                assert_eq!(texts, [TEXTS[0], TEXTS[2]], "{context}");
                assert_eq!(status.skipped_records, 1, "{context}");
                assert_eq!(status.skipped_bytes, (second_end - first_end) as u64, "{context}");
            } else {
                assert_eq!(texts, TEXTS[..2], "taken for a torn end: {context}");
            }
        }
    }
}

#[tokio::test]
async fn damage_in_closed_segments_is_counted_by_the_numbers() {
    let (dir, first) = three_records().await;
    let (spool, _reader) = reopen(dir.path());
    append(&spool, &["next segment"]).await;
    let next = std::fs::read(path(dir.path(), 4)).unwrap();
    let [first_end, second_end, _] = ends();

    let mut flipped = first.clone();
    flipped[second_end + 40] ^= 4;
    let (texts, status) = take_up(&[(1, &flipped), (4, &next)]).await;
    assert_eq!(texts, [TEXTS[0], TEXTS[1], "next segment"]);
    assert_eq!(status.skipped_records, 1, "the last record of a closed segment");

    let (texts, status) = take_up(&[(1, &first[..first_end]), (4, &next)]).await;
    assert_eq!((texts.len(), status.skipped_records), (2, 2), "a closed segment cut short");

    let (texts, status) = take_up(&[(1, &[]), (4, &next)]).await;
    assert_eq!((texts.len(), status.skipped_records), (1, 3), "an empty one");

    let mut headless = first.clone();
    headless[..first_end - 1].fill(0);
    let (texts, status) = take_up(&[(1, &headless), (4, &next)]).await;
    assert_eq!(texts, [TEXTS[1], TEXTS[2], "next segment"], "header and first record");
    assert_eq!(status.skipped_records, 1);
    let (texts, _) = take_up(&[(1, &headless)]).await;
    assert_eq!(texts, TEXTS[1..], "also of the last segment");

    let (texts, status) = take_up(&[(4, &next)]).await;
    assert_eq!((texts.len(), status.skipped_records), (1, 0), "done and removed, not lost");
}

#[tokio::test]
async fn a_segment_that_vanishes_while_open_is_passed() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) =
        open(Settings { segment_bytes: 1, ..settings(dir.path()) }, SEED).unwrap();
    for text in TEXTS {
        append(&spool, &[text]).await;
    }
    std::fs::remove_file(path(dir.path(), 2)).unwrap();
    assert_eq!(read_all(&mut reader).await, [TEXTS[0], TEXTS[2]]);
    assert_eq!(spool.status().skipped_records, 1);
    reader.ack(3).await;
    assert_eq!(spool.status().backlog_records, 0);

    append(&spool, &["four"]).await;
    append(&spool, &["five"]).await;
    std::fs::remove_file(path(dir.path(), 5)).unwrap();
    assert_eq!(read_all(&mut reader).await, ["four"]);
    reader.ack(4).await;
    assert_eq!(spool.status().backlog_records, 0, "nobody can acknowledge what is lost");
}

#[tokio::test]
async fn an_unreadable_segment_does_not_hold_up_the_next_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) =
        open(Settings { segment_bytes: 1, ..settings(dir.path()) }, SEED).unwrap();
    append(&spool, &["first"]).await;
    append(&spool, &["second"]).await;
    // Reading a folder fails, as reading from a broken disk does.
    let path = path(dir.path(), 1);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut n_failures = 0;
    let records = loop {
        match reader.next(9, 99).await {
            Ok(records) => break records,
            Err(error) => {
                assert!(error.to_string().contains(" 00000000000000000001 "), "{error}");
                assert_eq!(spool.status().skipped_records, 0, "it may have been for a moment only");
                n_failures += 1;
            }
        }
    };
    assert!(n_failures > 1);
    assert_eq!(records[0].bytes, b"second"[..]);
    assert_eq!(spool.status().skipped_records, 1);
}

#[tokio::test]
async fn a_segment_whose_beginning_the_disk_cannot_read_is_no_reason_not_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _reader) =
        open(Settings { segment_bytes: 1, ..settings(dir.path()) }, SEED).unwrap();
    append(&spool, &["first"]).await;
    append(&spool, &["second"]).await;
    let copy = crash(&dir);
    let unreadable = path(copy.path(), 1);
    std::fs::remove_file(&unreadable).unwrap();
    std::fs::create_dir(&unreadable).unwrap();
    let (spool, mut reader) = reopen(copy.path());
    let records = loop {
        if let Ok(records) = reader.next(9, 99).await {
            break records;
        }
    };
    assert_eq!(records[0].bytes, b"second"[..]);
    assert_eq!(spool.status().skipped_records, 1);
}

#[tokio::test]
async fn a_segment_with_another_name_is_not_passed_over() {
    let (dir, _) = three_records().await;
    let old = dir.path().join("00000000000000000001.spool");
    std::fs::rename(path(dir.path(), 1), &old).unwrap();
    let refused = open(settings(dir.path()), 1).unwrap_err();
    assert!(matches!(&refused, OpenError::OtherName { path } if *path == old), "{refused}");
}

#[tokio::test]
async fn the_remains_of_a_failed_write_are_not_handed_out() {
    let (dir, whole) = three_records().await;
    std::fs::write(path(dir.path(), 1), &whole[..ends()[1]]).unwrap();
    let (spool, _reader) = reopen(dir.path());
    append(&spool, &["instead"]).await;
    let next = std::fs::read(path(dir.path(), 3)).unwrap();
    for remains in [&whole[..], &whole[..ends()[1] + 20]] {
        let (texts, status) = take_up(&[(1, remains), (3, &next)]).await;
        assert_eq!(texts, [TEXTS[0], TEXTS[1], "instead"]);
        assert_eq!(status.skipped_records, 0);
    }
}

#[tokio::test]
async fn a_payload_cannot_pass_for_a_record() {
    let foreign = tempfile::tempdir().unwrap();
    let (spool, _reader) = open(settings(foreign.path()), 1).unwrap();
    append(&spool, &["zero", "forged", "forged"]).await;
    let foreign = std::fs::read(foreign.path().join(&segments(foreign.path())[0])).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let (spool, _reader) = reopen(dir.path());
    let records = vec![b"a".to_vec(), foreign.clone(), b"c".to_vec()];
    spool.append(spool.admit(0).unwrap(), records, at(0)).await.unwrap();
    let mut own = std::fs::read(path(dir.path(), 1)).unwrap();
    // Its length and checksum are lost: what follows must be searched for the next record.
    let second = 24 + 33;
    own[second + 8..second + 32].fill(0xaa);
    let (texts, status) = take_up(&[(1, &own)]).await;
    assert_eq!(texts, ["a", "c"]);
    assert_eq!(status.skipped_bytes, 32 + foreign.len() as u64);
}

#[tokio::test]
async fn without_a_watermark_the_oldest_segment_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    append(&spool, &TEXTS).await;
    read_all(&mut reader).await;
    reader.ack(2).await;
    for damage in [None, Some(&b""[..]), Some(&b"AIRWATER"[..]), Some(&[0; 20][..])] {
        let copy = crash(&dir);
        let path = copy.path().join("watermark");
        match damage {
            None => std::fs::remove_file(path).unwrap(),
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
        }
        let (_spool, mut reader) = reopen(copy.path());
        assert_eq!(read_all(&mut reader).await, TEXTS);
    }
    let copy = crash(&dir);
    let (_spool, mut reader) = reopen(copy.path());
    assert_eq!(read_all(&mut reader).await, [TEXTS[2]]);
}

#[tokio::test]
async fn nothing_waits_when_the_only_segment_is_spoilt_and_the_watermark_lost() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(path(dir.path(), 2047), [0; 100]).unwrap();
    let (spool, mut reader) = reopen(dir.path());
    assert_eq!(spool.status().backlog_records, 0);
    append(&spool, &["afterwards"]).await;
    assert_eq!(spool.status().backlog_records, 1);
    assert_eq!(reader.next(1, 1).await.unwrap()[0].seq, 2047);
}

#[tokio::test]
async fn numbers_go_on_when_everything_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    append(&spool, &TEXTS).await;
    read_all(&mut reader).await;
    reader.ack(3).await;
    spool.close().await;
    assert!(segments(dir.path()).is_empty());
    drop((spool, reader));
    let (spool, mut reader) = reopen(dir.path());
    append(&spool, &["four"]).await;
    assert_eq!(reader.next(1, 1).await.unwrap()[0].seq, 4);
}

#[tokio::test]
async fn a_newer_format_is_left_alone() {
    let (dir, mut bytes) = three_records().await;
    bytes[8] = 9;
    let sum = crc32c::crc32c(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&sum);
    let path = path(dir.path(), 1);
    std::fs::write(&path, &bytes).unwrap();
    let refused = open(settings(dir.path()), 1).unwrap_err();
    assert!(matches!(refused, OpenError::OtherVersion { version: 9, .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

/// Some way to spoil a file.
#[derive(Debug, Clone)]
enum Spoil {
    Flip(prop::sample::Index, u8),
    Zero(prop::sample::Index, usize),
    Cut(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index, usize),
}

fn any_spoil() -> impl Strategy<Value = Spoil> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), 1_u8..).prop_map(|(at, mask)| Spoil::Flip(at, mask)),
        2 => (index(), 1_usize..200).prop_map(|(at, length)| Spoil::Zero(at, length)),
        1 => index().prop_map(Spoil::Cut),
        2 => (index(), index(), 1_usize..200).prop_map(|(to, from, n)| Spoil::Swap(to, from, n)),
    ]
}

fn spoil(bytes: &mut Vec<u8>, spoil: &Spoil) {
    let place = |index: &prop::sample::Index| index.index(bytes.len().max(1));
    match spoil {
        Spoil::Flip(at, mask) => {
            let at = place(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
        Spoil::Zero(at, length) => {
            let at = place(at);
            bytes.iter_mut().skip(at).take(*length).for_each(|byte| *byte = 0);
        }
        Spoil::Cut(at) => {
            let at = place(at);
            bytes.truncate(at);
        }
        Spoil::Swap(to, from, length) => {
            let (to, from) = (place(to), place(from));
            let copied: Vec<u8> = bytes.iter().skip(from).take(*length).copied().collect();
            for (byte, copy) in bytes.iter_mut().skip(to).zip(copied) {
                *byte = copy;
            }
        }
    }
}

async fn survive(lengths: &[usize], spoils: &[Spoil]) {
    let with_length = |(n, length): (usize, &usize)| format!("{n} {}", "x".repeat(*length));
    let texts: Vec<_> = lengths.iter().enumerate().map(with_length).collect();
    let dir = tempfile::tempdir().unwrap();
    let (spool, reader) = reopen(dir.path());
    append(&spool, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    spool.close().await;
    drop((spool, reader));
    let (spool, _reader) = reopen(dir.path());
    append(&spool, &["behind"]).await;

    let copy = crash(&dir);
    let path = path(copy.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    for each in spoils {
        spoil(&mut bytes, each);
    }
    std::fs::write(&path, &bytes).unwrap();
    let (spool, mut reader) = reopen(copy.path());
    let mut survivors = read_all(&mut reader).await;
    assert_eq!(survivors.pop().as_deref(), Some("behind"));
    let mut all = texts.iter();
    assert!(survivors.iter().all(|survivor| all.any(|text| text == survivor)));
    let n_lost = texts.len() - survivors.len();
    assert_eq!(spool.status().skipped_records, n_lost as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_a_closed_segment_is_counted(
        lengths in prop::collection::vec(0_usize..300, 1..20),
        spoils in prop::collection::vec(any_spoil(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(survive(&lengths, &spoils));
    }
}

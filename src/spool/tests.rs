//! Stories of the spool as a whole: crashes, damage, full disks.

mod damage;
mod model;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

/// Where the randomness of spools begins.
const SEED: u64 = 42;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn settings(dir: &Path) -> Settings {
    Settings { least_free_bytes: 0, ..Settings::new(dir) }
}

fn reopen(dir: &Path) -> (Spool, Reader) {
    open(settings(dir), SEED).expect("the spool opens")
}

async fn append(spool: &Spool, records: &[&str]) {
    try_append(spool, records).await.expect("the records are appended");
}

async fn try_append(spool: &Spool, records: &[&str]) -> Result<(), AppendError> {
    let records = records.iter().map(|text| text.as_bytes().to_vec()).collect();
    spool.append(spool.admit(0)?, records, at(0)).await
}

async fn read_all(reader: &mut Reader) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let records = reader.try_next(5, 100).await.expect("the spool is read");
        if records.is_empty() {
            return texts;
        }
        texts.extend(
            records.into_iter().map(|record| String::from_utf8(record.bytes.into()).unwrap()),
        );
    }
}

/// What a power cut would leave behind now.
fn crash(dir: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn segments(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| segment::Name::parse(name).is_some())
        .collect();
    names.sort();
    names
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun_at = Instant::now();
    while !is_so() {
        assert!(begun_at.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_appended_is_read_acknowledged_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(&dir.path().join("a/spool"));
    let room = spool.admit(3).unwrap();
    spool.append(room, vec![b"one".to_vec(), Vec::new()], at(7)).await.unwrap();
    append(&spool, &["three"]).await;
    assert_eq!(spool.status().backlog_records, 3);
    assert_eq!(spool.status().backlog_bytes, 3 * 32 + 8);

    let records = reader.next(10, 1000).await.unwrap();
    let first = Record { seq: 1, at: at(7), bytes: Bytes::from_static(b"one") };
    assert_eq!(records[0], first);
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3]);
    reader.ack(2).await;
    assert_eq!(spool.status().backlog_records, 1);
    assert_eq!(spool.status().backlog_bytes, 32 + 5);
    reader.ack(3).await;
    assert_eq!(spool.status().backlog_records, 0);

    let folder = dir.path().join("a/spool");
    until("the drained segment is gone", || segments(&folder).is_empty()).await;
    until("its bytes are free", || spool.status().used_bytes == 0).await;
    append(&spool, &["four"]).await;
    assert_eq!(read_all(&mut reader).await, ["four"]);
}

#[tokio::test]
async fn only_the_owner_may_look() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("spool");
    let (spool, _reader) = reopen(&folder);
    append(&spool, &["secret"]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn segments_are_closed_when_full_and_removed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) =
        open(Settings { segment_bytes: 150, ..settings(dir.path()) }, 1).unwrap();
    for text in ["a", "b", "c", "d", "e", "f", "g"] {
        append(&spool, &[text]).await;
    }
    assert_eq!(segments(dir.path()).len(), 3);
    assert_eq!(read_all(&mut reader).await.concat(), "abcdefg");
    reader.ack(5).await;
    let names = segments(dir.path()).into_iter();
    let numbers: Vec<_> =
        names.map(|name| segment::Name::parse(&name).unwrap().first_seq).collect();
    assert_eq!(numbers, [4, 7]);
    let copy = crash(&dir);
    let (again, mut reader) = reopen(copy.path());
    assert_eq!(again.status().backlog_records, 2);
    assert_eq!(read_all(&mut reader).await.concat(), "fg");
    assert_eq!(again.status().skipped_records, 0);
}

#[tokio::test]
async fn the_reader_waits_and_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let first = reader.next(1, 0).await.unwrap().remove(0);
        reader.ack(first.seq).await;
        let end = reader.next(1, 0).await;
        (first.bytes, end)
    });
    tokio::task::yield_now().await;
    append(&spool, &["at last"]).await;
    spool.close().await;
    let (bytes, end) = tasks.join_next().await.unwrap().unwrap();
    assert_eq!(bytes, b"at last"[..]);
    assert!(matches!(end, Err(ReadError::Closed)));
}

#[tokio::test]
async fn batches_are_bounded_save_for_one_long_record() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    let long = vec![7_u8; 1_000_000];
    let room = spool.admit(1_000_020).unwrap();
    let records = vec![vec![1; 10], vec![2; 10], long.clone(), vec![3; 10]];
    spool.append(room, records, at(0)).await.unwrap();
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let batch = reader.next(10, 100).await.unwrap();
        lengths.push(batch.iter().map(|record| record.bytes.len()).collect::<Vec<_>>());
    }
    assert_eq!(lengths, [vec![10, 10], vec![1_000_000], vec![10]]);
    reader.rewind();
    assert_eq!(reader.next(10, 2_000_000).await.unwrap()[2].bytes, long);
    assert!(reader.try_next(10, 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn rewinding_hands_out_again_what_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    append(&spool, &["a", "b", "c"]).await;
    assert_eq!(read_all(&mut reader).await.concat(), "abc");
    reader.ack(1).await;
    reader.rewind();
    reader.ack(99).await;
    assert_eq!(read_all(&mut reader).await.concat(), "bc", "what is not out cannot be done");
    reader.ack(99).await;
    reader.rewind();
    assert_eq!(read_all(&mut reader).await.concat(), "");
}

#[tokio::test]
async fn many_appends_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let spool = spool.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                append(&spool, &["x", "y"]).await;
            }
        });
    }
    tasks.join_all().await;
    let n_syncs = spool.status().n_syncs;
    assert!(n_syncs < 64 * 20 / 4, "{n_syncs} syncs for 1280 appends");
    assert_eq!(read_all(&mut reader).await.concat(), "xy".repeat(64 * 20));
}

#[tokio::test]
async fn closing_writes_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, reader) = reopen(dir.path());
    let room = spool.admit(4).unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let spool = spool.clone();
        tasks.spawn(async move { append(&spool, &["x"]).await });
    }
    tokio::task::yield_now().await;
    spool.close().await;
    spool.close().await;
    tasks.join_all().await;
    let late = spool.append(room, vec![b"late".to_vec()], at(0)).await;
    assert!(matches!(late, Err(AppendError::Closed)));
    assert_eq!(spool.status().state, State::Down);
    drop((spool, reader));
    let (_spool, mut reader) = reopen(dir.path());
    assert_eq!(read_all(&mut reader).await.len(), 50);
}

#[tokio::test]
async fn one_process_at_a_time_and_dropping_is_enough_to_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, reader) = reopen(dir.path());
    let refused = open(settings(dir.path()), 1).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }));
    assert!(refused.to_string().contains(dir.path().to_str().unwrap()), "{refused}");
    drop((spool, reader));
    until("the folder is free", || open(settings(dir.path()), 1).is_ok()).await;
}

#[tokio::test]
async fn the_status_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    for second in [100, 101, 102] {
        let room = spool.admit(1).unwrap();
        spool.append(room, vec![b"x".to_vec()], at(second)).await.unwrap();
    }
    assert_eq!(spool.status().oldest, Some(at(100)));
    reader.next(2, 100).await.unwrap();
    reader.ack(2).await;
    assert_eq!(spool.status().oldest, Some(at(102)));

    let copy = crash(&dir);
    let (spool, mut reader) = reopen(copy.path());
    assert_eq!(spool.status().backlog_records, 1);
    assert_eq!(spool.status().used_bytes, 24 + 3 * 33);
    assert_eq!(reader.next(9, 100).await.unwrap()[0].seq, 3);
    assert_eq!(spool.status().oldest, Some(at(102)));
    reader.ack(3).await;
    assert_eq!(spool.status().oldest, None);
    assert_eq!((spool.status().used_bytes, segments(copy.path()).len()), (0, 0));
    let room = spool.admit(1).unwrap();
    spool.append(room, vec![b"x".to_vec()], at(500)).await.unwrap();
    assert_eq!(spool.status().oldest, Some(at(500)), "not the time of what is done");
}

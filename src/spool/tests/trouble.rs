//! Full spools and failing disks.

use super::*;

#[tokio::test]
async fn full_then_drained_then_open_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) =
        open(Settings { most_bytes: 1000, ..settings(dir.path()) }, 1).unwrap();
    let room = spool.admit(500).unwrap();
    spool.append(room, vec![vec![0; 500]], at(0)).await.unwrap();
    let full = spool.admit(500).unwrap_err();
    assert_eq!(full.reason, FullReason::Bytes { used: 556, most: 1000 });

    let room = spool.admit(100).unwrap();
    let too_much = spool.append(room, vec![vec![0; 500]], at(0)).await.unwrap_err();
    assert!(matches!(too_much, AppendError::Full(_)), "a body longer than its hint is bounded");
    assert!(too_much.is_transient());
    let room = spool.admit(100).unwrap();
    spool.append(room, vec![vec![0; 300]], at(0)).await.unwrap();
    assert_eq!(spool.shared.meter.reserved(), 0);

    while !reader.try_next(10, 1000).await.unwrap().is_empty() {}
    reader.ack(2).await;
    until("there is room again", || spool.admit(900).is_ok()).await;
}

#[tokio::test]
async fn a_full_disk_is_seen_before_the_body() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _reader) =
        open(Settings { least_free_bytes: u64::MAX, ..settings(dir.path()) }, 1).unwrap();
    let full = spool.admit(1).unwrap_err();
    assert!(matches!(full.reason, FullReason::FreeDisk { least: u64::MAX, .. }), "{full}");
}

#[tokio::test]
async fn a_record_too_long_is_refused_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _reader) = reopen(dir.path());
    let length = usize::try_from(LONGEST_RECORD).unwrap() + 1;
    let room = spool.admit(LONGEST_RECORD).unwrap();
    let refused = spool.append(room, vec![vec![0; length]], at(0)).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert_eq!(spool.shared.meter.reserved(), 0);
    assert_eq!(spool.status().used_bytes, 0);
}

#[tokio::test]
async fn a_failed_write_costs_its_own_batch_only() {
    for fault in [Fault::Write, Fault::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, mut reader) = reopen(dir.path());
        append(&spool, &["before"]).await;
        spool.shared.add_fault(fault);
        let failed = try_append(&spool, &["lost", "lost"]).await.unwrap_err();
        assert!(matches!(failed, AppendError::Write(_)) && failed.is_transient(), "{failed}");
        assert_eq!(spool.status().state, State::Degraded);
        assert!(spool.status().last_error.is_some());
        append(&spool, &["after"]).await;
        assert_eq!(spool.status().state, State::Ok);
        assert_eq!(spool.status().last_error, None);
        assert_eq!(segments(dir.path()).len(), 2, "nothing more goes to the segment that failed");
        assert_eq!(spool.shared.meter.reserved(), 0);

        let copy = crash(&dir);
        let (again, mut reader_again) = reopen(copy.path());
        assert_eq!(read_all(&mut reader_again).await, ["before", "after"]);
        assert_eq!(read_all(&mut reader).await, ["before", "after"]);
        for spool in [spool, again] {
            assert_eq!(spool.status().skipped_records, 0);
        }
    }
}

#[tokio::test]
async fn a_disk_that_keeps_failing_closes_the_door_and_it_opens_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut reader) = reopen(dir.path());
    for _ in 0..2 {
        spool.shared.add_fault(Fault::Write);
        try_append(&spool, &["lost"]).await.unwrap_err();
    }
    assert_eq!(spool.status().state, State::Down);
    let full = spool.admit(1).unwrap_err();
    assert!(matches!(full.reason, FullReason::Failing(_)), "{full}");
    until("it tries again", || spool.admit(1).is_ok()).await;
    append(&spool, &["back"]).await;
    assert_eq!(spool.status().state, State::Ok);
    assert_eq!(read_all(&mut reader).await, ["back"]);
}

#[tokio::test]
async fn a_folder_that_is_gone_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("spool");
    let (spool, mut reader) = reopen(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    try_append(&spool, &["lost"]).await.unwrap_err();
    std::fs::create_dir(&folder).unwrap();
    append(&spool, &["back"]).await;
    assert_eq!(read_all(&mut reader).await, ["back"]);
}

#[tokio::test]
async fn callers_who_leave_take_their_room_along() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _reader) = reopen(dir.path());
    for _ in 0..20 {
        let mut left = Box::pin(try_append(&spool, &["left alone"]));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = left.as_mut().poll(&mut context);
    }
    until("all room is given back", || spool.shared.meter.reserved() == 0).await;
    let status = spool.status();
    assert_eq!(status.used_bytes, 24 + status.backlog_records * 42);
    assert_eq!(spool.queue.available_permits(), QUEUE_UNITS as usize);
}

//! Any order of appending, reading, acknowledging, failing and crashing, against a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Vec<u8>>),
    Fail(bool),
    Read(usize, usize),
    AckHalf,
    AckAll,
    Rewind,
    Crash,
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let record = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        4 => prop::collection::vec(record, 1..5).prop_map(Step::Append),
        1 => any::<bool>().prop_map(Step::Fail),
        4 => (1_usize..6, 0_usize..200).prop_map(|(records, bytes)| Step::Read(records, bytes)),
        2 => Just(Step::AckHalf),
        1 => Just(Step::AckAll),
        1 => Just(Step::Rewind),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// What must be in the spool.
#[derive(Default)]
struct Model {
    appended: Vec<Vec<u8>>,
    n_read: usize,
    n_acked: usize,
}

async fn play(steps: Vec<Step>) {
    let tiny = |dir: &Path| Settings { segment_bytes: 300, ..settings(dir) };
    let mut dir = tempfile::tempdir().unwrap();
    let (mut spool, mut reader) = open(tiny(dir.path()), 1).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(records) => {
                model.appended.extend(records.clone());
                spool.append(spool.admit(0).unwrap(), records, at(0)).await.unwrap();
            }
            Step::Fail(is_sync) => {
                spool.shared.add_fault(if is_sync { Fault::Sync } else { Fault::Write });
                try_append(&spool, &["lost"]).await.unwrap_err();
                append(&spool, &["kept"]).await;
                model.appended.push(b"kept".to_vec());
            }
            Step::Read(most_records, most_bytes) => {
                let records = reader.try_next(most_records, most_bytes).await.unwrap();
                assert_eq!(records.is_empty(), model.n_read == model.appended.len());
                for record in records {
                    assert_eq!(record.bytes, model.appended[model.n_read]);
                    model.n_read += 1;
                    assert_eq!(record.seq, model.n_read as u64);
                }
            }
            Step::AckHalf => {
                model.n_acked = usize::midpoint(model.n_acked, model.n_read);
                reader.ack(model.n_acked as u64).await;
            }
            Step::AckAll => {
                model.n_acked = model.n_read;
                reader.ack(model.n_acked as u64).await;
            }
            Step::Rewind => {
                model.n_read = model.n_acked;
                reader.rewind();
            }
            Step::Crash => {
                model.n_read = model.n_acked;
                dir = crash(&dir);
                (spool, reader) = open(tiny(dir.path()), 2).unwrap();
            }
            Step::Restart => {
                model.n_read = model.n_acked;
                spool.close().await;
                drop((spool, reader));
                (spool, reader) = open(tiny(dir.path()), 3).unwrap();
            }
        }
        let status = spool.status();
        assert_eq!(status.backlog_records, (model.appended.len() - model.n_acked) as u64);
        assert_eq!((status.skipped_records, status.state), (0, State::Ok));
        assert_eq!(spool.shared.meter.reserved(), 0);
    }
    reader.rewind();
    let mut left = Vec::new();
    while left.len() < model.appended.len() - model.n_acked {
        left.extend(reader.next(3, 100).await.unwrap().into_iter().map(|record| record.bytes));
    }
    assert_eq!(left, model.appended[model.n_acked..]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_spool_is_a_list(steps in prop::collection::vec(any_step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(steps));
    }
}

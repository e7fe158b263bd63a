//! An observer is told of every batch, once, over restarts.

use std::sync::{Arc, Mutex};

use model::{SpanBatch, SpanId};
use store::{Observer, Store, StoreOptions};
use testkit::rng::Rng;

use super::{Regenerate, append};

/// What tells the test's batches apart.
type Told = Vec<(SpanId, usize)>;

/// Notes what it is told, and keeps a copy whenever a log file is closed, as somebody would who writes that down.
#[derive(Debug, Default)]
struct Notebook {
    notes: Mutex<Notes>,
}

#[derive(Debug, Default, Clone)]
struct Notes {
    told: Told,
    /// Up to which log file the copy goes, and the copy.
    kept: (u64, Told),
    sealings: usize,
}

impl Notebook {
    /// After a crash: nothing but the copy is left.
    fn after_crash(&self) -> Notebook {
        let kept = self.notes.lock().unwrap().kept.clone();
        Notebook { notes: Mutex::new(Notes { told: kept.1.clone(), kept, sealings: 0 }) }
    }
}

fn name(batch: &SpanBatch) -> (SpanId, usize) {
    (batch.rows[0].span_id, batch.len())
}

impl Observer for Notebook {
    fn applied(&self, batch: &Arc<SpanBatch>, received_unix_nano: u64, wal_sequence: u64) {
        assert_eq!(received_unix_nano, 99);
        let mut notes = self.notes.lock().unwrap();
        if wal_sequence > notes.kept.0 {
            notes.told.push(name(batch));
        }
    }

    fn closed(&self, wal_sequence: u64) {
        let mut notes = self.notes.lock().unwrap();
        if wal_sequence > notes.kept.0 {
            notes.kept = (wal_sequence, notes.told.clone());
        }
    }

    fn sealing(&self, wal_sequence: u64) {
        let mut notes = self.notes.lock().unwrap();
        notes.sealings += 1;
        assert!(notes.kept.0 >= wal_sequence, "files are closed before they are deleted");
    }
}

#[test]
fn each_batch_is_told_once() {
    // Guarantees that whoever keeps what it was told when log files are closed has every acknowledged batch exactly once and in order
    // after any number of restarts, wherever sealing was interrupted.
    let directory = tempfile::tempdir().unwrap();
    let mut random = Rng::new(17);
    let mut notebook = Arc::new(Notebook::default());
    let mut acknowledged = Told::new();
    let mut sealings = 0;
    for restart in 0..12 {
        let options = StoreOptions {
            memtable_bytes_max: 100 << 10,
            observer: notebook.clone(),
            ..StoreOptions::new(directory.path())
        };
        let store = Store::open(options, &Regenerate).unwrap();
        assert_eq!(notebook.notes.lock().unwrap().told, acknowledged, "after restart {restart}");
        for seed in 0..random.below(40) {
            let batch = append(&store, restart * 1_000 + seed, 1 + random.below(60)).unwrap();
            acknowledged.push(name(&batch));
        }
        drop(store);
        let notes = notebook.notes.lock().unwrap().clone();
        assert_eq!(notes.told, acknowledged);
        sealings += notes.sealings;
        notebook = Arc::new(notebook.after_crash());
    }
    assert!(sealings > 3 && acknowledged.len() > 100, "{sealings} sealings, {} batches", acknowledged.len());
}

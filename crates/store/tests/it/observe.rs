//! An observer is told of every batch, once, over restarts.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use model::{SpanBatch, SpanId};
use store::backup::copy_directory;
use store::disk::{RealDisk, replace_file};
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

/// Keeps its notes in the data directory, where a copy takes them along.
#[derive(Debug)]
struct Scribe {
    file: PathBuf,
    notebook: Notebook,
}

impl Scribe {
    /// Begins with what is written in a data directory.
    fn of(data: &Path) -> Arc<Scribe> {
        let file = data.join("flow/notes");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().unwrap());
        let through = numbers.next().unwrap_or(0);
        let mut told = Told::new();
        while let (Some(id), Some(spans)) = (numbers.next(), numbers.next()) {
            told.push((SpanId(id.to_le_bytes()), spans as usize));
        }
        let notes = Notes { told: told.clone(), kept: (through, told), sealings: 0 };
        Arc::new(Scribe { file, notebook: Notebook { notes: Mutex::new(notes) } })
    }

    fn told(&self) -> Told {
        self.notebook.notes.lock().unwrap().told.clone()
    }
}

impl Observer for Scribe {
    fn applied(&self, batch: &Arc<SpanBatch>, received_unix_nano: u64, wal_sequence: u64) {
        self.notebook.applied(batch, received_unix_nano, wal_sequence);
    }

    fn closed(&self, wal_sequence: u64) {
        self.notebook.closed(wal_sequence);
        let (through, told) = self.notebook.notes.lock().unwrap().kept.clone();
        let mut text = through.to_string();
        for (id, spans) in told {
            write!(text, " {} {spans}", u64::from_le_bytes(id.0)).unwrap();
        }
        fs::create_dir_all(self.file.parent().unwrap()).unwrap();
        replace_file(&RealDisk, &self.file, text.as_bytes()).unwrap();
    }

    fn sealing(&self, wal_sequence: u64) {
        self.notebook.sealing(wal_sequence);
    }
}

#[test]
fn a_copy_has_what_its_observer_wrote_down() {
    // Guarantees that on a copy taken at any moment, while log files are closed and sealed, an observer knows every batch that the copy has
    // exactly once and in order: what it had written down came along, and covers nothing that the copy does not have.
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let scribe = Scribe::of(&data);
    let options = |data: &Path, scribe: &Arc<Scribe>| StoreOptions {
        memtable_bytes_max: 100 << 10,
        observer: scribe.clone(),
        ..StoreOptions::new(data)
    };
    let store = Store::open(options(&data, &scribe), &Regenerate).unwrap();
    let acknowledged = Mutex::new(Told::new());
    let mut random = Rng::new(23);
    let mut written_down = 0;
    for round in 0..8 {
        let before = acknowledged.lock().unwrap().len();
        let to = directory.path().join(format!("copy-{round}"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seed in 0..30 {
                    let batch = append(&store, 1 + round * 1_000 + seed, 1 + random.below(60)).unwrap();
                    acknowledged.lock().unwrap().push(name(&batch));
                }
            });
            copy_directory(&RealDisk, &data, &to).unwrap();
        });
        let restored = Scribe::of(&to);
        written_down += usize::from(!restored.told().is_empty());
        drop(Store::open(options(&to, &restored), &Regenerate).unwrap());
        let (told, acknowledged) = (restored.told(), acknowledged.lock().unwrap());
        assert!(told.len() >= before && told == acknowledged[..told.len()], "round {round}: {} batches", told.len());
    }
    assert!(written_down > 0 && store.metrics().segments_sealed.get() > 0, "nothing was closed or sealed");
}

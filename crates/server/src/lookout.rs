//! [`Lookout`]: the thread that shows every stored batch to flow's engine, lets time pass for it, and writes it down when a log file is
//! closed, so that a restart goes on where it was.
//!
//! Beside step *apply*: senders do not wait for it unless [`QUEUE_BATCHES_MAX`] batches pile up. Batches are shared with the memtable, so
//! what waits takes no memory of its own. The file is written whole, aside, synced and renamed; one that cannot be read is left
//! behind, and the engine begins anew with what the log still has. Deliberately absent: meaning, which is `flow::engine`'s.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use flow::engine::rule::Rule;
use flow::engine::{Engine, EngineOptions};
use model::SpanBatch;
use store::Observer;
use store::disk::{Disk, read_file, replace_file};

use crate::clock::now_unix_nano;
use crate::give_way::give_way;

/// Batches that wait at the most; then senders wait. They are not given back when their memtable is.
const QUEUE_BATCHES_MAX: usize = 128;
/// How often time passes for the engine.
const TICK: Duration = Duration::from_secs(1);
/// After a longer pause between two ticks (a suspended machine) nobody is taken to have watched.
const PAUSE_NS: u64 = 10_000_000_000;
/// How long sealing waits for the engine to be written down.
const WRITE_WAIT_MAX: Duration = Duration::from_mins(1);
/// Larger files are not ours.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Rules that may be declared.
const RULES_MAX: usize = 1_000;
const POISON: &str = "no thread panics while it holds the engine";

enum Told {
    Batch(Arc<SpanBatch>, u64),
    Closed(u64),
    Stop,
}

/// What the engine's thread shares with those who ask.
struct Shared {
    engine: Mutex<Engine>,
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Log files up to this one are in what is written down.
    covered: u64,
    /// Log files up to this one need not be waited for any more.
    done: Mutex<u64>,
    done_changed: Condvar,
    /// The log has been read; from now on time passes.
    ready: AtomicBool,
    /// Until when the last server watched, if it stopped in order, Unix nanoseconds.
    watched_unix_nano: u64,
    write_errors: AtomicU64,
}

/// Keeps flow's engine.
pub struct Lookout {
    shared: Arc<Shared>,
    queue: SyncSender<Told>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Lookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookout").field("covered", &self.shared.covered).finish_non_exhaustive()
    }
}

impl Lookout {
    /// Reads what was written down in the data directory `data`, and begins.
    pub fn start(data: &Path, disk: Arc<dyn Disk>, options: &EngineOptions) -> std::io::Result<Arc<Lookout>> {
        let directory = data.join("flow");
        let (mut engine, covered) = restore(&*disk, &engine_file(&directory), options);
        engine.set_rules(read_rules(&*disk, &rules_file(&directory)));
        let watched_unix_nano = read_watched(&*disk, &watched_file(&directory));
        let shared = Arc::new(Shared {
            engine: Mutex::new(engine),
            disk,
            directory,
            watched_unix_nano,
            covered,
            done: Mutex::new(covered),
            done_changed: Condvar::new(),
            ready: AtomicBool::new(false),
            write_errors: AtomicU64::new(0),
        });
        let (queue, told) = sync_channel(QUEUE_BATCHES_MAX);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("flow".to_owned()).spawn(move || {
            give_way();
            for_thread.run(&told);
        })?;
        Ok(Arc::new(Lookout { shared, queue, thread: Mutex::new(Some(thread)) }))
    }

    /// The log has been read: from now on messages become late. Since the last server stopped nobody watched.
    pub fn set_ready(&self) {
        self.engine().resume(self.shared.watched_unix_nano, now_unix_nano());
        self.shared.ready.store(true, Ordering::Relaxed);
    }

    /// The engine. Batches wait while it is held.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.shared.engine.lock().expect(POISON)
    }

    /// How often the engine could not be written down.
    pub fn write_errors(&self) -> u64 {
        self.shared.write_errors.load(Ordering::Relaxed)
    }

    /// Replaces what is declared beside the settings, durably.
    pub fn declare(&self, rules: Vec<Rule>) -> Result<(), String> {
        if rules.len() > RULES_MAX {
            return Err(format!("more than {RULES_MAX} rules"));
        }
        let lines: Vec<String> = rules.iter().map(|rule| rule.to_string() + "\n").collect();
        let written = self.shared.write(&rules_file(&self.shared.directory), lines.concat().as_bytes());
        written.map_err(|error| format!("the rules cannot be written: {error}"))?;
        self.engine().set_rules(rules);
        Ok(())
    }

    /// Takes in what was told so far and ends the thread. Nobody may tell anything after that.
    pub fn stop(&self) {
        let thread = self.thread.lock().expect(POISON).take();
        if let Some(thread) = thread {
            drop(self.queue.send(Told::Stop));
            if thread.join().is_err() {
                tracing::error!("the thread that watches flows has panicked");
            }
        }
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Observer for Lookout {
    fn applied(&self, batch: &Arc<SpanBatch>, received_unix_nano: u64, wal_sequence: u64) {
        if self.shared.is_news(wal_sequence) {
            drop(self.queue.send(Told::Batch(Arc::clone(batch), received_unix_nano)));
        }
    }

    fn closed(&self, wal_sequence: u64) {
        drop(self.queue.send(Told::Closed(wal_sequence)));
    }

    fn sealing(&self, wal_sequence: u64) {
        let done = self.shared.done.lock().expect(POISON);
        let waits = |done: &mut u64| *done < wal_sequence;
        let waited = self.shared.done_changed.wait_timeout_while(done, WRITE_WAIT_MAX, waits).expect(POISON);
        if waited.1.timed_out() {
            tracing::error!("what is known of flows was not written down in time; a crash now would lose a part of it");
        }
    }
}

impl Shared {
    fn run(&self, told: &Receiver<Told>) {
        loop {
            match told.recv_timeout(TICK) {
                Ok(Told::Batch(batch, received_unix_nano)) => {
                    self.engine.lock().expect(POISON).apply(&batch, received_unix_nano);
                }
                Ok(Told::Closed(wal_sequence)) => self.write_down(wal_sequence),
                Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => return self.stop_watching(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.ready.load(Ordering::Relaxed) {
                self.tick();
            }
        }
    }

    /// Lets time pass, a tick at a time.
    fn tick(&self) {
        let now = now_unix_nano();
        let mut engine = self.engine.lock().expect(POISON);
        let ticked = engine.ticked_unix_nano();
        let since = now.saturating_sub(ticked);
        if since < TICK.as_nanos() as u64 {
            return;
        }
        if since >= PAUSE_NS && ticked > 0 {
            engine.resume(ticked, now);
        }
        engine.advance(now);
    }

    /// Leaves behind until when somebody watched, so that the next server knows for how long nobody did. Without it, as after a crash,
    /// that is since the last span.
    fn stop_watching(&self) {
        if self.ready.load(Ordering::Relaxed) {
            let line = format!("{}\n", now_unix_nano());
            if let Err(error) = self.write(&watched_file(&self.directory), line.as_bytes()) {
                tracing::warn!(%error, "until when messages were watched cannot be written down");
            }
        }
    }

    /// Whether something in a log file was not seen before the start. Once the log has been read everything is new.
    fn is_news(&self, wal_sequence: u64) -> bool {
        wal_sequence > self.covered || self.ready.load(Ordering::Relaxed)
    }

    fn write_down(&self, wal_sequence: u64) {
        if self.is_news(wal_sequence) {
            let bytes = self.engine.lock().expect(POISON).to_bytes(wal_sequence);
            if let Err(error) = self.write(&engine_file(&self.directory), &bytes) {
                self.write_errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "what is known of flows cannot be written down; a crash now would lose a part of it");
            }
        }
        let mut done = self.done.lock().expect(POISON);
        *done = wal_sequence.max(*done);
        self.done_changed.notify_all();
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.disk.create_directories(&self.directory)?;
        replace_file(&*self.disk, path, bytes)?;
        self.directory.parent().map_or(Ok(()), |data| self.disk.sync_directory(data))
    }
}

fn engine_file(directory: &Path) -> PathBuf {
    directory.join("engine.bin")
}

fn watched_file(directory: &Path) -> PathBuf {
    directory.join("watched.txt")
}

/// Until when somebody watched; 0 if nobody says so.
fn read_watched(disk: &dyn Disk, path: &Path) -> u64 {
    let bytes = read_file(disk, path, 64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().parse().unwrap_or(0)
}

fn rules_file(directory: &Path) -> PathBuf {
    directory.join("expectations.txt")
}

/// The engine as it was written down, and how much of the log it has seen.
fn restore(disk: &dyn Disk, path: &Path, options: &EngineOptions) -> (Engine, u64) {
    let anew = || (Engine::new(options.clone()), 0);
    match read_file(disk, path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => anew(),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "what is known of flows cannot be read; beginning anew");
            anew()
        }
        Ok(bytes) => Engine::from_bytes(options.clone(), &bytes).unwrap_or_else(|error| {
            tracing::error!(%error, path = %path.display(), "beginning anew with what the log still has");
            anew()
        }),
    }
}

fn read_rules(disk: &dyn Disk, path: &Path) -> Vec<Rule> {
    let bytes = read_file(disk, path, 1 << 20).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let read = |line: &str| {
        let rule = line.parse();
        rule.inspect_err(|error| tracing::error!(%error, line, "a declared expectation cannot be read")).ok()
    };
    text.lines().filter(|line| !line.trim().is_empty()).filter_map(read).collect()
}

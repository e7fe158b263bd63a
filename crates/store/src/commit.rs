//! Group commit: one thread writes what all waiting requests brought, syncs once, makes them searchable, and answers them.
//!
//! Steps *append* and *apply*. An OK is given only after the sync (with [`Durability::Fsync`]) and after the batch is in the
//! memtable, so a sender that got its OK finds its spans. When the disk refuses, every request of that group is refused and the
//! WAL file is abandoned: a sync that has failed says nothing about what was written before, even if the next one succeeds.
//! What was refused is cut off, or is at worst an unacknowledged request found at the next start.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{LogBatch, SpanBatch};

use crate::error::AppendError;
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::options::{COMMIT_QUEUE_BYTES_MAX, Durability, FROZEN_MEMTABLES_MAX, StoreOptions};
use crate::tables::Tables;
use crate::wal::{Encoded, WalWriter};

/// A request to be stored.
#[derive(Debug)]
pub struct Request {
    /// The sender's format, as `wire` numbers it.
    pub format: u8,
    /// When it was received.
    pub received_unix_nano: u64,
    /// Its bytes, decompressed.
    pub body: Bytes,
    /// What was decoded from them and admitted.
    pub batch: SpanBatch,
}

/// A request of log records to be stored.
#[derive(Debug)]
pub struct LogRequest {
    /// The sender's format, as `wire` numbers it: at least [`crate::LOG_FORMATS_FROM`].
    pub format: u8,
    /// When it was received.
    pub received_unix_nano: u64,
    /// Its bytes, decompressed.
    pub body: Bytes,
    /// What was decoded from them and admitted.
    pub batch: LogBatch,
}

/// What was decoded from a request.
#[derive(Debug)]
pub(crate) enum Batch {
    Spans(Box<SpanBatch>),
    Logs(LogBatch),
}

impl Default for Batch {
    fn default() -> Self {
        Batch::Spans(Box::default())
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        match self {
            Batch::Spans(batch) => batch.is_empty(),
            Batch::Logs(batch) => batch.is_empty(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Batch::Spans(batch) => batch.heap_bytes(),
            Batch::Logs(batch) => batch.heap_bytes(),
        }
    }

    fn shrink_to_fit(&mut self) {
        match self {
            Batch::Spans(batch) => batch.shrink_to_fit(),
            Batch::Logs(batch) => batch.shrink_to_fit(),
        }
    }
}

/// Called once, when a batch is durable and searchable or was refused.
pub type Done = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

struct Pending {
    record: Encoded,
    received_unix_nano: u64,
    batch: Batch,
    done: Done,
}

impl Pending {
    /// Memory it takes while it waits.
    fn bytes(&self) -> usize {
        self.record.len() + self.batch.heap_bytes()
    }
}

#[derive(Default)]
struct Queue {
    pending: Vec<Pending>,
    bytes: usize,
    /// The memtable somebody wants frozen.
    rotate: Option<Arc<Memtable>>,
    closed: bool,
}

/// The queue in front of the committing thread.
#[derive(Default)]
pub(crate) struct CommitQueue {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl std::fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitQueue").field("bytes", &self.bytes()).finish()
    }
}

impl CommitQueue {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no thread panics while it holds the commit queue")
    }

    /// Bytes that wait for the disk, encoded and decoded.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Queues a request; compresses and checksums it on the caller's thread. Where no span was admitted nothing is stored.
    pub(crate) fn push(&self, request: Request, done: Done) {
        let Request { format, received_unix_nano, body, batch } = request;
        self.push_batch((format, received_unix_nano), body, Batch::Spans(Box::new(batch)), done);
    }

    /// As [`CommitQueue::push`], for log records.
    pub(crate) fn push_logs(&self, request: LogRequest, done: Done) {
        let LogRequest { format, received_unix_nano, body, batch } = request;
        self.push_batch((format, received_unix_nano), body, Batch::Logs(batch), done);
    }

    fn push_batch(&self, (format, received_unix_nano): (u8, u64), body: Bytes, mut batch: Batch, done: Done) {
        if batch.is_empty() {
            let closed = self.lock().closed;
            return done(if closed { Err(AppendError::Closed) } else { Ok(()) });
        }
        let record = Encoded::new(format, received_unix_nano, &body);
        drop(body);
        batch.shrink_to_fit();
        let pending = Pending { record, received_unix_nano, batch, done };
        let bytes = pending.bytes();
        let mut queue = self.lock();
        let refusal = if queue.closed {
            Some(AppendError::Closed)
        } else {
            (queue.bytes > COMMIT_QUEUE_BYTES_MAX).then_some(AppendError::Full("the disk does not keep up"))
        };
        if let Some(refusal) = refusal {
            drop(queue);
            return (pending.done)(Err(refusal));
        }
        queue.bytes += bytes;
        queue.pending.push(pending);
        drop(queue);
        self.wake.notify_one();
    }

    /// Asks for a memtable to be frozen, if it still is the active one, so that it gets sealed.
    pub(crate) fn request_rotation(&self, active: Arc<Memtable>) {
        self.lock().rotate = Some(active);
        self.wake.notify_one();
    }

    /// Refuses what comes from now on; what waits is still committed.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    fn take(&self, wait: Duration) -> Taken {
        let mut queue = self.lock();
        if queue.pending.is_empty() && queue.rotate.is_none() && !queue.closed {
            queue = self.wake.wait_timeout(queue, wait).expect("no thread panics while it holds the commit queue").0;
        }
        queue.bytes = 0;
        let pending = std::mem::take(&mut queue.pending);
        let closed = queue.closed && pending.is_empty();
        Taken { pending, rotate: queue.rotate.take(), closed }
    }
}

struct Taken {
    pending: Vec<Pending>,
    rotate: Option<Arc<Memtable>>,
    closed: bool,
}

/// The committing thread's state.
#[derive(Debug)]
pub(crate) struct Committer {
    options: StoreOptions,
    queue: Arc<CommitQueue>,
    tables: Arc<Tables>,
    metrics: Arc<Metrics>,
    wal: Option<WalWriter>,
    next_sequence: u64,
    /// Bytes of the WAL that only sealing the active memtable gives back; after a start, of the whole WAL.
    active_wal_bytes: u64,
    /// When the oldest bytes were written that are not synced.
    unsynced_since: Option<Instant>,
    /// Groups refused one after the other because the disk would not write or sync them.
    failures_in_a_row: u32,
    /// When a read-only store tries again.
    try_again: Instant,
    /// Whether the active memtable was to be frozen and there was no new log file for its successor.
    rotation_fails: bool,
}

/// After so many groups in a row that the disk would not write or sync the store is read-only.
const FAILURES_MAX: u32 = 3;

/// How long written bytes may stay unsynced with [`Durability::Flush`] and [`Durability::Async`].
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

impl Committer {
    pub(crate) fn new(
        options: StoreOptions,
        queue: Arc<CommitQueue>,
        tables: Arc<Tables>,
        metrics: Arc<Metrics>,
        wal: WalWriter,
    ) -> Self {
        let (next_sequence, active_wal_bytes) = (wal.sequence + 1, tables.wal_bytes());
        let wal = Some(wal);
        Committer {
            options,
            queue,
            tables,
            metrics,
            wal,
            next_sequence,
            active_wal_bytes,
            unsynced_since: None,
            failures_in_a_row: 0,
            try_again: Instant::now(),
            rotation_fails: false,
        }
    }

    /// Commits until the queue is closed and empty; then everything written is synced.
    pub(crate) fn run(mut self) {
        loop {
            let taken = self.queue.take(SYNC_INTERVAL);
            if self.tables.read_only() {
                self.try_to_write_again();
            }
            if self.tables.read_only() {
                refuse(taken.pending, &read_only());
            } else if self.memory_is_full() && self.tables.sealing_fails() {
                refuse(taken.pending, &AppendError::Full("memory is full and spans cannot be sealed"));
            } else if self.is_stuck() {
                refuse(taken.pending, &AppendError::Full("memory is full and no new log file can be made"));
            } else if !taken.pending.is_empty() {
                self.commit(taken.pending);
            }
            let sync_is_due = self.unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_INTERVAL);
            if sync_is_due || taken.closed {
                self.sync_late();
            }
            if taken.closed {
                return;
            }
            self.wait_for_sealing();
            if self.rotation_is_due(taken.rotate.as_ref()) {
                self.rotate();
            }
        }
    }

    fn memory_is_full(&self) -> bool {
        self.active_is_full() && self.tables.frozen_count() >= FROZEN_MEMTABLES_MAX
    }

    fn active_is_full(&self) -> bool {
        self.tables.active().stats().bytes >= self.options.memtable_bytes_max
    }

    /// Whether the active memtable is full and, tried once more, has no successor.
    fn is_stuck(&mut self) -> bool {
        if self.rotation_fails && self.active_is_full() {
            self.rotate();
        }
        self.rotation_fails && self.active_is_full()
    }

    /// Holds the answers back while memory is full of memtables that wait to be sealed. The queue bounds what piles up
    /// meanwhile. When sealing does not get on, nobody is kept waiting: requests are refused.
    fn wait_for_sealing(&self) {
        loop {
            let generation = self.tables.generation();
            if !self.memory_is_full() || self.tables.sealing_fails() || self.tables.stopping() {
                return;
            }
            self.tables.wait(generation, SYNC_INTERVAL);
        }
    }

    /// Whether the active memtable has to be frozen: it is full, somebody asks for it, or its spans are few but their requests
    /// take half the WAL's budget, which only sealing gives back.
    fn rotation_is_due(&self, asked: Option<&Arc<Memtable>>) -> bool {
        let active = self.tables.active();
        let stats = active.stats();
        let asked = asked.is_some_and(|memtable| Arc::ptr_eq(memtable, &active));
        let wal_is_half_full = self.active_wal_bytes > self.options.wal_bytes_max / 2;
        stats.bytes >= self.options.memtable_bytes_max || ((asked || wal_is_half_full) && !stats.is_empty())
    }

    fn commit(&mut self, mut pending: Vec<Pending>) {
        if self.options.durability == Durability::Async {
            for one in &mut pending {
                let done = std::mem::replace(&mut one.done, Box::new(|_| ()));
                self.apply(std::mem::take(&mut one.batch), one.received_unix_nano);
                done(Ok(()));
            }
        }
        match self.write(&pending) {
            Ok(()) => {
                self.failures_in_a_row = 0;
                for one in pending {
                    if self.options.durability != Durability::Async {
                        self.apply(one.batch, one.received_unix_nano);
                    }
                    (one.done)(Ok(()));
                }
            }
            Err(error) => {
                tracing::error!(%error, requests = pending.len(), "the write-ahead log cannot be written; requests are refused");
                self.abandon_wal();
                self.note_failure(&error);
                refuse(pending, &AppendError::Io(error.to_string()));
            }
        }
    }

    /// A full disk is no broken one: smaller requests may fit, and retention makes space.
    fn note_failure(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::StorageFull {
            return;
        }
        self.failures_in_a_row += 1;
        if self.failures_in_a_row >= FAILURES_MAX {
            tracing::error!(
                failures = self.failures_in_a_row,
                "the disk takes nothing; the store is read-only until it does"
            );
            self.tables.set_read_only(true);
            self.try_again = Instant::now() + SYNC_INTERVAL;
        }
    }

    /// Makes and syncs a new log file; when that succeeds the store takes spans again. The next failure ends that at once.
    fn try_to_write_again(&mut self) {
        if Instant::now() < self.try_again {
            return;
        }
        self.try_again = Instant::now() + SYNC_INTERVAL;
        if self.wal.is_some() || self.reopen().is_ok() {
            tracing::info!("the disk takes writes again");
            self.failures_in_a_row = FAILURES_MAX - 1;
            self.tables.set_read_only(false);
        }
    }

    /// Never goes on in a file after a failure: see [`WalWriter::abandon`].
    fn abandon_wal(&mut self) {
        self.metrics.wal_errors.add(1);
        self.unsynced_since = None;
        if let Some(wal) = self.wal.take() {
            wal.abandon(&*self.options.disk, &self.options.directory);
        }
    }

    fn apply(&self, batch: Batch, received_unix_nano: u64) {
        match batch {
            Batch::Spans(batch) => self.apply_spans(*batch, received_unix_nano),
            Batch::Logs(batch) => {
                self.metrics.logs_applied.add(batch.len() as u64);
                self.tables.active().apply_logs(batch, self.options.clock.now_unix_nano());
            }
        }
    }

    fn apply_spans(&self, batch: SpanBatch, received_unix_nano: u64) {
        if !batch.is_empty() {
            self.metrics.spans_applied.add(batch.len() as u64);
            let batch = self.tables.active().apply(batch, self.options.clock.now_unix_nano());
            let wal_sequence = self.wal.as_ref().map_or(self.next_sequence, |wal| wal.sequence);
            self.options.observer.applied(&batch, received_unix_nano, wal_sequence);
        }
    }

    fn write(&mut self, pending: &[Pending]) -> io::Result<()> {
        let wal = match &mut self.wal {
            Some(wal) => wal,
            None => self.reopen()?,
        };
        let before = wal.bytes;
        wal.write(pending.iter().map(|one| &one.record))?;
        let written = wal.bytes - before;
        if self.options.durability == Durability::Fsync {
            self.sync()?;
        } else {
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        if let Some(wal) = &mut self.wal {
            wal.keep();
        }
        self.metrics.wal_bytes_written.add(written);
        self.tables.add_wal_bytes(written);
        self.active_wal_bytes += written;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        if let Some(wal) = &mut self.wal {
            wal.sync()?;
        }
        self.unsynced_since = None;
        self.metrics.syncs.record(begin.elapsed());
        Ok(())
    }

    /// Syncs what was answered before it was synced.
    fn sync_late(&mut self) {
        if self.unsynced_since.is_none() {
            return;
        }
        if let Err(error) = self.sync() {
            tracing::error!(%error, "the write-ahead log cannot be synced; the newest spans may be lost in a power cut");
            self.abandon_wal();
        }
    }

    fn create_wal(&mut self) -> io::Result<WalWriter> {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let wal = WalWriter::create(&*self.options.disk, &self.options.directory, sequence)?;
        self.tables.add_wal_bytes(wal.bytes);
        self.active_wal_bytes += wal.bytes;
        Ok(wal)
    }

    /// Goes on in a new file after the last one had to be abandoned.
    fn reopen(&mut self) -> io::Result<&mut WalWriter> {
        let wal = self.create_wal()?;
        self.tables.active().extend_wal(wal.sequence);
        Ok(self.wal.insert(wal))
    }

    /// Freezes the active memtable and begins a new one with a WAL file of its own.
    fn rotate(&mut self) {
        if self.tables.frozen_count() >= FROZEN_MEMTABLES_MAX {
            return;
        }
        self.sync_late();
        match self.create_wal() {
            Ok(wal) => {
                self.options.observer.closed(wal.sequence - 1);
                self.tables.freeze(Arc::new(Memtable::new(wal.sequence)));
                self.active_wal_bytes = wal.bytes;
                self.wal = Some(wal);
                self.rotation_fails = false;
            }
            Err(error) => {
                if !self.rotation_fails {
                    tracing::error!(%error, "no new write-ahead log file can be made; going on in the old one until memory is full");
                }
                self.metrics.wal_errors.add(1);
                self.rotation_fails = true;
            }
        }
    }
}

/// The refusal of a store whose disk takes nothing.
pub(crate) fn read_only() -> AppendError {
    AppendError::Io(
        "it has refused several writes in a row; the store is read-only until it takes them again".to_owned(),
    )
}

fn refuse(pending: Vec<Pending>, why: &AppendError) {
    for one in pending {
        (one.done)(Err(why.clone()));
    }
}

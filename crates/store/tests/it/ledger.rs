//! What was sent to a store on a simulated disk and how it was answered, and the check of what the store gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{NOTE_TIME_OUT_OF_RANGE, SpanBatch, SpanKey, SpanRef};
use store::clock::DAY_NS;
use store::disk::Disk;
use store::{AppendError, Projection, ReadError, Replay, Request, Snapshot, Store, StoreError, StoreOptions};
use testkit::clock::SimClock;
use testkit::disk::SimDisk;
use testkit::rng::Rng;
use testkit::spans::{Shape, normal_form, random_batch, span_id, trace_id};

/// The data directory on every simulated disk.
pub(crate) const DATA: &str = "/data";
/// No answer takes longer.
pub(crate) const LONG: Duration = Duration::from_secs(30);
const RECEIVED: u64 = 99;
/// When simulated stores begin.
pub(crate) const START: u64 = 1_795_100_000_000_000_000;

/// "Decodes" a body that begins with a batch's number and its count of spans.
pub(crate) struct Numbered;

impl Replay for Numbered {
    fn decode(&self, format: u8, received_unix_nano: u64, body: &[u8]) -> Result<SpanBatch, String> {
        assert_eq!((format, received_unix_nano), (1, RECEIVED));
        let number = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().unwrap());
        Ok(numbered_batch(number(0), number(8)))
    }
}

/// A batch that shares traces with its neighbours and no span with any other batch.
fn numbered_batch(number: u64, count: u64) -> SpanBatch {
    let shape = Shape { start_unix_nano: START - DAY_NS, range_ns: 2 * DAY_NS, ..Shape::default() };
    let mut batch = random_batch(&mut Rng::new(number), &shape, count as usize);
    for (place, row) in batch.rows.iter_mut().enumerate() {
        row.trace_id = trace_id(number / 3);
        row.span_id = span_id(number << 16 | place as u64);
    }
    batch
}

/// The body of a batch, `padding` bytes longer than it has to be, in a way that does not compress.
fn body(number: u64, count: u64, padding: usize) -> Bytes {
    let mut body = [number.to_le_bytes(), count.to_le_bytes()].concat();
    let mut rng = Rng::new(number);
    while body.len() < 16 + padding {
        body.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    body.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// None came: it may be there or not.
    Unknown,
    Stored,
    Refused,
}

/// Everything sent so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: BTreeMap<u64, (u64, Answer)>,
    /// Spans of days that ended before this instant may have been dropped by retention.
    expired_before_unix_nano: u64,
}

/// Where a store lives.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World { disk: SimDisk::new(seed), clock: Arc::new(SimClock::new(START)) }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        // Merging takes part in every test.
        let merge_segments_min = 2;
        StoreOptions { disk, clock: Arc::clone(&self.clock) as _, merge_segments_min, ..StoreOptions::new(DATA) }
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        Store::open(self.options(), &Numbered)
    }

    /// Whether there are no directories of segments but those of live ones.
    pub(crate) fn is_tidy(&self, store: &Store) -> bool {
        segment_directories(&self.disk).len() as u64 == store.stats().segments
    }

    /// The world after a power cut; the clock goes on.
    pub(crate) fn power_cut(&self, seed: u64) -> World {
        World { disk: self.disk.power_cut(seed), clock: Arc::clone(&self.clock) }
    }
}

/// An append on its way.
pub(crate) struct Sent {
    number: u64,
    answer: mpsc::Receiver<Result<(), AppendError>>,
}

impl Ledger {
    /// Sends a new batch without waiting.
    pub(crate) fn send(&mut self, store: &Store, spans: u64, padding: usize) -> Sent {
        let number = self.sent.len() as u64 + 1;
        self.sent.insert(number, (spans, Answer::Unknown));
        let (send, answer) = mpsc::channel();
        let batch = numbered_batch(number, spans);
        let request = Request { format: 1, received_unix_nano: RECEIVED, body: body(number, spans, padding), batch };
        store.append(request, Box::new(move |result| drop(send.send(result))));
        Sent { number, answer }
    }

    /// Sends a batch once more, as a sender whose answer was lost, and waits for the answer.
    pub(crate) fn repeat(&mut self, store: &Store, number: u64) -> Result<(), AppendError> {
        let spans = self.sent[&number].0;
        let (send, answer) = mpsc::channel();
        let (body, batch) = (body(number, spans, 0), numbered_batch(number, spans));
        let request = Request { format: 1, received_unix_nano: RECEIVED, body, batch };
        store.append(request, Box::new(move |result| drop(send.send(result))));
        self.settle(&Sent { number, answer })
    }

    /// Waits for an answer and notes it. Every append is answered.
    pub(crate) fn settle(&mut self, sent: &Sent) -> Result<(), AppendError> {
        let result = sent.answer.recv_timeout(LONG).expect("every append is answered");
        let answer = if result.is_ok() { Answer::Stored } else { Answer::Refused };
        self.sent.get_mut(&sent.number).unwrap().1 = answer;
        result
    }

    /// Appends a new batch and waits for the answer.
    pub(crate) fn append(&mut self, store: &Store, spans: u64) -> Result<(), AppendError> {
        let sent = self.send(store, spans, 0);
        self.settle(&sent)
    }

    /// Says that from now on retention may drop what ended before.
    pub(crate) fn expire(&mut self, before_unix_nano: u64) {
        self.expired_before_unix_nano = self.expired_before_unix_nano.max(before_unix_nano);
    }

    /// How many spans are acknowledged and cannot have been dropped by retention.
    pub(crate) fn stored_spans(&self) -> usize {
        let stored = self.sent.iter().filter(|(_, sent)| sent.1 == Answer::Stored);
        stored.map(|(&number, sent)| self.lasting(&numbered_batch(number, sent.0)).len()).sum()
    }

    fn lasting(&self, batch: &SpanBatch) -> BTreeMap<SpanKey, String> {
        let lasts = |span: &SpanRef<'_>| {
            let row = span.row();
            let end = row.start_unix_nano / DAY_NS * DAY_NS + DAY_NS;
            let unplaced = row.notes & NOTE_TIME_OUT_OF_RANGE != 0;
            self.expired_before_unix_nano == 0 || (!unplaced && end >= self.expired_before_unix_nano)
        };
        batch.spans().filter(lasts).map(|span| (span.key(), normal_form(span))).collect()
    }

    /// Checks that what was acknowledged is there once, unchanged; what was not is there whole or not at all; nothing else is.
    /// Says what is wrong.
    pub(crate) fn check(&self, store: &Store) -> Result<(), String> {
        let found = read_parts(store).map_err(|error| error.to_string())?;
        let by_trace = self.read_traces(store).map_err(|error| error.to_string())?;
        if found != by_trace {
            return Err("the parts and the traces hold different spans".to_owned());
        }
        let mut known: BTreeSet<SpanKey> = BTreeSet::new();
        for (&number, &(spans, answer)) in &self.sent {
            let batch = numbered_batch(number, spans);
            self.check_batch(number, answer, &batch, &found)?;
            known.extend(batch.spans().map(SpanRef::key));
        }
        match found.keys().find(|key| !known.contains(key)) {
            Some(phantom) => Err(format!("{phantom:?} was never sent")),
            None => Ok(()),
        }
    }

    /// Checks what must hold when the manifest was lost: what was acknowledged is there, unchanged, though maybe more than once.
    pub(crate) fn check_keys(&self, store: &Store) {
        let found = read_parts(store).expect("nothing is damaged");
        for (&number, &(spans, _)) in self.sent.iter().filter(|(_, sent)| sent.1 == Answer::Stored) {
            for span in numbered_batch(number, spans).spans() {
                let forms = found.get(&span.key()).map_or(&[][..], Vec::as_slice);
                assert!(!forms.is_empty(), "a span of batch {number} is lost");
                assert!(forms.iter().all(|form| *form == normal_form(span)), "a span of batch {number} has changed");
            }
        }
    }

    fn check_batch(
        &self,
        number: u64,
        answer: Answer,
        batch: &SpanBatch,
        found: &BTreeMap<SpanKey, Vec<String>>,
    ) -> Result<(), String> {
        for span in batch.spans() {
            match found.get(&span.key()).map_or(&[][..], Vec::as_slice) {
                [] => {}
                [form] if *form == normal_form(span) => {}
                [_] => return Err(format!("a span of batch {number} has changed: {:?}", span.key())),
                forms => return Err(format!("a span of batch {number} is there {} times", forms.len())),
            }
        }
        let lasting = self.lasting(batch);
        let there = lasting.keys().filter(|key| found.contains_key(key)).count();
        let whole = there == lasting.len() || (there == 0 && answer != Answer::Stored);
        let all = lasting.len();
        if whole {
            Ok(())
        } else {
            Err(format!("{there} of {all} spans of batch {number} are there, answer {answer:?}"))
        }
    }

    fn read_traces(&self, store: &Store) -> Result<BTreeMap<SpanKey, Vec<String>>, ReadError> {
        let snapshot = store.snapshot();
        let mut found = BTreeMap::new();
        let traces: BTreeSet<u64> = self.sent.keys().map(|number| number / 3).collect();
        for trace in traces {
            for batch in snapshot.trace(trace_id(trace))? {
                note(&batch, &mut found);
            }
        }
        undamaged(&snapshot).map(|()| found)
    }

    /// Checks as [`Ledger::check`]; once more if the disk failed at that very moment.
    pub(crate) fn assert(&self, store: &Store, when: &str) {
        if let Err(wrong) = self.check(store).or_else(|_| self.check(store)) {
            panic!("{wrong} ({when})");
        }
    }
}

/// The normal forms of all spans of all parts.
pub(crate) fn read_parts(store: &Store) -> Result<BTreeMap<SpanKey, Vec<String>>, ReadError> {
    let mut found = BTreeMap::new();
    let snapshot = store.snapshot();
    for part in snapshot.parts() {
        note(&*part.read(&Projection::all())?, &mut found);
    }
    undamaged(&snapshot).map(|()| found)
}

/// Says what of all that was read is damaged.
fn undamaged(snapshot: &Snapshot) -> Result<(), ReadError> {
    snapshot.damage().pop().map_or(Ok(()), Err)
}

fn note(batch: &SpanBatch, found: &mut BTreeMap<SpanKey, Vec<String>>) {
    for span in batch.spans() {
        found.entry(span.key()).or_default().push(normal_form(span));
    }
}

/// Seals everything; gives up when the power fails.
pub(crate) fn seal(world: &World, store: &Store) -> bool {
    until(|| store.seal(Duration::from_millis(20)) || world.disk.crashed()) && !world.disk.crashed()
}

/// Names of segment directories, finished or not, of all days.
pub(crate) fn segment_directories(disk: &SimDisk) -> Vec<String> {
    let days = format!("{DATA}/days");
    disk.names(&days).iter().flat_map(|day| disk.names(format!("{days}/{day}"))).collect()
}

/// Waits until something holds; says whether it does.
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + LONG;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Which cases of a sweep to run: all, a sample, or the one that `LONGSPAN_SEED=seed/number` names.
pub(crate) struct Cases {
    pub(crate) seed: u64,
    only: Option<u64>,
    all: bool,
}

impl Cases {
    /// Reads `LONGSPAN_SEED` (`7` or `7/123`) and `LONGSPAN_ALL`, and prints how to repeat the run.
    pub(crate) fn from_environment() -> Cases {
        let text = std::env::var("LONGSPAN_SEED").unwrap_or_default();
        let (seed, only) = text.split_once('/').map_or((text.as_str(), None), |(seed, only)| (seed, only.parse().ok()));
        let cases = Cases { seed: seed.parse().unwrap_or(1), only, all: std::env::var_os("LONGSPAN_ALL").is_some() };
        println!("LONGSPAN_SEED={} repeats this run; LONGSPAN_ALL=1 runs every case", cases.seed);
        cases
    }

    /// Whether every case is asked for.
    pub(crate) fn all(&self) -> bool {
        self.all
    }

    /// Some of the numbers 1..=`last`, or as many as there are; where a sample begins depends on the seed.
    pub(crate) fn numbers(&self, last: u64, sample: u64) -> Vec<u64> {
        if let Some(only) = self.only {
            return vec![only];
        }
        let stride = if self.all { 1 } else { last.div_ceil(sample).max(1) };
        (1 + self.seed % stride..=last).step_by(stride as usize).collect()
    }

    /// Runs cases on a few threads, and says which one failed.
    pub(crate) fn run(&self, numbers: &[u64], case: impl Fn(u64) + Sync) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            while let Some(&number) = numbers.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(number))).is_err();
                assert!(!failed, "LONGSPAN_SEED={}/{number} repeats the case that failed", self.seed);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
    }
}

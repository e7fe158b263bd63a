//! What storing costs: packing and writing the log, applying, sealing, merging, and reading back: `cargo bench -p store --bench store`.
//!
//! Arguments are directories to measure in; without any, one of the build's own and, where there is one, one in memory. Time
//! is CPU time of all threads unless it says otherwise, a span. What lies in a segment afterwards is checked against the corpus.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use model::{BatchMerger, Limits, Source, SpanBatch, TraceId};
use store::{Fields, Projection, Request, Store, StoreOptions, Wanted};
use testkit::new_store::{NoReplay, open_in_memory};
use testkit::shop::{Manifest, Shop, ShopOptions, ShopRequest};
use testkit::stopwatch::Stopwatch;
use wire::Format;

/// About a hundred thousand spans.
const TRACES: u64 = 8000;
const START_UNIX_NANO: u64 = 1_795_100_000_000_000_000;
/// Requests that wait for an answer at a time, as with so many senders.
const IN_FLIGHT: usize = 8;
/// Passes over all blocks.
const ROUNDS: usize = 5;
/// Segments that become one.
const PIECES: usize = 8;
const SEAL_LIMIT: Duration = Duration::from_mins(5);

struct Corpus {
    requests: Vec<ShopRequest>,
    manifest: Manifest,
}

impl Corpus {
    fn spans(&self) -> f64 {
        self.manifest.spans as f64
    }
}

fn main() {
    let named = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let mut places: Vec<PathBuf> = named.collect();
    if places.is_empty() {
        places.push(PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
        places.extend(Some(PathBuf::from("/dev/shm")).filter(|memory| memory.is_dir()));
    }
    let (requests, manifest) = Shop::collect(ShopOptions::new(1, TRACES, START_UNIX_NANO));
    let corpus = Corpus { requests, manifest };
    println!("{} spans, {} requests", corpus.manifest.spans, corpus.manifest.requests);
    for place in &places {
        println!("\nin {}", place.display());
        measure(place, &corpus);
    }
}

fn measure(place: &Path, corpus: &Corpus) {
    let log_ns = append(place, corpus, false).1;
    let (store, all_ns, _directory) = append(place, corpus, true);
    println!("apply                      {:8.0} ns", (all_ns - log_ns) / corpus.spans());
    read_traces("trace by id, memory", &store, corpus);
    let (cpu, before) = (Stopwatch::of_process(), store.stats());
    assert!(store.seal(SEAL_LIMIT), "not sealed in {SEAL_LIMIT:?}");
    let (cpu_ns, wall_s, stats) = (cpu.cpu_ns(), cpu.wall_ns() / 1e9, store.stats());
    assert_eq!((before.spans, stats.spans), (corpus.manifest.spans, corpus.manifest.spans));
    println!(
        "seal                       {:8.0} ns, {:.0} spans/s, {:.1} bytes a span on disk",
        cpu_ns / corpus.spans(),
        corpus.spans() / wall_s,
        stats.segment_bytes as f64 / corpus.spans()
    );
    read_traces("trace by id, segment", &store, corpus);
    let nothing = Projection { fields: Fields::NONE, ..Projection::default() };
    let one_key = Projection { attributes: Wanted::Keys(vec!["url.path".to_owned()]), ..nothing.clone() };
    for (what, projection) in [("times", nothing), ("and one attribute", one_key), ("everything", Projection::all())] {
        read_blocks(what, &store, &projection, corpus);
    }
    merge(place, corpus);
}

/// Seals the corpus in pieces, and measures how they become one segment.
fn merge(place: &Path, corpus: &Corpus) {
    let directory = tempfile::tempdir_in(place).expect("the place can be written to");
    let mut options = StoreOptions::new(directory.path().join("data"));
    // Some 128 times a piece, so that all pieces are in the middle of the same tier, between a 64th and a 256th of it.
    options.memtable_bytes_max = 640 << 20;
    options.merge_segments_min = PIECES;
    let store = Store::open(options, &NoReplay).expect("a new directory opens");
    for piece in corpus.requests.chunks(corpus.requests.len().div_ceil(PIECES)) {
        let waiting: Vec<_> = piece.iter().map(|request| send(&store, prepare(request, true))).collect();
        waiting.iter().for_each(confirm);
        assert!(store.seal(SEAL_LIMIT), "not sealed in {SEAL_LIMIT:?}");
    }
    let cpu = Stopwatch::of_process();
    let metrics = store.metrics();
    while metrics.merged_segments.get() < PIECES as u64 {
        assert!(cpu.wall_ns() < SEAL_LIMIT.as_nanos() as f64, "not merged in {SEAL_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(store.stats().spans, corpus.manifest.spans);
    let spans = metrics.merge_spans_written.get() as f64;
    let (read, written) = (metrics.merge_bytes_read.get() as f64, metrics.merge_bytes_written.get() as f64);
    println!(
        "merge of {PIECES} segments        {:8.0} ns, {:.1} bytes a span before, {:.1} after",
        cpu.cpu_ns() / spans,
        read / spans,
        written / spans
    );
}

/// Stores all requests, whole or with only their first span, which leaves the log; returns the store and what it cost all threads.
fn append(place: &Path, corpus: &Corpus, whole: bool) -> (Store, f64, tempfile::TempDir) {
    let directory = tempfile::tempdir_in(place).expect("the place can be written to");
    // Sealing is measured by itself.
    let store = open_in_memory(directory.path().join("data"));
    let prepared: Vec<Request> = corpus.requests.iter().map(|request| prepare(request, whole)).collect();
    let (all, caller) = (Stopwatch::of_process(), Stopwatch::of_thread());
    let mut waiting = std::collections::VecDeque::new();
    let mut caller_ns = 0.0;
    for request in prepared {
        waiting.push_back(send(&store, request));
        if waiting.len() == IN_FLIGHT {
            waiting.pop_front().iter().for_each(confirm);
        }
        caller_ns = caller.cpu_ns();
    }
    waiting.iter().for_each(confirm);
    let (cpu_ns, wall_s) = (all.cpu_ns(), all.wall_ns() / 1e9);
    let what = if whole { "append with apply" } else { "append, log only" };
    println!(
        "{what:26} {:8.0} ns, of it packing {:.0} ns; {:.0} MB/s on the wall, {} syncs",
        cpu_ns / corpus.spans(),
        caller_ns / corpus.spans(),
        corpus.manifest.request_bytes as f64 / 1e6 / wall_s,
        store.metrics().syncs.get().0.iter().sum::<u64>()
    );
    (store, cpu_ns, directory)
}

fn prepare(request: &ShopRequest, whole: bool) -> Request {
    let decoded = wire::decode(Format::OtlpProtobuf, &request.body, &Limits::DEFAULT).expect("what was made decodes");
    let batch = if whole { decoded.batch } else { first_span(&decoded.batch) };
    let body = Bytes::copy_from_slice(&request.body);
    Request { format: Format::OtlpProtobuf as u8, received_unix_nano: START_UNIX_NANO, body, batch }
}

fn first_span(batch: &SpanBatch) -> SpanBatch {
    let mut merger = BatchMerger::default();
    merger.push(&mut Source::new(batch), 0);
    merger.finish()
}

fn send(store: &Store, request: Request) -> Receiver<Result<(), store::AppendError>> {
    let (tell, told) = channel();
    store.append(request, Box::new(move |stored| drop(tell.send(stored))));
    told
}

fn confirm(told: &Receiver<Result<(), store::AppendError>>) {
    told.recv().expect("the store answers").expect("the disk takes it");
}

fn read_traces(what: &str, store: &Store, corpus: &Corpus) {
    let samples = &corpus.manifest.samples;
    let cpu = Stopwatch::of_thread();
    for sample in samples {
        let batches = store.snapshot().trace(TraceId(sample.id)).expect("what was stored can be read");
        assert_eq!(batches.iter().map(SpanBatch::len).sum::<usize>() as u64, sample.spans);
    }
    let read_ns = cpu.cpu_ns();
    println!("{what:26} {:8.0} ns a look-up", read_ns / samples.len() as f64);
}

/// All blocks, when nothing of them has been unpacked yet, and the best of some rounds after that.
fn read_blocks(what: &str, store: &Store, projection: &Projection, corpus: &Corpus) {
    let parts = store.snapshot().parts();
    let round = || {
        let cpu = Stopwatch::of_thread();
        let read = parts.iter().map(|part| part.read(projection).expect("what was stored can be read").len());
        assert_eq!(read.sum::<usize>() as u64, corpus.manifest.spans);
        cpu.cpu_ns() / corpus.spans()
    };
    let first_ns = round();
    let best_ns = (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min);
    println!("block, {what:19} {best_ns:8.0} ns, the first time {first_ns:.0} ns");
}

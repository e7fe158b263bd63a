//! How long a flow takes in process: `cargo bench -p query --bench flow`.
//!
//! Flows of 1,000 spans over 20 traces each, which lie among a quarter of a million other spans: an order whose message goes to
//! 19 consumers, each with a trace of its own and a link. Opened at the root and at the last effect, in memory and from segments;
//! and of others like it, whose root also sends five messages that nobody received, which are looked for everywhere.
//! Every answer is checked.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{BatchMerger, Limits, Source, SpanBatch, SpanId, TraceId};
use query::flow::FlowLimits;
use query::{FlowQuery, LocalStore, SpanStore};
use store::{Request, Store};
use testkit::new_store::open_in_memory;
use testkit::rng::Rng;
use testkit::shop::{Shop, ShopOptions};
use testkit::story;
use wire::Format;

/// About a quarter of a million spans.
const OTHER_TRACES: u64 = 20_000;
const START_UNIX_NANO: u64 = 1_795_100_000_000_000_000;
const FLOWS: usize = 50;
const CONSUMERS: usize = 19;
const SPANS_OF_TRACE: usize = 50;
const QUESTIONS: usize = 200;
/// Messages that nobody received.
const UNANSWERED: usize = 5;

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the bench");
    let store = Arc::new(open_in_memory(directory.path().join("data")));
    fill(&store);
    let local = LocalStore::new(Arc::clone(&store));
    println!(
        "{} spans; microseconds a flow of {} spans over {} traces",
        store.stats().spans,
        (CONSUMERS + 1) * SPANS_OF_TRACE,
        CONSUMERS + 1
    );
    ask_all("memory", &local);
    assert!(store.seal(Duration::from_mins(5)), "not sealed");
    ask_all("segments", &local);
}

fn fill(store: &Store) {
    let (tell, told) = channel();
    let mut sent = 0;
    let mut append = |format: u8, body: Bytes, batch: SpanBatch| {
        let tell = tell.clone();
        let request = Request { format, received_unix_nano: START_UNIX_NANO, body, batch };
        store.append(request, Box::new(move |stored| drop(tell.send(stored))));
        sent += 1;
    };
    let mut flows = (0..2 * FLOWS).map(flow);
    for (number, request) in Shop::new(ShopOptions::new(1, OTHER_TRACES, START_UNIX_NANO)).enumerate() {
        let decoded = wire::decode(Format::OtlpProtobuf, &request.body, &Limits::DEFAULT);
        append(Format::OtlpProtobuf as u8, Bytes::from(request.body), decoded.expect("what was made decodes").batch);
        let now = if number.is_multiple_of(2) { flows.next() } else { None };
        for batch in now.into_iter().flatten() {
            append(Format::OtlpProtobuf as u8, Bytes::from_static(b"as received"), batch);
        }
    }
    for batch in flows.flatten() {
        append(Format::OtlpProtobuf as u8, Bytes::from_static(b"as received"), batch);
    }
    for stored in told.iter().take(sent) {
        stored.expect("the disk takes it");
    }
}

/// The batches of a flow: one for each of its traces.
fn flow(number: usize) -> Vec<SpanBatch> {
    let mut traces = Vec::new();
    for trace in 0..=CONSUMERS {
        let mut text = String::new();
        let name = name(number, trace);
        let service = if trace == 0 { "shop".to_owned() } else { format!("s{trace}") };
        let first = if trace == 0 {
            format!(
                "{name}1 shop server \"POST /order\" 0..90\n{name}2 in {name}1 shop producer \"send orders\" 5..8 op=send to=kafka:orders"
            )
        } else {
            let link = format!("{}2", self::name(number, 0));
            format!(
                "{name}1 {service} consumer \"process orders\" 100..200 op=process to=kafka:orders group=g{trace} link={link}\n{name}2 in {name}1 {service} client \"SELECT\" 110..120"
            )
        };
        writeln!(text, "{first}").expect("writing to a string");
        for span in 3..=SPANS_OF_TRACE {
            let (parent, start) = (span / 2, span + if trace == 0 { 5 } else { 110 });
            let end = start + 3;
            if number >= FLOWS && trace == 0 && span > SPANS_OF_TRACE - UNANSWERED {
                writeln!(text, "{name}{span} in {name}1 shop producer \"send audit\" {start}..{end} op=send to=rabbitmq:audit id=m-{number}-{span}").expect("writing to a string");
                continue;
            }
            writeln!(text, "{name}{span} in {name}{parent} {service} internal \"step {span}\" {start}..{end} order.id=o-{number} step={span}").expect("writing to a string");
        }
        traces.push(one_batch(&story::spans(&text)));
    }
    traces
}

/// The name of a trace: the flow and the trace in letters.
fn name(flow: usize, trace: usize) -> String {
    let letter = |number: usize| char::from(b'A' + number as u8);
    [letter(flow / 26), letter(flow % 26), letter(trace)].iter().collect()
}

fn one_batch(spans: &[SpanBatch]) -> SpanBatch {
    let mut merger = BatchMerger::default();
    for batch in spans {
        merger.push(&mut Source::new(batch), 0);
    }
    merger.finish()
}

fn ask_all(whence: &str, store: &LocalStore) {
    let mut rng = Rng::new(5);
    let mut ask = |first: usize, trace: usize| {
        let (trace_id, span_id): (TraceId, SpanId) =
            story::ids(&format!("{}1", name(first + rng.below(FLOWS as u64) as usize, trace)));
        let query = FlowQuery {
            trace_id,
            span_id: Some(span_id),
            correlate: Vec::new(),
            limits: FlowLimits::default(),
            bindings: Arc::default(),
        };
        let found = store.flow(&query).expect("what was stored can be read").expect("the span is stored");
        let hops = if first == 0 { CONSUMERS } else { CONSUMERS + UNANSWERED };
        assert_eq!((found.cone.joined().len(), found.hops.len()), ((CONSUMERS + 1) * SPANS_OF_TRACE, hops));
    };
    time(&format!("{whence}, from the root"), || ask(0, 0));
    time(&format!("{whence}, from an effect"), || ask(0, CONSUMERS));
    time(&format!("{whence}, looking for lost"), || ask(FLOWS, 0));
}

fn time(what: &str, mut question: impl FnMut()) {
    let mut times: Vec<Duration> = (0..QUESTIONS)
        .map(|_| {
            let begin = Instant::now();
            question();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let us = |place: usize| times[place].as_secs_f64() * 1e6;
    println!("{what:30} p50 {:9.1}  p99 {:9.1}", us(QUESTIONS / 2), us(QUESTIONS * 99 / 100));
}

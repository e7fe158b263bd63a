//! What the engine costs: `cargo bench -p flow --bench engine -- [DIRECTORY]` measures nanoseconds a span over the shop or a directory of
//! OTLP protobuf bodies, beside the cost of the view of messages alone and of writing everything down as often as log files are
//! closed; and bytes a message with a million in flight.
//!
//! Time is this thread's CPU time, the best of several rounds is the figure.

use std::hint::black_box;

use flow::destination::Identity;
use flow::engine::{Engine, EngineOptions};
use flow::semconv::Messaging;
use model::{Limits, SpanBatch};
use testkit::shop::{Shop, ShopOptions};
use testkit::stopwatch::Stopwatch;
use testkit::story::START_UNIX_NANO;
use wire::{Format, decode};

const ROUNDS: usize = 5;
const SECOND_NS: u64 = 1_000_000_000;
const IN_FLIGHT: u64 = 1_000_000;
/// Spans of a log file.
const FILE_SPANS: usize = 170_000;

fn main() {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let bodies = match &directory {
        Some(directory) => read(directory),
        None => Shop::new(ShopOptions::new(1, 4000, START_UNIX_NANO)).map(|request| request.body).collect(),
    };
    let batches: Vec<SpanBatch> = bodies
        .iter()
        .map(|body| decode(Format::OtlpProtobuf, body, &Limits::DEFAULT).expect("bodies are requests").batch)
        .collect();
    measure_time(&batches);
    measure_writing(&batches);
    if directory.is_none() {
        measure_memory();
    }
}

fn read(directory: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("the directory can be read").flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == "pb"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("the file can be read")).collect()
}

fn measure_time(batches: &[SpanBatch]) {
    let spans: usize = batches.iter().map(SpanBatch::len).sum();
    let view = best_ns(spans, || {
        for span in batches.iter().flat_map(SpanBatch::spans) {
            black_box(Messaging::of(span).is_some_and(|view| Identity::of(&view).is_some()));
        }
    });
    let mut held = (0, 0);
    let whole = best_ns(spans, || {
        let mut engine = Engine::new(EngineOptions::default());
        let mut now = batches.iter().filter_map(SpanBatch::start_bounds).map(|bounds| bounds.1).max().unwrap_or(0);
        for batch in batches {
            now += 10_000_000;
            engine.apply(batch, now);
            engine.advance(now);
        }
        held = engine.held();
        black_box(engine);
    });
    println!(
        "{spans} spans: {whole:.0} ns a span, of it views and destinations {view:.0} ns; {held:?} messages and orphans held"
    );
}

/// What it takes to write the engine down each time a log file is full.
fn measure_writing(batches: &[SpanBatch]) {
    let mut engine = Engine::new(EngineOptions::default());
    let mut now = batches.iter().filter_map(SpanBatch::start_bounds).map(|bounds| bounds.1).max().unwrap_or(0);
    let (mut spans, mut since, mut files, mut ns, mut bytes) = (0, 0, 0u32, 0.0, Vec::new());
    for batch in batches {
        now += 10_000_000;
        engine.apply(batch, now);
        spans += batch.len();
        since += batch.len();
        if since >= FILE_SPANS {
            since = 0;
            files += 1;
            let clock = Stopwatch::of_thread();
            bytes = engine.to_bytes(u64::from(files));
            ns += clock.cpu_ns();
        }
    }
    let clock = Stopwatch::of_thread();
    let read = Engine::from_bytes(EngineOptions::default(), &bytes).is_ok();
    println!(
        "written down {files} times: {:.1} ms each, {:.0} ns a span, {} bytes at last, read back ({read}) in {:.1} ms",
        ns / 1e6 / f64::from(files.max(1)),
        ns / spans.max(1) as f64,
        bytes.len(),
        clock.cpu_ns() / 1e6
    );
}

/// Nanoseconds a span in the best round.
fn best_ns(spans: usize, mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let clock = Stopwatch::of_thread();
        work();
        best = best.min(clock.cpu_ns() / spans.max(1) as f64);
    }
    best
}

/// A million messages with ids, sent within 100 s, which nobody has received yet.
fn measure_memory() {
    let options = EngineOptions { messages_max: IN_FLIGHT as usize, ..EngineOptions::default() };
    let mut engine = Engine::new(options);
    let before = engine.heap_bytes();
    let line = "A1 in A9 shop producer \"send orders\" 0..5 op=send to=kafka:orders id=m partition=3";
    let template = testkit::story::spans(line).remove(0);
    let clock = Stopwatch::of_thread();
    for number in 0..IN_FLIGHT {
        let mut batch = template.clone();
        let id = batch.text.intern(number.to_string().as_bytes());
        let key = batch.text.find(b"messaging.message.id").expect("the line has an id");
        let place = batch.attributes.keys.iter().position(|&known| known == key).expect("the line has an id");
        batch.attributes.values[place] = model::Value::Str(id);
        batch.rows[0].span_id = model::SpanId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        batch.rows[0].parent_span_id = model::SpanId((number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1).to_be_bytes());
        engine.apply(&batch, START_UNIX_NANO + number * 100 * SECOND_NS / IN_FLIGHT);
    }
    let bytes = (engine.heap_bytes() - before) as f64 / IN_FLIGHT as f64;
    let took = clock.cpu_ns() / IN_FLIGHT as f64;
    println!("{} messages in flight: {bytes:.0} B each, {took:.0} ns each with making them", engine.held().0);
}

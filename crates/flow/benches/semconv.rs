//! What the view of messages costs a span, over the shop, over recordings of real libraries, or over a directory of OTLP protobuf
//! bodies: `cargo bench -p flow --bench semconv -- [DIRECTORY]`.
//!
//! Time is this thread's CPU time, the best of several passes is the figure. Spans with and without a view are measured apart.

use std::hint::black_box;

use flow::destination::Identity;
use flow::semconv::Messaging;
use model::{Limits, SpanBatch, SpanRef};
use testkit::shop::{Shop, ShopOptions};
use testkit::stopwatch::Stopwatch;
use wire::{Format, decode};

const ROUNDS: usize = 9;
/// One pass looks at this many spans at least, or the clock is too coarse.
const PASS_SPANS_MIN: usize = 400_000;

fn main() {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    if let Some(directory) = directory {
        return measure("directory", &decoded(&read(&directory, "pb")));
    }
    let shop: Vec<_> =
        Shop::new(ShopOptions::new(1, 4000, 1_795_100_000_000_000_000)).map(|request| request.body).collect();
    measure("shop", &decoded(&shop));
    measure("recordings", &decoded(&read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded"), "otlp")));
}

fn read(directory: &str, extension: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("the directory can be read").flatten();
    let paths =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|found| found == extension));
    paths.map(|path| std::fs::read(path).expect("the file can be read")).collect()
}

fn decoded(bodies: &[Vec<u8>]) -> Vec<SpanBatch> {
    let decode =
        |body: &Vec<u8>| decode(Format::OtlpProtobuf, body, &Limits::DEFAULT).expect("bodies are requests").batch;
    bodies.iter().map(decode).collect()
}

fn measure(name: &str, batches: &[SpanBatch]) {
    let spans = || batches.iter().flat_map(SpanBatch::spans);
    let (with, without): (Vec<_>, Vec<_>) = spans().partition(|&span| Messaging::of(span).is_some());
    for (what, spans) in [("with a view", &with), ("without", &without)] {
        if !spans.is_empty() {
            let view = best_ns(spans, |span| Messaging::of(span).is_some());
            let identity = best_ns(spans, |span| Messaging::of(span).is_some_and(|view| Identity::of(&view).is_some()));
            println!("{name}, {} spans {what}: view {view:.0} ns, view and destination {identity:.0} ns", spans.len());
        }
    }
}

/// Nanoseconds a span in the best round.
fn best_ns<'a>(spans: &[SpanRef<'a>], work: impl Fn(SpanRef<'a>) -> bool) -> f64 {
    let passes = PASS_SPANS_MIN.div_ceil(spans.len());
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let clock = Stopwatch::of_thread();
        for _ in 0..passes {
            for &span in spans {
                black_box(work(span));
            }
        }
        best = best.min(clock.cpu_ns() / (passes * spans.len()) as f64);
    }
    best
}

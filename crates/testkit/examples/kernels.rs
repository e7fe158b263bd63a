//! The hot paths on a small fixed input, for counting their instructions: `kernels STAGE`.
//!
//! Each stage does what the ones before it do and one thing more, so that the cost of that thing is the difference of two runs.
//! Prints what was done as lines of `name value`. `cargo xtask bench --instructions` runs it under callgrind.

use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use model::{BatchMerger, Limits, Source, SpanBatch, TraceId};
use query::{Filter, LocalStore, Search, SpanStore, TimeRange};
use store::{Request, Store, StoreOptions};
use testkit::new_store::NoReplay;
use testkit::shop::{Manifest, Shop, ShopOptions, ShopRequest};
use wire::Format;

/// About eight thousand spans: enough that what happens once does not count.
const TRACES: u64 = 600;
const START_UNIX_NANO: u64 = 1_795_100_000_000_000_000;
const LOOK_UPS: usize = 200;
const SCANS: u64 = 5;

/// In order: each includes those before it, but that `apply` takes the place of `wal`, and that `scan` does without `by_id`.
const STAGES: [&str; 8] = ["corpus", "decode", "one_span_each", "wal", "apply", "seal", "by_id", "scan"];

fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(stage) = STAGES.iter().position(|known| *known == name) else {
        bail!("kernels STAGE, one of {}", STAGES.join(", "));
    };
    let reached = |name: &str| STAGES.iter().position(|known| *known == name).is_some_and(|place| stage >= place);
    let (requests, manifest) = Shop::collect(ShopOptions::new(1, TRACES, START_UNIX_NANO));
    println!("spans {}", manifest.spans);
    if !reached("decode") {
        return Ok(());
    }
    let batches = decode_all(&requests)?;
    if !reached("one_span_each") {
        return Ok(());
    }
    let firsts = batches.iter().map(first_span).collect();
    if !reached("wal") {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let store = Store::open(StoreOptions::new(directory.path().join("data")), &NoReplay)?;
    let (stored, _unused) = if reached("apply") { (batches, firsts) } else { (firsts, batches) };
    append_all(&store, requests, stored)?;
    if reached("seal") {
        ensure!(store.seal(Duration::from_mins(10)), "the store did not seal");
    }
    let store = LocalStore::new(store.into());
    match name.as_str() {
        "by_id" => look_up(&store, &manifest),
        "scan" => scan(&store, &manifest),
        _ => Ok(()),
    }
}

fn decode_all(requests: &[ShopRequest]) -> Result<Vec<SpanBatch>> {
    let decode = |request: &ShopRequest| wire::decode(Format::OtlpProtobuf, &request.body, &Limits::DEFAULT);
    requests.iter().map(|request| Ok(decode(request)?.batch)).collect()
}

/// Stores all requests and waits for it.
fn append_all(store: &Store, requests: Vec<ShopRequest>, batches: Vec<SpanBatch>) -> Result<()> {
    for (request, batch) in requests.into_iter().zip(batches) {
        let (tell, told) = channel();
        let (format, body) = (Format::OtlpProtobuf as u8, Bytes::from(request.body));
        let request = Request { format, received_unix_nano: START_UNIX_NANO, body, batch };
        store.append(request, Box::new(move |stored| drop(tell.send(stored))));
        told.recv().context("the store did not answer")??;
    }
    Ok(())
}

/// A batch that takes next to nothing to apply: with it, what is left of storing a request is the log.
fn first_span(batch: &SpanBatch) -> SpanBatch {
    let mut merger = BatchMerger::default();
    merger.push(&mut Source::new(batch), 0);
    merger.finish()
}

fn look_up(store: &LocalStore, manifest: &Manifest) -> Result<()> {
    for sample in manifest.samples.iter().cycle().take(LOOK_UPS) {
        let trace = store.trace(TraceId(sample.id))?.context("a trace is missing")?;
        ensure!(trace.spans.len() as u64 == sample.spans, "a trace is not whole");
    }
    println!("look_ups {LOOK_UPS}");
    Ok(())
}

/// A condition on texts that no index, filter or bound says anything about, and that nothing fulfils.
fn scan(store: &LocalStore, manifest: &Manifest) -> Result<()> {
    let filter: Filter = query::parse(r#"url.path =~ "no such path""#)?;
    for _ in 0..SCANS {
        let search = Search { filter: filter.clone(), range: TimeRange::default(), limit: 20, cursor: None };
        ensure!(store.search(&search)?.hits.is_empty(), "something matches");
    }
    println!("scanned_spans {}", SCANS * manifest.spans);
    Ok(())
}

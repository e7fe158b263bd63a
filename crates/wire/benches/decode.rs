//! How long decoding takes a span, over the shop or over a directory of OTLP protobuf bodies:
//! `cargo bench -p wire --bench decode -- [DIRECTORY [ROUNDS [protobuf|json]]]`; and, with `senders` in place of all these, over the
//! small requests with everything in them that the tests of each protocol begin with.
//!
//! No statistics framework: a pass over many megabytes is steady enough. Time is this thread's CPU time, so that other work on
//! the machine does not count; the best of several passes is the figure. The allocator is the product's.

use anyhow::{Context, Result};
use model::Limits;
use testkit::shop::{Shop, ShopOptions};
use testkit::stopwatch::Stopwatch;
use wire::{Format, decode};

#[path = "../tests/wire/seeds.rs"]
#[expect(dead_code, reason = "metrics are no spans")]
mod seeds;
#[path = "../tests/wire/thrift_seeds.rs"]
mod thrift_seeds;

/// How often each small request is read in a round.
const READ_EACH: usize = 2000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let directory = arguments.next();
    if directory.as_deref() == Some("senders") {
        return senders();
    }
    let rounds: usize = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let only = arguments.next();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let bodies = directory.map_or_else(|| Ok(shop()), |directory| read(&directory))?;
    if wanted("protobuf") {
        measure("OTLP protobuf", Format::OtlpProtobuf, &bodies, rounds)?;
    }
    if wanted("json") {
        let json = bodies.iter().map(|body| to_json(body)).collect::<Result<Vec<_>>>()?;
        measure("OTLP JSON", Format::OtlpJson, &json, rounds)?;
    }
    Ok(())
}

/// The first request of each protocol's tests, many times.
fn senders() -> Result<()> {
    let all = [
        (Format::OtlpProtobuf, seeds::otlp_protobuf()),
        (Format::OtlpJson, seeds::otlp_json()),
        (Format::ZipkinJson, seeds::zipkin_json()),
        (Format::ZipkinProtobuf, seeds::zipkin_protobuf()),
        (Format::ZipkinV1Json, seeds::zipkin_v1_json()),
        (Format::ZipkinV1Thrift, thrift_seeds::zipkin_v1_thrift()),
        (Format::JaegerThrift, thrift_seeds::jaeger_thrift()),
        (Format::JaegerCompactCall, thrift_seeds::jaeger_call(true)),
        (Format::JaegerBinaryCall, thrift_seeds::jaeger_call(false)),
        (Format::JaegerProtobuf, seeds::jaeger_protobuf()),
        (Format::OpenCensusProtobuf, seeds::opencensus_protobuf()),
        (Format::XrayDatagram, seeds::xray_datagram()),
        (Format::XrayDocuments, seeds::xray_documents()),
    ];
    for (format, mut bodies) in all {
        bodies.truncate(1);
        measure(format.name(), format, &vec![bodies.remove(0); READ_EACH], 5)?;
    }
    Ok(())
}

/// About fifty thousand spans.
fn shop() -> Vec<Vec<u8>> {
    Shop::new(ShopOptions::new(1, 4000, 1_795_100_000_000_000_000)).map(|request| request.body).collect()
}

fn read(directory: &str) -> Result<Vec<Vec<u8>>> {
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("cannot read {directory}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pb") {
            bodies.push(std::fs::read(path)?);
        }
    }
    Ok(bodies)
}

fn to_json(body: &[u8]) -> Result<Vec<u8>> {
    let batch = decode(Format::OtlpProtobuf, body, &Limits::DEFAULT)?.batch;
    Ok(wire::otlp::encode_json(batch.spans()).into_bytes())
}

fn measure(name: &str, format: Format, bodies: &[Vec<u8>], rounds: usize) -> Result<()> {
    let mut best_ns_per_span = f64::MAX;
    let (mut spans, mut batch_bytes) = (0, 0);
    for _ in 0..rounds {
        let clock = Stopwatch::of_thread();
        (spans, batch_bytes) = (0, 0);
        for body in bodies {
            let decoded = decode(format, body, &Limits::DEFAULT)?;
            spans += decoded.batch.len();
            batch_bytes += decoded.batch.heap_bytes();
        }
        best_ns_per_span = best_ns_per_span.min(clock.cpu_ns() / spans as f64);
    }
    let body_bytes: usize = bodies.iter().map(Vec::len).sum();
    let per_span = |bytes: usize| bytes as f64 / spans as f64;
    println!(
        "{name}: {best_ns_per_span:.0} ns a span, {:.0} MB/s; {spans} spans, {:.0} B a span in the body, {:.0} B in the batch",
        per_span(body_bytes) / best_ns_per_span * 1e3,
        per_span(body_bytes),
        per_span(batch_bytes)
    );
    Ok(())
}

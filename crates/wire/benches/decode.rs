//! How long decoding takes a span, over a directory of OTLP protobuf bodies: `cargo bench -p wire -- DIRECTORY [ROUNDS]`.
//!
//! No statistics framework: a full pass over many megabytes is steady enough, and the best of several passes is the figure.

use std::time::Instant;

use anyhow::{Context, Result};
use model::Limits;
use wire::{Format, decode};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(directory) = arguments.next() else {
        println!("give a directory of .pb files, each an ExportTraceServiceRequest");
        return Ok(());
    };
    let rounds: usize = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pb") {
            bodies.push(std::fs::read(path)?);
        }
    }
    let to_json = |body: &Vec<u8>| {
        Ok(wire::otlp::encode_json(decode(Format::OtlpProtobuf, body, &Limits::DEFAULT)?.batch.spans()).into_bytes())
    };
    measure("OTLP protobuf", Format::OtlpProtobuf, &bodies, rounds)?;
    let json = bodies.iter().map(to_json).collect::<Result<Vec<_>>>()?;
    measure("OTLP JSON", Format::OtlpJson, &json, rounds)
}

fn measure(name: &str, format: Format, bodies: &[Vec<u8>], rounds: usize) -> Result<()> {
    let mut best_ns_per_span = f64::MAX;
    let (mut spans, mut batch_bytes) = (0, 0);
    for _ in 0..rounds {
        let start = Instant::now();
        (spans, batch_bytes) = (0, 0);
        for body in bodies {
            let decoded = decode(format, body, &Limits::DEFAULT)?;
            spans += decoded.batch.len();
            batch_bytes += decoded.batch.heap_bytes();
        }
        best_ns_per_span = best_ns_per_span.min(start.elapsed().as_nanos() as f64 / spans as f64);
    }
    let body_bytes: usize = bodies.iter().map(Vec::len).sum();
    let per_span = |bytes: usize| bytes as f64 / spans as f64;
    println!(
        "{name}: {best_ns_per_span:.0} ns a span; {spans} spans, {:.0} B a span in the body, {:.0} B in the batch",
        per_span(body_bytes),
        per_span(batch_bytes)
    );
    Ok(())
}

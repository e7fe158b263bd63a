//! Writes the first corpus of the fuzz targets, always the same: `cargo run -p wire --example fuzz_corpus -- DIRECTORY`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

#[path = "../tests/wire/mutate.rs"]
mod mutate;
#[path = "../tests/wire/seeds.rs"]
mod seeds;
#[path = "../tests/wire/thrift_seeds.rs"]
mod thrift_seeds;

const DAMAGED_PER_TARGET: u64 = 200;

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).context("give the directory to write to, as fuzz/corpus")?;
    let targets = [
        ("otlp_protobuf", seeds::otlp_protobuf()),
        ("otlp_json", seeds::otlp_json()),
        ("zipkin_json", seeds::zipkin_json()),
        ("zipkin_protobuf", seeds::zipkin_protobuf()),
        ("zipkin_v1_json", seeds::zipkin_v1_json()),
        ("zipkin_v1_thrift", thrift_seeds::zipkin_v1_thrift()),
        ("jaeger_thrift", thrift_seeds::jaeger_thrift()),
        ("jaeger_compact", thrift_seeds::jaeger_call(true)),
        ("jaeger_binary", thrift_seeds::jaeger_call(false)),
        ("jaeger_protobuf", seeds::jaeger_protobuf()),
        ("opencensus_protobuf", seeds::opencensus_protobuf()),
        ("xray_datagram", seeds::xray_datagram()),
        ("xray_documents", seeds::xray_documents()),
        ("otlp_metrics", seeds::otlp_metrics()),
    ];
    for (target, seeds) in targets {
        write_target(&Path::new(&directory).join(target), &seeds)?;
    }
    Ok(())
}

fn write_target(directory: &Path, seeds: &[Vec<u8>]) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut bodies = seeds.to_vec();
    for case in 0..DAMAGED_PER_TARGET {
        let mut random = mutate::Random(case);
        let (one, other) = (random.below(seeds.len()), random.below(seeds.len()));
        bodies.push(mutate::mutate(&seeds[one], &seeds[other], &mut random));
    }
    for (number, body) in bodies.iter().enumerate() {
        fs::write(directory.join(format!("{number:04}")), body)?;
    }
    println!("{} bodies in {}", bodies.len(), directory.display());
    Ok(())
}

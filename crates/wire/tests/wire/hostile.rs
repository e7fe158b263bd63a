//! Damaged bodies in bounded numbers, on the stable toolchain; the targets in `fuzz/` go on from the same seeds without end.

use model::{Limits, SpanBatch};
use wire::otlp::count_metric_points;
use wire::{Format, decode};

use crate::mutate::{Random, mutate};
use crate::normal::of_batch;
use crate::{seeds, thrift_seeds};

const CASES_PER_FORMAT: u64 = 20_000;

/// What must hold of every batch that came out of any bytes.
fn check(batch: &SpanBatch, body: &[u8]) {
    let normal = of_batch(batch);
    let again = |format, bytes: &[u8]| of_batch(&decode(format, bytes, &Limits::DEFAULT).unwrap().batch);
    let protobuf = wire::otlp::encode_protobuf(batch.spans());
    assert_eq!(again(Format::OtlpProtobuf, &protobuf), normal, "from {body:?}");
    let json = wire::otlp::encode_json(batch.spans());
    assert_eq!(again(Format::OtlpJson, json.as_bytes()), normal, "from {body:?}");
    let zipkin = wire::zipkin::encode_json(batch.spans());
    decode(Format::ZipkinJson, zipkin.as_bytes(), &Limits::DEFAULT).unwrap();
}

fn smoke(format: Format) {
    let seeds = seeds_of(format);
    for seed in &seeds {
        let decoded = decode(format, seed, &Limits::DEFAULT).unwrap();
        assert_eq!(decoded.report.rejected_spans(), 0);
    }
    let mut accepted = 0;
    for case in 0..CASES_PER_FORMAT {
        let mut random = Random(case);
        let (one, other) = (random.below(seeds.len()), random.below(seeds.len()));
        let body = mutate(&seeds[one], &seeds[other], &mut random);
        if let Ok(decoded) = decode(format, &body, &Limits::DEFAULT) {
            accepted += 1;
            if case % 8 == 0 {
                check(&decoded.batch, &body);
            }
        }
    }
    assert!(accepted > CASES_PER_FORMAT / 50, "only {accepted} of the cases were readable");
}

/// Small valid bodies of a format.
pub(crate) fn seeds_of(format: Format) -> Vec<Vec<u8>> {
    match format {
        Format::OtlpProtobuf => seeds::otlp_protobuf(),
        Format::OtlpJson => seeds::otlp_json(),
        Format::ZipkinJson => seeds::zipkin_json(),
        Format::ZipkinProtobuf => seeds::zipkin_protobuf(),
        Format::ZipkinV1Json => seeds::zipkin_v1_json(),
        Format::ZipkinV1Thrift => thrift_seeds::zipkin_v1_thrift(),
        Format::JaegerThrift => thrift_seeds::jaeger_thrift(),
        Format::JaegerCompactCall => thrift_seeds::jaeger_call(true),
        Format::JaegerBinaryCall => thrift_seeds::jaeger_call(false),
        Format::JaegerProtobuf => seeds::jaeger_protobuf(),
        Format::OpenCensusProtobuf => seeds::opencensus_protobuf(),
        Format::XrayDatagram => seeds::xray_datagram(),
        Format::XrayDocuments => seeds::xray_documents(),
    }
}

#[test]
fn otlp_protobuf_survives_damage() {
    // Guarantees that no damage to OTLP protobuf panics, and that what is still read can be written and read again.
    smoke(Format::OtlpProtobuf);
}

#[test]
fn otlp_json_survives_damage() {
    // Guarantees the same for OTLP JSON.
    smoke(Format::OtlpJson);
}

#[test]
fn zipkin_json_survives_damage() {
    // Guarantees the same for Zipkin JSON.
    smoke(Format::ZipkinJson);
}

#[test]
fn zipkin_protobuf_survives_damage() {
    // Guarantees the same for Zipkin protobuf.
    smoke(Format::ZipkinProtobuf);
}

#[test]
fn zipkin_v1_json_survives_damage() {
    // Guarantees the same for Zipkin v1 JSON.
    smoke(Format::ZipkinV1Json);
}

#[test]
fn zipkin_v1_thrift_survives_damage() {
    // Guarantees the same for Zipkin v1 Thrift.
    smoke(Format::ZipkinV1Thrift);
}

#[test]
fn jaeger_thrift_survives_damage() {
    // Guarantees the same for a Jaeger batch in Thrift.
    smoke(Format::JaegerThrift);
}

#[test]
fn jaeger_compact_survives_damage() {
    // Guarantees the same for a compact call of Jaeger's agent.
    smoke(Format::JaegerCompactCall);
}

#[test]
fn jaeger_binary_survives_damage() {
    // Guarantees the same for a binary call of Jaeger's agent.
    smoke(Format::JaegerBinaryCall);
}

#[test]
fn jaeger_protobuf_survives_damage() {
    // Guarantees the same for Jaeger protobuf.
    smoke(Format::JaegerProtobuf);
}

#[test]
fn opencensus_protobuf_survives_damage() {
    // Guarantees the same for OpenCensus protobuf.
    smoke(Format::OpenCensusProtobuf);
}

#[test]
fn xray_datagram_survives_damage() {
    // Guarantees the same for X-Ray's datagrams.
    smoke(Format::XrayDatagram);
}

#[test]
fn xray_documents_survives_damage() {
    // Guarantees the same for the body of X-Ray's PutTraceSegments.
    smoke(Format::XrayDocuments);
}

#[test]
fn otlp_metrics_survive_damage() {
    // Guarantees that counting the points of metrics counts those of every kind, and that no damage panics.
    let seeds = seeds::otlp_metrics();
    let points = count_metric_points(Format::OtlpProtobuf, &seeds[0]).unwrap();
    assert_eq!((points.messaging, points.other), (1, 4));
    for case in 0..CASES_PER_FORMAT {
        let mut random = Random(case);
        let body = mutate(&seeds[0], &seeds[random.below(seeds.len())], &mut random);
        for format in [Format::OtlpProtobuf, Format::OtlpJson] {
            let _ = count_metric_points(format, &body);
        }
    }
}

#[test]
fn every_cut_is_read_or_refused() {
    // Guarantees that a body cut at any byte is read or refused, in every format.
    for format in Format::ALL {
        for body in seeds_of(format) {
            for end in 0..body.len() {
                let _ = decode(format, &body[..end], &Limits::DEFAULT);
            }
        }
    }
}

//! A list of Zipkin v1 spans from Thrift's binary encoding. Field numbers are those of openzipkin's `zipkinCore.thrift`.

use std::net::{Ipv4Addr, Ipv6Addr};

use model::{SpanId, TraceId};

use super::intake::Intake;
use super::record::Endpoint;
use super::v1::{AnnotationV1, BinaryAnnotation, SpanV1, typed_text};
use crate::sink::Sink;
use crate::thrift::{Broken, Encoding, Fields, Reader, Type, Value};
use crate::{DecodeError, Format};

/// The number of the type of text; also what is meant where none is given.
const STRING_TYPE: i64 = 6;

pub(crate) fn decode_v1_thrift(body: &[u8], sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    body_list(sink, &mut Reader::new(body, Encoding::Binary)).map_err(|broken| broken.refusal(Format::ZipkinV1Thrift))
}

fn body_list(sink: &mut Sink<'_>, reader: &mut Reader<'_>) -> Result<(), Broken> {
    let Value::List(Type::Struct, count) = reader.list()? else {
        return Err(reader.unexpected("not a list of spans"));
    };
    read_v1_list(sink, reader, count)?;
    if reader.is_at_end() { Ok(()) } else { Err(reader.unexpected("something after the list of spans")) }
}

/// Reads the spans of a list that was opened.
pub(crate) fn read_v1_list(sink: &mut Sink<'_>, reader: &mut Reader<'_>, count: usize) -> Result<(), Broken> {
    let intake = &mut Intake::new(sink);
    for _ in 0..count {
        if intake.is_overfull() {
            return Err(reader.too_much());
        }
        let span = span(reader, intake.span_bytes_max())?;
        intake.take_v1(span);
    }
    Ok(())
}

/// Reads a span. What comes beyond `bytes_max` is passed over: the span is going to be refused for its size.
fn span(reader: &mut Reader<'_>, bytes_max: usize) -> Result<SpanV1, Broken> {
    let mut span = SpanV1::default();
    let (mut low, mut high) = (0, 0);
    let begin = reader.offset();
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Int(id)) => low = id,
            (3, Value::Bytes(text)) => text.clone_into(&mut span.common.name),
            (4, Value::Int(id)) => span.common.span_id = SpanId(id.to_be_bytes()),
            (5, Value::Int(id)) => span.common.set_parent_id(Some(SpanId(id.to_be_bytes()))),
            (6, Value::List(Type::Struct, count)) => {
                for _ in 0..count {
                    let annotation = annotation(reader)?;
                    if reader.offset() - begin <= bytes_max {
                        span.annotations.push(annotation);
                    }
                }
            }
            (8, Value::List(Type::Struct, count)) => {
                for _ in 0..count {
                    let pair = binary_annotation(reader)?;
                    if reader.offset() - begin <= bytes_max {
                        span.binary.push(pair);
                    }
                }
            }
            (9, Value::Bool(debug)) => span.common.debug = debug,
            (10, Value::Int(time)) => span.common.timestamp_us = time.max(0) as u64,
            (11, Value::Int(duration)) => span.common.duration_us = duration.max(0) as u64,
            (12, Value::Int(id)) => high = id,
            (_, other) => reader.skip(other)?,
        }
    }
    span.bytes = reader.offset() - begin;
    span.common.trace_id = trace_id(high, low);
    Ok(span)
}

fn trace_id(high: i64, low: i64) -> TraceId {
    TraceId((u128::from(high as u64) << 64 | u128::from(low as u64)).to_be_bytes())
}

fn annotation(reader: &mut Reader<'_>) -> Result<AnnotationV1, Broken> {
    let mut annotation = AnnotationV1::default();
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Int(time)) => annotation.timestamp_us = time.max(0) as u64,
            (2, Value::Bytes(text)) => text.clone_into(&mut annotation.value),
            (3, Value::Struct) => annotation.endpoint = endpoint(reader)?,
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(annotation)
}

fn binary_annotation(reader: &mut Reader<'_>) -> Result<BinaryAnnotation, Broken> {
    let mut pair = BinaryAnnotation::default();
    let (mut bytes, mut annotation_type): (&[u8], i64) = (&[], STRING_TYPE);
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            (1, Value::Bytes(text)) => text.clone_into(&mut pair.key),
            (2, Value::Bytes(value)) => bytes = value,
            (3, Value::Int(number)) => annotation_type = number,
            (4, Value::Struct) => pair.endpoint = endpoint(reader)?,
            (_, other) => reader.skip(other)?,
        }
    }
    pair.value = typed_text(bytes, annotation_type);
    Ok(pair)
}

fn endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, Broken> {
    let mut endpoint = Endpoint::default();
    let mut fields = Fields::default();
    while let Some((number, value)) = reader.field(&mut fields)? {
        match (number, value) {
            // Zero is how the encoding says that there is none.
            (1, Value::Int(address)) if address != 0 => {
                endpoint.ipv4 = Ipv4Addr::from(address as u32).to_string().into_bytes();
            }
            (2, Value::Int(port)) => endpoint.port = i64::from(port as u16),
            (3, Value::Bytes(text)) => text.clone_into(&mut endpoint.service_name),
            (4, Value::Bytes(bytes)) => {
                let address = <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
                endpoint.ipv6 = address.unwrap_or_default().into_bytes();
            }
            (_, other) => reader.skip(other)?,
        }
    }
    Ok(endpoint)
}

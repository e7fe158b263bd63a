//! OTLP over gRPC: `TraceService/Export` as raw bytes, so that it shares the decoder with HTTP.
//!
//! A unary call is one length-prefixed message in, one out. The frame is taken apart here rather than by a general codec,
//! because a general one inflates on the threads that serve sockets and reports too large a message as `OUT_OF_RANGE`, which
//! senders repeat for ever. Compressions are those of HTTP, with the same cap before and after.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::post;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use wire::{Format, Report};

use super::rpc::{self, ExportResponse, RetryInfo};
use crate::inflate::{ACCEPTED, Encoding};
use crate::intake::{Intake, Received, Refusal};
use crate::metrics::Protocol;

const EXPORT_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORT_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const EXPORT_LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// A compression flag and a 32-bit length stand before every message.
const PREFIX_BYTES: usize = 5;
/// The trailer in which Python's exporter looks for the delay.
const RETRY_INFO_TRAILER: &str = "google.rpc.retryinfo-bin";

/// The methods of OTLP over gRPC.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route(EXPORT_TRACES, post(export))
        .route(EXPORT_METRICS, post(async || not_taken("metrics")))
        .route(EXPORT_LOGS, post(async || not_taken("logs")))
        .with_state(intake)
}

/// Whether a request is gRPC, whose errors are trailers and never HTTP statuses.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// The answer to a gRPC method that nobody here has.
pub fn unknown_method(path: &str) -> Response {
    Status::unimplemented(format!("there is no method {path} here")).into_http()
}

fn not_taken(what: &str) -> Response {
    Status::unimplemented(format!("{what} are not taken here yet; this server takes traces")).into_http()
}

async fn export(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take(&intake, request).await {
        Ok(report) => success(&ExportResponse::of(&report)),
        Err(refusal) => {
            intake.metrics.refused(Protocol::OtlpGrpc, refusal.reason());
            refused(&refusal)
        }
    }
}

async fn take(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    if !is_grpc(request.headers()) {
        return Err(Refusal::UnsupportedType("this path takes gRPC; over HTTP, POST to /v1/traces".to_owned()));
    }
    let encoding = message_encoding(request.headers())?;
    let framed = intake.read_up_to(intake.max_body_bytes + PREFIX_BYTES, request.into_body(), encoding).await?;
    let message = unframe(framed, intake.max_body_bytes)?;
    intake.accept(Protocol::OtlpGrpc, Format::OtlpProtobuf, message).await
}

fn message_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get("grpc-encoding") else { return Ok(Encoding::Identity) };
    let known = value.to_str().ok().and_then(Encoding::from_name);
    known.ok_or_else(|| {
        Refusal::UnsupportedEncoding(format!("message encoding {value:?} is not taken here; use one of {ACCEPTED}"))
    })
}

/// Takes the one message of a unary call out of its frame.
fn unframe(framed: Received, limit_bytes: usize) -> Result<Received, Refusal> {
    let Received { mut body, charge, encoding } = framed;
    if body.len() < PREFIX_BYTES {
        return Err(Refusal::Malformed("the call carries no message".to_owned()));
    }
    let flag = body.get_u8();
    let length = body.get_u32() as usize;
    if length > limit_bytes {
        return Err(Refusal::TooLarge { limit_bytes });
    }
    if length != body.len() {
        let text = format!("the frame announces {length} bytes, {} came", body.len());
        return Err(Refusal::Malformed(text));
    }
    let encoding = match flag {
        0 => Encoding::Identity,
        1 => encoding,
        _ => return Err(Refusal::Malformed(format!("the frame's compression flag is {flag}, not 0 or 1"))),
    };
    Ok(Received { body, charge, encoding })
}

fn success(response: &ExportResponse) -> Response {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + response.encoded_len());
    framed.put_u8(0);
    framed.put_u32(response.encoded_len() as u32);
    response.encode(&mut framed).expect("a BytesMut grows");
    let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(framed.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    response
}

fn refused(refusal: &Refusal) -> Response {
    let status = rpc::Status::of(refusal);
    let mut metadata = MetadataMap::new();
    let mut details = Bytes::new();
    if refusal.is_retryable() {
        let info = MetadataValue::from_bytes(&RetryInfo::usual().encode_to_vec());
        metadata.insert_bin(RETRY_INFO_TRAILER, info);
        details = status.encode_to_vec().into();
    }
    let code = Code::from_i32(status.code);
    let status = Status::with_details_and_metadata(code, status.message, details, metadata);
    let mut response: Response = status.into_http();
    // A peer that is told its compression is unknown is also told which are not.
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    response
}

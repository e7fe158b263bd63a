//! gRPC by hand, for all receivers that speak it: messages out of their frames, answers and refusals into theirs.
//!
//! A message is a length-prefixed frame in the body of an HTTP/2 request. The frame is taken apart here rather than by a general
//! codec, because a general one inflates on the threads that serve sockets and reports too large a message as `OUT_OF_RANGE`,
//! which senders repeat for ever. Compressions are those of HTTP, with the same cap before and after.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::rpc::{self, RetryInfo};
use crate::inflate::{ACCEPTED, Encoding};
use crate::intake::{Intake, Received, Refusal};

/// A compression flag and a 32-bit length stand before every message.
pub(super) const PREFIX_BYTES: usize = 5;
/// The trailer in which Python's exporter looks for the delay.
const RETRY_INFO_TRAILER: &str = "google.rpc.retryinfo-bin";

/// Whether a request is gRPC, whose errors are trailers and never HTTP statuses.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// The answer to a gRPC method that nobody here has.
pub fn unknown_method(path: &str) -> Response {
    Status::unimplemented(format!("there is no method {path} here")).into_http()
}

/// The one message of a unary call.
pub(super) async fn message(intake: &Intake, request: Request) -> Result<Received, Refusal> {
    let encoding = message_encoding(request.headers())?;
    let framed = intake.read_up_to(intake.max_body_bytes + PREFIX_BYTES, request.into_body(), encoding).await?;
    unframe(framed, intake.max_body_bytes)
}

/// How messages whose flag says so are compressed.
pub(super) fn message_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
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
    let (encoding, length) = prefix(&mut body, encoding, limit_bytes)?;
    if length != body.len() {
        let text = format!("the frame announces {length} bytes, {} came", body.len());
        return Err(Refusal::Malformed(text));
    }
    Ok(Received { body, charge, encoding })
}

/// Reads what stands before a message: how it is compressed, and its length.
pub(super) fn prefix(
    framed: &mut impl Buf,
    encoding: Encoding,
    limit_bytes: usize,
) -> Result<(Encoding, usize), Refusal> {
    let flag = framed.get_u8();
    let length = framed.get_u32() as usize;
    if length > limit_bytes {
        return Err(Refusal::TooLarge { limit_bytes });
    }
    match flag {
        0 => Ok((Encoding::Identity, length)),
        1 => Ok((encoding, length)),
        _ => Err(Refusal::Malformed(format!("the frame's compression flag is {flag}, not 0 or 1"))),
    }
}

/// A message in its frame.
pub(super) fn frame(message: &impl Message) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(message.encoded_len() as u32);
    message.encode(&mut framed).expect("a BytesMut grows");
    framed.freeze()
}

/// The trailers of a call that went well.
pub(super) fn ok_trailers() -> HeaderMap {
    HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))])
}

/// The answer of a unary call that went well.
pub(super) fn success(answer: &impl Message) -> Response {
    response(Body::new(Full::new(frame(answer)).with_trailers(std::future::ready(Some(Ok(ok_trailers()))))))
}

/// The head of an answer whose messages and trailers are in `body`.
pub(super) fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    response
}

/// The answer to a call that was refused.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let mut response: Response = status(refusal).into_http();
    // A peer that is told its compression is unknown is also told which are not.
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
    response
}

/// A refusal in gRPC's words.
pub(super) fn status(refusal: &Refusal) -> Status {
    let status = rpc::Status::of(refusal);
    let mut metadata = MetadataMap::new();
    let mut details = Bytes::new();
    if refusal.is_retryable() {
        let info = MetadataValue::from_bytes(&RetryInfo::usual().encode_to_vec());
        metadata.insert_bin(RETRY_INFO_TRAILER, info);
        details = status.encode_to_vec().into();
    }
    let code = Code::from_i32(status.code);
    Status::with_details_and_metadata(code, status.message, details, metadata)
}

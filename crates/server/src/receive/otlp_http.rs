//! OTLP over HTTP: `POST /v1/traces`, protobuf or JSON, answered in the encoding of the request.
//!
//! Browsers may send from pages on loopback addresses: their preflight, and only theirs, is answered with permission. Nothing
//! but OTLP's paths has it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::post;
use prost::Message;
use wire::{Format, Report};

use super::rpc::{ExportResponse, RETRY_AFTER_SECONDS, Status};
use crate::inflate::{ACCEPTED, Encoding};
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

/// How the request, and so the answer, is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Protobuf,
    Json,
}

impl Coding {
    pub(super) fn of(headers: &HeaderMap) -> Option<Coding> {
        let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Coding::Protobuf),
            "application/json" => Some(Coding::Json),
            _ => None,
        }
    }

    fn format(self) -> Format {
        match self {
            Coding::Protobuf => Format::OtlpProtobuf,
            Coding::Json => Format::OtlpJson,
        }
    }

    fn content_type(self) -> HeaderValue {
        match self {
            Coding::Protobuf => HeaderValue::from_static("application/x-protobuf"),
            Coding::Json => HeaderValue::from_static("application/json"),
        }
    }
}

/// The paths of OTLP over HTTP.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new().route("/v1/traces", post(export).options(preflight)).with_state(intake)
}

async fn export(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let coding = Coding::of(request.headers());
    let origin = allowed_origin(request.headers());
    let mut response = match take(&intake, coding, request).await {
        Ok(report) => success(coding.unwrap_or(Coding::Json), &ExportResponse::of(&report), "rejectedSpans"),
        Err(refusal) => {
            intake.metrics.refused(Protocol::OtlpHttp, refusal.reason());
            refused(coding.unwrap_or(Coding::Json), &refusal)
        }
    };
    allow_origin(&mut response, origin);
    response
}

/// Lets the page that sent a request read its answer.
pub(super) fn allow_origin(response: &mut Response, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
}

async fn take(intake: &Intake, coding: Option<Coding>, request: Request) -> Result<Report, Refusal> {
    let unsupported = || Refusal::UnsupportedType(type_message(request.headers()));
    let coding = coding.ok_or_else(unsupported)?;
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    intake.accept(Protocol::OtlpHttp, coding.format(), received).await
}

pub(super) fn type_message(headers: &HeaderMap) -> String {
    let expected = "send application/x-protobuf or application/json";
    match headers.get(header::CONTENT_TYPE) {
        Some(got) => format!("content type {got:?} is not taken here; {expected}"),
        None => format!("the request has no Content-Type; {expected}"),
    }
}

/// How the body of a request is compressed.
pub(super) fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    let known = value.to_str().ok().and_then(Encoding::from_name);
    known.ok_or_else(|| {
        Refusal::UnsupportedEncoding(format!("content encoding {value:?} is not taken here; use one of {ACCEPTED}"))
    })
}

/// The answer to a request that was stored; `rejected` is how JSON calls the number of what was not.
pub(super) fn success(coding: Coding, response: &ExportResponse, rejected: &str) -> Response {
    let body = match coding {
        Coding::Protobuf => response.encode_to_vec(),
        Coding::Json => response.to_json(rejected).to_string().into_bytes(),
    };
    answer(StatusCode::OK, coding, body)
}

pub(super) fn refused(coding: Coding, refusal: &Refusal) -> Response {
    let http = http_status(refusal);
    let mut response = problem(http, coding, &Status::of(refusal));
    let headers = response.headers_mut();
    if refusal.is_retryable() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    if matches!(refusal, Refusal::UnsupportedEncoding(_)) {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    }
    response
}

/// The HTTP status of a refusal; also Zipkin's.
pub(super) fn http_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::TooLarge { .. } | Refusal::TooMuch { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Malformed(_) | Refusal::Incomplete(_) => StatusCode::BAD_REQUEST,
        Refusal::UnsupportedType(_) | Refusal::UnsupportedEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Full(_) | Refusal::NotReady(_) | Refusal::Disk(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn problem(http: StatusCode, coding: Coding, status: &Status) -> Response {
    let body = match coding {
        Coding::Protobuf => status.encode_to_vec(),
        Coding::Json => status.to_json().to_string().into_bytes(),
    };
    answer(http, coding, body)
}

fn answer(http: StatusCode, coding: Coding, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = http;
    response.headers_mut().insert(header::CONTENT_TYPE, coding.content_type());
    response
}

pub(super) async fn preflight(headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let Some(origin) = allowed_origin(&headers) else { return response };
    let permissions: [(HeaderName, HeaderValue); 5] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted_headers(&headers)),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200")),
        (header::VARY, HeaderValue::from_static("origin, access-control-request-headers")),
    ];
    response.headers_mut().extend(permissions);
    response
}

fn wanted_headers(headers: &HeaderMap) -> HeaderValue {
    let usual = HeaderValue::from_static("content-type, content-encoding");
    headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(usual)
}

/// The origin of a page that was loaded from this machine.
pub(super) fn allowed_origin(headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let uri: Uri = origin.to_str().ok()?.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback.then(|| origin.clone())
}

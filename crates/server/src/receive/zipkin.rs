//! Zipkin's `POST /api/v2/spans`, JSON or protobuf, and `/api/v1/spans`, JSON or Thrift: 202 when the spans are stored.
//!
//! Zipkin has no word for "stored in part": spans that were refused are counted in the metrics and named in a header.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use wire::{Format, Report};

use super::otlp_http::{content_encoding, http_status};
use super::rpc::RETRY_AFTER_SECONDS;
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

/// Tells a sender how many of its spans were refused.
const REFUSED_SPANS_HEADER: &str = "x-longspan-refused-spans";

/// Zipkin's way in.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new().route("/api/v2/spans", post(export_v2)).route("/api/v1/spans", post(export_v1)).with_state(intake)
}

async fn export_v2(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    export(&intake, format_v2(request.headers()), request).await
}

async fn export_v1(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    export(&intake, format_v1(request.headers()), request).await
}

async fn export(intake: &Intake, format: Result<Format, Refusal>, request: Request) -> Response {
    match take(intake, format, request).await {
        Ok(report) => stored(&report),
        Err(refusal) => {
            intake.metrics.refused(Protocol::Zipkin, refusal.reason());
            refused_with(&refusal)
        }
    }
}

async fn take(intake: &Intake, format: Result<Format, Refusal>, request: Request) -> Result<Report, Refusal> {
    let format = format?;
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    something_stored(intake.accept(Protocol::Zipkin, format, received).await?)
}

/// For protocols that have no word for "stored in part".
pub(super) fn something_stored(report: Report) -> Result<Report, Refusal> {
    match &report.first_problem {
        // Nothing was stored: a 202 would tell the sender otherwise.
        Some(problem) if report.rejected_spans() == report.received_spans => Err(Refusal::Malformed(problem.clone())),
        _ => Ok(report),
    }
}

fn format_v2(headers: &HeaderMap) -> Result<Format, Refusal> {
    match content_type(headers).as_str() {
        "application/json" => Ok(Format::ZipkinJson),
        "application/x-protobuf" | "application/protobuf" => Ok(Format::ZipkinProtobuf),
        other => Err(unsupported(other, "application/json or application/x-protobuf")),
    }
}

fn format_v1(headers: &HeaderMap) -> Result<Format, Refusal> {
    match content_type(headers).as_str() {
        "application/json" => Ok(Format::ZipkinV1Json),
        "application/x-thrift" => Ok(Format::ZipkinV1Thrift),
        other => Err(unsupported(other, "application/json or application/x-thrift")),
    }
}

/// No type at all means JSON, as Zipkin's own server has it.
fn content_type(headers: &HeaderMap) -> String {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return "application/json".to_owned() };
    value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unsupported(content_type: &str, taken: &str) -> Refusal {
    Refusal::UnsupportedType(format!("content type {content_type:?} is not taken here; send {taken}"))
}

pub(super) fn stored(report: &Report) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    if report.rejected_spans() > 0 {
        response.headers_mut().insert(REFUSED_SPANS_HEADER, HeaderValue::from(report.rejected_spans()));
    }
    response
}

pub(super) fn refused_with(refusal: &Refusal) -> Response {
    let mut response = Response::new(Body::from(refusal.to_string()));
    *response.status_mut() = http_status(refusal);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if refusal.is_retryable() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

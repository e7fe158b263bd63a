//! Zipkin's `POST /api/v2/spans`: JSON or protobuf, 202 when the spans are stored.
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
    Router::new().route("/api/v2/spans", post(export)).with_state(intake)
}

async fn export(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take(&intake, request).await {
        Ok(report) => stored(&report),
        Err(refusal) => {
            intake.metrics.refused(Protocol::Zipkin, refusal.reason());
            refused(&refusal)
        }
    }
}

async fn take(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    let format = format(request.headers())?;
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    let report = intake.accept(Protocol::Zipkin, format, received).await?;
    match &report.first_problem {
        // Nothing was stored: a 202 would tell the sender otherwise.
        Some(problem) if report.rejected_spans() == report.received_spans => Err(Refusal::Malformed(problem.clone())),
        _ => Ok(report),
    }
}

/// No type at all means JSON, as Zipkin's own server has it.
fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Format::ZipkinJson) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Format::ZipkinJson),
        "application/x-protobuf" | "application/protobuf" => Ok(Format::ZipkinProtobuf),
        _ => Err(Refusal::UnsupportedType(format!(
            "content type {value:?} is not taken here; send application/json or application/x-protobuf"
        ))),
    }
}

fn stored(report: &Report) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    if report.rejected_spans() > 0 {
        response.headers_mut().insert(REFUSED_SPANS_HEADER, HeaderValue::from(report.rejected_spans()));
    }
    response
}

fn refused(refusal: &Refusal) -> Response {
    let mut response = Response::new(Body::from(refusal.to_string()));
    *response.status_mut() = http_status(refusal);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if refusal.is_retryable() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

//! OTLP's log records: `POST /v1/logs`, protobuf or JSON, and `LogsService/Export`. Everything but the names of the answer's fields is
//! as for spans. The same path takes lines of JSON (`application/x-ndjson`) and lines of text (`text/plain`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::post;
use wire::Report;
use wire::logs::LogFormat;

use super::grpc::{self, is_grpc};
use super::otlp_http::{Coding, allow_origin, content_encoding, preflight, refused, success, type_message};
use super::rpc::ExportResponse;
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// The paths of log records over HTTP and gRPC.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/v1/logs", post(over_http).options(preflight))
        .route(EXPORT, post(over_grpc))
        .with_state(intake)
}

async fn over_http(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let coding = Coding::of(request.headers());
    let origin = super::otlp_http::allowed_origin(request.headers());
    let mut response = match take_http(&intake, coding, request).await {
        Ok(report) => success(coding.unwrap_or(Coding::Json), &ExportResponse::of_logs(&report), "rejectedLogRecords"),
        Err(refusal) => {
            intake.metrics.refused(Protocol::OtlpHttp, refusal.reason());
            refused(coding.unwrap_or(Coding::Json), &refusal)
        }
    };
    allow_origin(&mut response, origin);
    response
}

async fn take_http(intake: &Intake, coding: Option<Coding>, request: Request) -> Result<Report, Refusal> {
    let format = match coding {
        Some(Coding::Protobuf) => Some(LogFormat::OtlpProtobuf),
        Some(Coding::Json) => Some(LogFormat::OtlpJson),
        None => lines_of(request.headers()),
    };
    let format = format.ok_or_else(|| Refusal::UnsupportedType(type_message(request.headers())))?;
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    intake.accept_logs(Protocol::OtlpHttp, format, received).await
}

/// Which lines a content type stands for.
fn lines_of(headers: &HeaderMap) -> Option<LogFormat> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Some(LogFormat::JsonLines)
        }
        "text/plain" => Some(LogFormat::Text),
        _ => None,
    }
}

async fn over_grpc(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take_grpc(&intake, request).await {
        Ok(report) => grpc::success(&ExportResponse::of_logs(&report)),
        Err(refusal) => {
            intake.metrics.refused(Protocol::OtlpGrpc, refusal.reason());
            grpc::refused(&refusal)
        }
    }
}

async fn take_grpc(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    if !is_grpc(request.headers()) {
        return Err(Refusal::UnsupportedType("this path takes gRPC; over HTTP, POST to /v1/logs".to_owned()));
    }
    let message = grpc::message(intake, request).await?;
    intake.accept_logs(Protocol::OtlpGrpc, LogFormat::OtlpProtobuf, message).await
}

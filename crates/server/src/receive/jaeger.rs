//! Jaeger's spans over HTTP and gRPC, and the answer to its clients' question how much to record: everything.
//!
//! HTTP takes a `Batch` in binary Thrift and answers 202, as Jaeger's collector does; gRPC is `CollectorService/PostSpans`. Neither has
//! a word for "stored in part": spans that were refused are counted in the metrics and, over HTTP, named in a header.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use prost::Message;
use serde_json::{Value, json};
use wire::{Format, Report};

use super::grpc::{self, is_grpc};
use super::otlp_http::content_encoding;
use super::zipkin::{refused_with, something_stored, stored};
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";
const GET_SAMPLING_STRATEGY: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

/// `jaeger.api_v2.PostSpansResponse`, which says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct PostSpansResponse {}

/// `jaeger.api_v2.SamplingStrategyResponse`; the type of strategy is at its default, probabilistic.
#[derive(Clone, Copy, PartialEq, Message)]
struct SamplingStrategyResponse {
    #[prost(message, optional, tag = "2")]
    probabilistic: Option<ProbabilisticSampling>,
}

/// `jaeger.api_v2.ProbabilisticSamplingStrategy`.
#[derive(Clone, Copy, PartialEq, Message)]
struct ProbabilisticSampling {
    #[prost(double, tag = "1")]
    sampling_rate: f64,
}

/// What Jaeger's collector serves over HTTP.
pub fn http_router(intake: Arc<Intake>) -> Router {
    Router::new().route("/api/traces", post(post_batch)).with_state(intake).route("/api/sampling", get(strategy))
}

/// What Jaeger's collector serves over gRPC.
pub fn grpc_router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route(POST_SPANS, post(post_spans))
        .with_state(intake)
        .route(GET_SAMPLING_STRATEGY, post(async || grpc::success(&record_everything())))
        .fallback(async |request: Request| grpc::unknown_method(request.uri().path()))
}

/// What Jaeger's agent serves to clients that ask how much to record.
pub fn sampling_router() -> Router {
    Router::new()
        .route("/sampling", get(strategy))
        .route("/", get(older_strategy))
        .route("/baggageRestrictions", get(async || Json(json!([]))))
}

async fn post_batch(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take_batch(&intake, request).await {
        Ok(report) => stored(&report),
        Err(refusal) => {
            intake.metrics.refused(Protocol::JaegerHttp, refusal.reason());
            let mut response = refused_with(&refusal);
            if matches!(refusal, Refusal::UnsupportedType(_)) {
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
            response
        }
    }
}

async fn take_batch(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    check_type(request.headers())?;
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    something_stored(intake.accept(Protocol::JaegerHttp, Format::JaegerThrift, received).await?)
}

fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-thrift" | "application/vnd.apache.thrift.binary" => Ok(()),
        _ => Err(Refusal::UnsupportedType(format!(
            "content type {content_type:?} is not taken here; send application/x-thrift"
        ))),
    }
}

async fn post_spans(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take_spans(&intake, request).await {
        Ok(_) => grpc::success(&PostSpansResponse {}),
        Err(refusal) => {
            intake.metrics.refused(Protocol::JaegerGrpc, refusal.reason());
            grpc::refused(&refusal)
        }
    }
}

async fn take_spans(intake: &Intake, request: Request) -> Result<Report, Refusal> {
    if !is_grpc(request.headers()) {
        return Err(Refusal::UnsupportedType("this port takes gRPC".to_owned()));
    }
    let message = grpc::message(intake, request).await?;
    something_stored(intake.accept(Protocol::JaegerGrpc, Format::JaegerProtobuf, message).await?)
}

fn record_everything() -> SamplingStrategyResponse {
    SamplingStrategyResponse { probabilistic: Some(ProbabilisticSampling { sampling_rate: 1.0 }) }
}

async fn strategy(query: Query<HashMap<String, String>>) -> Response {
    answer_for(&query, &json!("PROBABILISTIC"))
}

/// Clients of before 2017 expect the number of the type.
async fn older_strategy(query: Query<HashMap<String, String>>) -> Response {
    answer_for(&query, &json!(0))
}

fn answer_for(query: &HashMap<String, String>, strategy_type: &Value) -> Response {
    if query.get("service").is_none_or(String::is_empty) {
        let text = "'service' parameter must be provided once";
        return (StatusCode::BAD_REQUEST, Body::from(text)).into_response();
    }
    Json(json!({ "strategyType": strategy_type, "probabilisticSampling": { "samplingRate": 1.0 } })).into_response()
}

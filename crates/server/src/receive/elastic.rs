//! As much of Elasticsearch as log shippers ask of it: who is there, may templates be put, and `_bulk`.
//!
//! Filebeat, Fluent Bit, Logstash and Vector send their records to `_bulk` once they believe that an Elasticsearch is there; what they
//! ask before and beside that is answered so that they go on. Documents become log records; names of indexes mean nothing here, and
//! nothing can be searched in Elasticsearch's way.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde_json::{Value, json};
use wire::logs::{BulkItem, LogFormat};

use super::otlp_http::{content_encoding, http_status};
use super::rpc::RETRY_AFTER_SECONDS;
use crate::intake::{Intake, Refusal};
use crate::metrics::Protocol;

/// The version that is claimed: shippers speak to it as to any of this major version.
const VERSION: &str = "8.17.0";
/// Clients believe in an Elasticsearch only with this header.
const PRODUCT: &str = "x-elastic-product";

/// What shippers ask for.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/_bulk", post(bulk).put(bulk))
        .route("/{index}/_bulk", post(bulk).put(bulk))
        .route("/{index}/_doc", post(document))
        .route("/{index}/_doc/", post(document))
        .route("/_license", get(license))
        .route("/_xpack", get(features))
        .route("/_cluster/health", get(health))
        .route("/_nodes/{*rest}", get(nodes))
        .route("/_template/{*rest}", any(acknowledged))
        .route("/_index_template/{*rest}", any(acknowledged))
        .route("/_component_template/{*rest}", any(acknowledged))
        .route("/_ilm/{*rest}", any(acknowledged))
        .route("/_data_stream/{*rest}", any(acknowledged))
        .route("/_ingest/{*rest}", any(acknowledged))
        .route("/_alias/{*rest}", any(acknowledged))
        .fallback(unknown)
        .with_state(intake)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    response
}

async fn root() -> Response {
    let version = json!({
        "number": VERSION, "build_flavor": "default", "build_type": "tar", "build_hash": "0", "build_date": "2025-01-01T00:00:00.000Z",
        "build_snapshot": false, "lucene_version": "9.12.0", "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    });
    let about = json!({
        "name": "longspan", "cluster_name": "longspan", "cluster_uuid": "longspan-takes-logs00", "version": version,
        "tagline": "You Know, for Search",
    });
    answer(StatusCode::OK, &about)
}

async fn license() -> Response {
    let license = json!({ "license": { "status": "active", "uid": "longspan", "type": "basic", "mode": "basic" } });
    answer(StatusCode::OK, &license)
}

async fn features() -> Response {
    let off = json!({ "available": false, "enabled": false });
    answer(StatusCode::OK, &json!({ "features": { "ilm": off, "security": off, "monitoring": off } }))
}

async fn health() -> Response {
    answer(
        StatusCode::OK,
        &json!({ "cluster_name": "longspan", "status": "green", "number_of_nodes": 1, "timed_out": false }),
    )
}

async fn nodes() -> Response {
    answer(StatusCode::OK, &json!({ "cluster_name": "longspan", "nodes": {} }))
}

async fn acknowledged(method: Method) -> Response {
    match method {
        Method::GET => answer(StatusCode::OK, &json!({})),
        _ => answer(StatusCode::OK, &json!({ "acknowledged": true })),
    }
}

async fn unknown(request: Request) -> Response {
    let reason = format!(
        "there is no {} here: log records are taken at /_bulk, and asked for in Longspan's own API",
        request.uri().path()
    );
    problem(StatusCode::NOT_FOUND, "resource_not_found_exception", &reason)
}

fn problem(status: StatusCode, kind: &str, reason: &str) -> Response {
    let cause = json!({ "type": kind, "reason": reason });
    answer(
        status,
        &json!({ "error": { "root_cause": [cause], "type": kind, "reason": reason }, "status": status.as_u16() }),
    )
}

fn refused(refusal: &Refusal) -> Response {
    // Shippers repeat what was refused with 429.
    let status = if refusal.is_retryable() { StatusCode::TOO_MANY_REQUESTS } else { http_status(refusal) };
    let kind = if refusal.is_retryable() { "es_rejected_execution_exception" } else { "illegal_argument_exception" };
    let mut response = problem(status, kind, &refusal.to_string());
    if refusal.is_retryable() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

async fn bulk(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let started = Instant::now();
    let default_index = request.uri().path().trim_end_matches("/_bulk").trim_matches('/').to_owned();
    match take(&intake, LogFormat::Bulk, request).await {
        Ok(items) => {
            let errors = items.iter().any(|item| item.problem.is_some());
            let items: Vec<Value> =
                items.iter().enumerate().map(|(number, item)| told(number, item, &default_index)).collect();
            let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            answer(StatusCode::OK, &json!({ "took": took_ms, "errors": errors, "items": items }))
        }
        Err(refusal) => {
            intake.metrics.refused(Protocol::Elasticsearch, refusal.reason());
            refused(&refusal)
        }
    }
}

async fn document(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    match take(&intake, LogFormat::JsonLines, request).await {
        Ok(_) => answer(StatusCode::CREATED, &json!({ "_id": "0", "result": "created", "_version": 1 })),
        Err(refusal) => {
            intake.metrics.refused(Protocol::Elasticsearch, refusal.reason());
            refused(&refusal)
        }
    }
}

async fn take(intake: &Intake, format: LogFormat, request: Request) -> Result<Vec<BulkItem>, Refusal> {
    let encoding = content_encoding(request.headers())?;
    let received = intake.read(request.into_body(), encoding).await?;
    let (_, body) = intake.accept_logs_and_keep(Protocol::Elasticsearch, format, received).await?;
    Ok(if format == LogFormat::Bulk { wire::logs::bulk_items(&body) } else { Vec::new() })
}

/// What became of an entry.
fn told(number: usize, item: &BulkItem, default_index: &str) -> Value {
    let index = if item.index.is_empty() { default_index } else { &item.index };
    let outcome = match &item.problem {
        None => json!({
            "_index": index, "_id": number.to_string(), "_version": 1, "result": "created", "status": 201, "_seq_no": number,
            "_primary_term": 1, "_shards": { "total": 1, "successful": 1, "failed": 0 },
        }),
        Some(problem) => json!({
            "_index": index, "_id": number.to_string(), "status": 400,
            "error": { "type": "document_parsing_exception", "reason": problem },
        }),
    };
    json!({ item.action.as_str(): outcome })
}

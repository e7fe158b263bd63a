//! Jaeger's older API: everything in the envelope `{data, total, limit, offset, errors}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{SpanKind, TraceId};
use query::{LocalStore, QueryError, SpanStore, TimeRange, Trace};
use serde::Serialize;

use super::span::TraceAnswer;
use super::{kind_word, search as read, service_names, shown_service, stored_service};
use crate::api::error::ApiError;
use crate::api::pairs::Pairs;
use crate::api::params::PARTIAL;
use crate::api::stream;
use crate::app::App;
use crate::clock::now_unix_nano;

const DAY_MS: u64 = 24 * 3600 * 1000;

#[derive(Debug, Serialize)]
struct Envelope<T> {
    data: Option<Vec<T>>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<StructuredError>>,
}

#[derive(Debug, Serialize)]
struct StructuredError {
    code: u16,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl<T> Envelope<T> {
    fn of(data: Vec<T>) -> Self {
        Envelope { total: data.len(), data: Some(data), limit: 0, offset: 0, errors: None }
    }
}

/// A refusal in Jaeger's envelope.
#[derive(Debug)]
pub struct Refused(ApiError);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Refused(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let ApiError { status, problem } = self.0;
        let error = StructuredError { code: status.as_u16(), msg: problem.message, trace_id: None };
        let envelope = Envelope::<()> { data: None, total: 0, limit: 0, offset: 0, errors: Some(vec![error]) };
        (status, Json(envelope)).into_response()
    }
}

/// `GET /api/services`.
pub async fn services(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let names = app.ask("jaeger_services", service_names).await?;
    Ok(Json(Envelope::of(names)).into_response())
}

/// `GET /api/services/{service}/operations`: names only.
pub async fn operation_names(State(app): State<Arc<App>>, Path(service): Path<String>) -> Result<Response, Refused> {
    let operations =
        app.ask("jaeger_operations", move |store| store.operations(stored_service(&service), None)).await?;
    let mut names: Vec<String> = operations.into_iter().map(|operation| operation.name).collect();
    names.dedup();
    Ok(Json(Envelope::of(names)).into_response())
}

/// An operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    name: String,
    span_kind: String,
}

/// The operations of a service, of one kind if one is given.
pub(super) fn operations_of(
    store: &LocalStore,
    service: &str,
    kind: Option<SpanKind>,
) -> Result<Vec<Operation>, QueryError> {
    let operations = store.operations(stored_service(service), kind)?;
    let item =
        |operation: query::OperationCount| Operation { name: operation.name, span_kind: kind_word(operation.kind) };
    Ok(operations.into_iter().map(item).collect())
}

/// `GET /api/operations?service=&spanKind=`.
pub async fn operations(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, Refused> {
    let service = pairs.get(&["service"]).map(ToOwned::to_owned);
    let service = service.ok_or_else(|| ApiError::bad_parameter("parameter 'service' is required"))?;
    let kind = pairs.get(&["spanKind"]).and_then(SpanKind::from_name);
    let operations = app.ask("jaeger_operations", move |store| operations_of(store, &service, kind)).await?;
    Ok(Json(Envelope::of(operations)).into_response())
}

/// `GET /api/traces`: by ids, or a search.
pub async fn search(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, Refused> {
    let ids: Vec<&str> = pairs.all("traceID").filter(|id| !id.is_empty()).collect();
    if !ids.is_empty() {
        return by_ids(&app, &ids).await;
    }
    let search = read::legacy(&pairs)?;
    let page = app.search("jaeger_search", move |store| store.search(&search)).await?;
    let mut envelope = Envelope::of(page.hits.into_iter().map(|hit| TraceAnswer(hit.trace)).collect());
    let code = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
    let partial = StructuredError { code, msg: PARTIAL.to_owned(), trace_id: None };
    envelope.errors = page.is_partial.then(|| vec![partial]);
    Ok(stream::json(envelope).await)
}

async fn by_ids(app: &Arc<App>, ids: &[&str]) -> Result<Response, Refused> {
    let ids = ids.iter().map(|id| trace_id(id)).collect::<Result<Vec<_>, _>>()?;
    let wanted = ids.clone();
    let found = move |store: &LocalStore| -> Result<Vec<Option<Trace>>, QueryError> {
        wanted.into_iter().map(|id| store.trace(id)).collect()
    };
    let found = app.ask("jaeger_trace", found).await?;
    let missing = ids.iter().zip(&found).filter(|(_, trace)| trace.is_none());
    let errors: Vec<StructuredError> = missing
        .map(|(id, _)| StructuredError {
            code: StatusCode::NOT_FOUND.as_u16(),
            msg: "trace not found".to_owned(),
            trace_id: Some(id.to_string()),
        })
        .collect();
    let mut envelope = Envelope::of(found.into_iter().flatten().map(TraceAnswer).collect());
    envelope.errors = (!errors.is_empty()).then_some(errors);
    Ok(stream::json(envelope).await)
}

fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_parameter(format!("malformed trace id {text:?}: {error}")))
}

/// `GET /api/traces/{trace_id}`.
pub async fn trace(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refused> {
    let id = trace_id(&id)?;
    let trace = app.ask("jaeger_trace", move |store| store.trace(id)).await?;
    let trace = trace.ok_or_else(|| ApiError::not_found("trace not found"))?;
    Ok(stream::json(Envelope::of(vec![TraceAnswer(trace)])).await)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DependencyLink {
    parent: String,
    child: String,
    call_count: u64,
}

/// `GET /api/dependencies?endTs=&lookback=`, both in milliseconds.
pub async fn dependencies(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, Refused> {
    let end_ms = pairs.parse(&["endTs"])?.unwrap_or_else(|| now_unix_nano() / 1_000_000);
    let lookback_ms = pairs.parse(&["lookback"])?.unwrap_or(DAY_MS);
    let range = range_of(end_ms, lookback_ms);
    let dependencies = app.search("jaeger_dependencies", move |store| store.dependencies(range)).await?;
    let link = |dependency: query::Dependency| DependencyLink {
        parent: shown_service(&dependency.parent).to_owned(),
        child: shown_service(&dependency.child).to_owned(),
        call_count: dependency.calls,
    };
    Ok(Json(Envelope::of(dependencies.into_iter().map(link).collect())).into_response())
}

/// The range that Jaeger and Zipkin write as an end and a length, in milliseconds.
pub fn range_of(end_ms: u64, lookback_ms: u64) -> TimeRange {
    let nanos = |ms: u64| ms.saturating_mul(1_000_000);
    TimeRange {
        start_unix_nano: nanos(end_ms.saturating_sub(lookback_ms)),
        end_unix_nano: Some(nanos(end_ms.saturating_add(1))),
    }
}

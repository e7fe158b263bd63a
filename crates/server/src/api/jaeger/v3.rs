//! Jaeger's newer API: OTLP's JSON within `{"result": …}`.

use std::io::{self, Write};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flow::outline::outline;
use model::SpanKind;
use query::{SpanStore, Trace, TraceHit};
use serde::Serialize;
use serde_json::json;

use super::legacy::operations_of;
use super::{search as read, service_names, shown_service};
use crate::api::error::ApiError;
use crate::api::pairs::Pairs;
use crate::api::stream;
use crate::api::traces::trace_id;
use crate::app::App;

/// A refusal in the shape of Jaeger's gateway.
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
        let error = json!({ "error": { "httpCode": status.as_u16(), "message": problem.message } });
        (status, Json(error)).into_response()
    }
}

/// `GET /api/v3/services`.
pub async fn services(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let names = app.ask("jaeger_services", service_names).await?;
    Ok(Json(json!({ "services": names })).into_response())
}

/// `GET /api/v3/operations?service=&spanKind=`.
pub async fn operations(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, Refused> {
    let service = pairs.get(&["service"]).unwrap_or_default().to_owned();
    let kind = pairs.get(&["spanKind", "span_kind"]).and_then(SpanKind::from_name);
    let operations = app.ask("jaeger_operations", move |store| operations_of(store, &service, kind)).await?;
    Ok(Json(json!({ "operations": operations })).into_response())
}

/// Spans that are encoded at a time.
const SPANS_AT_A_TIME: usize = 1_000;

/// Traces as one OTLP document; none at all is an error in this API.
async fn result(traces: Vec<Trace>) -> Result<Response, Refused> {
    if traces.is_empty() {
        return Err(Refused(ApiError::new(StatusCode::NOT_FOUND, "not_found", "No traces found", "")));
    }
    Ok(stream::written(move |writer| write_document(&traces, writer)).await)
}

/// Writes the document in parts, so that it is never whole in memory: a part is a document of its own, whose list is taken out.
fn write_document(traces: &[Trace], writer: &mut dyn Write) -> io::Result<()> {
    const OPENED: &str = "{\"resourceSpans\":[";
    const CLOSED: &str = "]}";
    writer.write_all(b"{\"result\":")?;
    writer.write_all(OPENED.as_bytes())?;
    let mut separator = "";
    for trace in traces {
        for first in (0..trace.spans.len()).step_by(SPANS_AT_A_TIME) {
            let rows = first..trace.spans.len().min(first + SPANS_AT_A_TIME);
            let part = wire::otlp::encode_json(rows.map(|row| trace.spans.span(row)));
            let list = part.strip_prefix(OPENED).and_then(|list| list.strip_suffix(CLOSED));
            writer.write_all(separator.as_bytes())?;
            writer.write_all(list.expect("an OTLP document is one list").as_bytes())?;
            separator = ",";
        }
    }
    writer.write_all(CLOSED.as_bytes())?;
    writer.write_all(b"}")
}

/// `GET /api/v3/traces`.
pub async fn search(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, Refused> {
    let search = read::v3(&pairs)?;
    let page = app.search("jaeger_search", move |store| store.search(&search)).await?;
    result(page.hits.into_iter().map(|hit| hit.trace).collect()).await
}

/// `GET /api/v3/traces/{trace_id}`.
pub async fn trace(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refused> {
    let id = trace_id(&id)?;
    let trace = app.ask("jaeger_trace", move |store| store.trace(id)).await?;
    result(trace.into_iter().collect()).await
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    trace_id: String,
    root_service_name: String,
    root_operation_name: String,
    min_start_time_unix_nano: String,
    max_end_time_unix_nano: String,
    span_count: usize,
    error_span_count: usize,
    services: Vec<ServiceSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSummary {
    name: String,
    span_count: usize,
    error_span_count: usize,
}

impl Summary {
    fn of(hit: &TraceHit) -> Option<Summary> {
        let spans = &hit.trace.spans;
        let outline = outline(spans)?;
        let root = outline.root.map(|row| spans.span(row));
        let service = |service: &flow::outline::ServiceOutline<'_>| ServiceSummary {
            name: shown_service(service.name).to_owned(),
            span_count: service.spans,
            error_span_count: service.errors,
        };
        Some(Summary {
            trace_id: hit.trace.id.to_string(),
            root_service_name: root.map_or("", |root| shown_service(root.service_name())).to_owned(),
            root_operation_name: root.map_or("", model::SpanRef::name).to_owned(),
            min_start_time_unix_nano: outline.start_unix_nano.to_string(),
            max_end_time_unix_nano: outline.end_unix_nano.to_string(),
            span_count: outline.span_count,
            error_span_count: outline.error_count,
            services: outline.services.iter().map(service).collect(),
        })
    }
}

/// `GET /api/v3/trace-summaries`, with the parameters of `/api/v3/traces`.
pub async fn summaries(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, Refused> {
    let search = read::v3(&pairs)?;
    let summaries = app.search("jaeger_search", move |store| {
        let page = store.search(&search)?;
        Ok(page.hits.iter().filter_map(Summary::of).collect::<Vec<_>>())
    });
    Ok(Json(json!({ "summaries": summaries.await? })).into_response())
}

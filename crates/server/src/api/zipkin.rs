//! Zipkin's query API, for Zipkin's own page and clients, as far as Zipkin's model reaches: links are not in it.
//!
//! Unknown parameters are ignored, as Zipkin does.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::TraceId;
use query::contract::SEARCH_LIMIT_MAX;
use query::{Field, Filter, KeyQuery, LocalStore, QueryError, Search, SpanStore, Trace, ValueQuery};
use serde_json::json;

use super::error::ApiError;
use super::jaeger::legacy::range_of;
use super::pairs::Pairs;
use super::stream;
use crate::app::App;
use crate::clock::now_unix_nano;

/// Traces when nobody says how many; Zipkin's own number.
const LIMIT_DEFAULT: usize = 10;
/// Fifteen minutes: how far back Zipkin's page looks unless told otherwise. Its API looks back without end.
const PAGE_LOOKBACK_MS: u64 = 15 * 60 * 1000;
/// Names offered of a kind.
const NAMES_MAX: usize = 1_000;
/// Where instrumentations say who is at the other end.
const REMOTE_SERVICE_KEYS: [&str; 3] = ["peer.service", "service.peer.name", "zipkin.remote.service_name"];

/// Zipkin's paths.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v2/services", get(services))
        .route("/api/v2/spans", get(span_names))
        .route("/api/v2/remoteServices", get(remote_services))
        .route("/api/v2/traces", get(traces))
        .route("/api/v2/trace/{trace_id}", get(trace))
        .route("/api/v2/traceMany", get(trace_many))
        .route("/api/v2/dependencies", get(dependencies))
        .route("/api/v2/autocompleteKeys", get(keys))
        .route("/api/v2/autocompleteValues", get(values))
        .route("/health", get(health))
        .route("/info", get(info))
        .route("/config.json", get(config))
        .route("/zipkin/config.json", get(config))
        .with_state(app)
}

/// A refusal as plain text, as Zipkin words its own.
#[derive(Debug)]
pub struct Refused(ApiError);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Refused(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0.status, self.0.problem.message).into_response()
    }
}

type Answer = Result<Response, Refused>;

async fn services(State(app): State<Arc<App>>) -> Answer {
    let services = app.ask("zipkin_services", SpanStore::services).await?;
    let names = services.into_iter().map(|service| service.name).filter(|name| !name.is_empty());
    Ok(Json(names.collect::<Vec<_>>()).into_response())
}

fn required(pairs: &Pairs, name: &str) -> Result<String, ApiError> {
    let value = pairs.get(&[name]).map(ToOwned::to_owned);
    value.ok_or_else(|| ApiError::bad_parameter(format!("parameter {name} is required")))
}

async fn span_names(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let service = required(&pairs, "serviceName")?;
    let operations = app.ask("zipkin_spans", move |store| store.operations(&service, None)).await?;
    let names: BTreeSet<String> = operations.into_iter().map(|operation| operation.name).collect();
    Ok(Json(names).into_response())
}

/// Who a service's recent spans name as their other end.
async fn remote_services(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let service = required(&pairs, "serviceName")?;
    let names = app.search("zipkin_remote_services", move |store| remote_names(store, &service)).await?;
    Ok(Json(names).into_response())
}

fn remote_names(store: &LocalStore, service: &str) -> Result<BTreeSet<String>, QueryError> {
    let mut names = BTreeSet::new();
    let recent = range_of(now_unix_nano() / 1_000_000, PAGE_LOOKBACK_MS);
    let calls = store.dependencies(recent)?.into_iter().filter(|call| call.parent == service);
    names.extend(calls.map(|call| call.child));
    for key in REMOTE_SERVICE_KEYS {
        let here = Filter::equals(Field::Service, service);
        let named = Filter::Exists(Field::attribute(Some(model::Level::Span), key));
        let Ok(here) = here else { continue };
        let search = Search { filter: Filter::and([here, named]), range: recent, limit: LIMIT_DEFAULT, cursor: None };
        for hit in store.search(&search)?.hits {
            let spans = hit.matched.iter().map(|&row| hit.trace.spans.span(row));
            names.extend(spans.filter_map(|span| Some(span.attribute(key)?.comparison_text().into_owned())));
        }
    }
    Ok(names)
}

async fn traces(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let search = search(&pairs)?;
    let page = app.search("zipkin_search", move |store| store.search(&search)).await?;
    Ok(list_of_lists(page.hits.into_iter().map(|hit| hit.trace).collect()).await)
}

fn search(pairs: &Pairs) -> Result<Search, ApiError> {
    let mut filters = Vec::new();
    if let Some(service) = pairs.get(&["serviceName"]) {
        filters.push(Filter::equals(Field::Service, service)?);
    }
    if let Some(name) = pairs.get(&["spanName"]).filter(|&name| name != "all") {
        filters.push(Filter::compare(Field::Name, query::Op::Matches, &same_name(name), true)?);
    }
    if let Some(remote) = pairs.get(&["remoteServiceName"]) {
        let at = |key| Filter::equals(Field::attribute(Some(model::Level::Span), key), remote);
        filters.push(Filter::or(REMOTE_SERVICE_KEYS.into_iter().map(at).collect::<Result<Vec<_>, _>>()?));
    }
    if let Some(annotations) = pairs.get(&["annotationQuery"]) {
        filters.push(annotation_query(annotations)?);
    }
    let micros = |name: &str| -> Result<Option<u64>, ApiError> { pairs.parse(&[name]) };
    filters.extend(micros("minDuration")?.map(|least| Filter::min_duration(least.saturating_mul(1000))));
    // Zipkin's longest duration includes the whole last microsecond.
    filters
        .extend(micros("maxDuration")?.map(|most| Filter::max_duration(most.saturating_mul(1000).saturating_add(999))));
    let end_ms = micros("endTs")?.unwrap_or_else(|| now_unix_nano() / 1_000_000);
    let lookback_ms = micros("lookback")?.unwrap_or(end_ms);
    let limit: Option<usize> = pairs.parse(&["limit"])?;
    let limit = limit.filter(|&limit| limit > 0).unwrap_or(LIMIT_DEFAULT).min(SEARCH_LIMIT_MAX);
    Ok(Search { filter: Filter::and(filters), range: range_of(end_ms, lookback_ms), limit, cursor: None })
}

/// Zipkin knows names in lower case only, so it asks for them in lower case.
fn same_name(name: &str) -> String {
    let mut pattern = "(?i)^".to_owned();
    for letter in name.chars() {
        if !letter.is_alphanumeric() && !letter.is_whitespace() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('$');
    pattern
}

/// `http.path=/a and error`: tags with their values, and words that are a tag's key or an annotation.
fn annotation_query(text: &str) -> Result<Filter, ApiError> {
    let mut filters = Vec::new();
    for part in text.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
        filters.push(match part.split_once('=') {
            Some((key, value)) => Filter::equals(Field::attribute(None, key.trim()), value.trim())?,
            None if part == "error" => {
                let tagged = Filter::Exists(Field::attribute(Some(model::Level::Span), part));
                Filter::or([Filter::equals(Field::Status, "error")?, tagged])
            }
            None => {
                let annotated = Filter::equals(Field::EventName, part)?;
                Filter::or([annotated, Filter::Exists(Field::attribute(None, part))])
            }
        });
    }
    Ok(Filter::and(filters))
}

/// Spans that are encoded at a time.
const SPANS_AT_A_TIME: usize = 1_000;

async fn list_of_lists(traces: Vec<Trace>) -> Response {
    let write = move |writer: &mut dyn Write| {
        let mut separator = "[";
        for trace in &traces {
            writer.write_all(separator.as_bytes())?;
            write_list(trace, writer)?;
            separator = ",";
        }
        writer.write_all(if traces.is_empty() { b"[]" } else { b"]" })
    };
    stream::written(write).await
}

/// Writes a trace in parts, so that it is never whole in memory: a part is a list of its own, taken out of its brackets.
fn write_list(trace: &Trace, writer: &mut dyn Write) -> io::Result<()> {
    let mut separator = "[";
    for first in (0..trace.spans.len()).step_by(SPANS_AT_A_TIME) {
        let rows = first..trace.spans.len().min(first + SPANS_AT_A_TIME);
        let part = wire::zipkin::encode_json(rows.map(|row| trace.spans.span(row)));
        let list = part.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
        writer.write_all(separator.as_bytes())?;
        writer.write_all(list.expect("Zipkin's spans are one list").as_bytes())?;
        separator = ",";
    }
    writer.write_all(b"]")
}

async fn trace(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let id = trace_id(&id)?;
    let found = app.ask("zipkin_trace", move |store| store.trace(id)).await?;
    let found = found.ok_or_else(|| ApiError::not_found(format!("trace {id} not found")))?;
    Ok(stream::written(move |writer| write_list(&found, writer)).await)
}

fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.trim().parse().map_err(|error| ApiError::bad_parameter(format!("{text:?} is not a trace id: {error}")))
}

async fn trace_many(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let ids = required(&pairs, "traceIds")?;
    let ids: BTreeSet<TraceId> = ids.split(',').map(trace_id).collect::<Result<_, _>>()?;
    if ids.len() < 2 {
        return Err(ApiError::bad_parameter("traceIds wants two different ids or more").into());
    }
    let found = app.search("zipkin_trace", move |store| {
        let found = ids.into_iter().map(|id| store.trace(id));
        found.collect::<Result<Vec<_>, _>>()
    });
    Ok(list_of_lists(found.await?.into_iter().flatten().collect()).await)
}

async fn dependencies(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let end_ms: u64 = required(&pairs, "endTs")?
        .parse()
        .map_err(|_| ApiError::bad_parameter("endTs is not a number of milliseconds"))?;
    let lookback_ms = pairs.parse(&["lookback"])?.unwrap_or(end_ms);
    let range = range_of(end_ms, lookback_ms);
    let calls = app.search("zipkin_dependencies", move |store| store.dependencies(range)).await?;
    let links = calls.into_iter().map(|call| {
        let mut link = json!({ "parent": call.parent, "child": call.child, "callCount": call.calls });
        if call.errors > 0 {
            link["errorCount"] = call.errors.into();
        }
        link
    });
    Ok(Json(links.collect::<Vec<_>>()).into_response())
}

async fn keys(State(app): State<Arc<App>>) -> Answer {
    let query = KeyQuery { prefix: String::new(), level: Some(model::Level::Span), limit: NAMES_MAX };
    let keys = app.ask("zipkin_keys", move |store| store.attribute_keys(&query)).await?;
    Ok(Json(keys.into_iter().map(|key| key.key).collect::<BTreeSet<_>>()).into_response())
}

async fn values(State(app): State<Arc<App>>, pairs: Pairs) -> Answer {
    let field = Field::attribute(Some(model::Level::Span), &required(&pairs, "key")?);
    let query = ValueQuery { field, prefix: String::new(), limit: NAMES_MAX };
    let values = app.search("zipkin_values", move |store| store.attribute_values(&query)).await?;
    Ok(Json(values.into_iter().map(|value| value.value).collect::<BTreeSet<_>>()).into_response())
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let up = app.stage.name() == "ready";
    let status = if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if up { "UP" } else { "DOWN" };
    (status, Json(json!({ "status": word, "zipkin": { "status": word } }))).into_response()
}

async fn info() -> Response {
    Json(json!({ "zipkin": { "version": env!("CARGO_PKG_VERSION"), "server": "longspan" } })).into_response()
}

/// What Zipkin's page asks for before it shows anything.
async fn config() -> Response {
    let config = json!({
        "environment": "",
        "queryLimit": LIMIT_DEFAULT,
        "defaultLookback": PAGE_LOOKBACK_MS,
        "searchEnabled": true,
        "logsUrl": null,
        "supportUrl": null,
        "archivePostUrl": null,
        "archiveUrl": null,
        "dependency": { "enabled": true, "lowErrorRate": 0.5, "highErrorRate": 0.75 },
    });
    Json(config).into_response()
}

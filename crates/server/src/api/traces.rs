//! `/api/traces`: searching, one trace, and its links.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use flow::outline::{Outline, outline};
use model::{SpanBatch, SpanId, TraceId};
use query::{Field, Filter, Search, SpanStore, TimeRange, TraceHit};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::params::{DurationParam, IdParam, InstantParam, LimitParam, List, NoParams, Strict, warnings};
use super::shapes::{TraceAnswer, TraceShape, text};
use super::stream;
use super::stretches;
use super::values::{Attribute, attributes_schema};
use crate::app::App;

/// Matched spans shown of a found trace.
const MATCHED_SPANS_SHOWN: usize = 3;

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchParams {
    /// A query in the query language; all other filters are ANDed to it.
    q: Option<String>,
    /// The service, exactly.
    service: Option<String>,
    /// The span's name, exactly.
    name: Option<String>,
    /// `internal`, `server`, `client`, `producer`, `consumer` or `unspecified`.
    kind: Option<String>,
    /// `unset`, `ok` or `error`.
    status: Option<String>,
    /// The span took at least so long.
    #[param(value_type = Option<String>, example = "10ms")]
    min_duration: Option<DurationParam>,
    /// The span took at most so long.
    #[param(value_type = Option<String>, example = "1.5s")]
    max_duration: Option<DurationParam>,
    /// The span starts then or later; Unix nanoseconds or RFC 3339.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// The span starts earlier than this.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// At most so many traces.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: LimitParam<20, 10_000>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Exact conditions on a span, as parameters of their own.
pub(super) struct Exact {
    pub(super) service: Option<String>,
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) status: Option<String>,
}

/// A query and the conditions beside it in one filter.
pub(super) fn conditions(
    q: Option<&str>,
    exact: Exact,
    min_duration: Option<DurationParam>,
    max_duration: Option<DurationParam>,
) -> Result<Filter, ApiError> {
    let mut filters = vec![query::parse(q.unwrap_or_default())?];
    let Exact { service, name, kind, status } = exact;
    let exact = [(Field::Service, service), (Field::Name, name), (Field::Kind, kind), (Field::Status, status)];
    for (field, wanted) in exact {
        // An empty parameter is a form field nobody filled in.
        if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
            filters.push(Filter::equals(field, &wanted)?);
        }
    }
    filters.extend(min_duration.map(|least| Filter::min_duration(least.0)));
    filters.extend(max_duration.map(|most| Filter::max_duration(most.0)));
    Ok(Filter::and(filters))
}

/// From `start` up to, not including, `end`.
pub(super) fn time_range(start: Option<InstantParam>, end: Option<InstantParam>) -> TimeRange {
    TimeRange { start_unix_nano: start.map_or(0, |start| start.0), end_unix_nano: end.map(|end| end.0) }
}

impl SearchParams {
    fn into_search(self) -> Result<Search, ApiError> {
        let exact = Exact { service: self.service, name: self.name, kind: self.kind, status: self.status };
        Ok(Search {
            filter: conditions(self.q.as_deref(), exact, self.min_duration, self.max_duration)?,
            range: time_range(self.start, self.end),
            limit: self.limit.0,
            cursor: self.cursor.filter(|cursor| !cursor.is_empty()).map(|cursor| cursor.parse()).transpose()?,
        })
    }
}

/// The root of a trace.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootSummary {
    span_id: String,
    service: String,
    name: String,
    kind: String,
}

/// A service's share of a trace.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceShare {
    name: String,
    spans: usize,
    errors: usize,
}

/// A span that matched.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatchedSpan {
    span_id: String,
    service: String,
    name: String,
    start_unix_nano: String,
    duration_ns: u64,
    status: String,
}

/// What of a trace matched.
#[derive(Debug, Serialize, ToSchema)]
pub struct Matched {
    /// Spans that matched.
    count: usize,
    /// When the newest of them starts: what the list is ordered by.
    newest_start_unix_nano: String,
    /// The first of them.
    spans: Vec<MatchedSpan>,
}

/// A found trace.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceSummary {
    trace_id: String,
    /// Null if no span without a parent was received.
    root: Option<RootSummary>,
    start_unix_nano: String,
    duration_ns: u64,
    /// How long the caller waited.
    answer_ns: u64,
    /// From the root's start to the end of the last span.
    last_effect_ns: u64,
    /// When at least one span was open that does more than ask for messages: from and to, after the root's start. In between, work waited.
    worked_ns: Vec<(u64, u64)>,
    /// When spans failed, after the root's start; the first few.
    failed_ns: Vec<u64>,
    span_count: usize,
    error_count: usize,
    service_count: usize,
    services: Vec<ServiceShare>,
    matched: Matched,
}

impl TraceSummary {
    fn of(hit: &TraceHit) -> Option<TraceSummary> {
        let spans = &hit.trace.spans;
        let outline = outline(spans)?;
        let share = |service: &flow::outline::ServiceOutline<'_>| ServiceShare {
            name: service.name.to_owned(),
            spans: service.spans,
            errors: service.errors,
        };
        let newest = hit.matched.iter().map(|&row| spans.rows[row].start_unix_nano).max().unwrap_or_default();
        let origin = outline.root.map_or(outline.start_unix_nano, |root| spans.rows[root].start_unix_nano);
        let shown = hit.matched.iter().take(MATCHED_SPANS_SHOWN).map(|&row| matched(spans, row));
        Some(TraceSummary {
            trace_id: hit.trace.id.to_string(),
            root: root(spans, &outline),
            start_unix_nano: outline.start_unix_nano.to_string(),
            duration_ns: outline.duration_ns,
            answer_ns: outline.answer_ns,
            last_effect_ns: outline.last_effect_ns,
            worked_ns: stretches::stretches(spans, origin),
            failed_ns: stretches::failures(spans, origin),
            span_count: outline.span_count,
            error_count: outline.error_count,
            service_count: outline.services.len(),
            services: outline.services.iter().map(share).collect(),
            matched: Matched {
                count: hit.matched.len(),
                newest_start_unix_nano: newest.to_string(),
                spans: shown.collect(),
            },
        })
    }
}

fn root(spans: &SpanBatch, outline: &Outline<'_>) -> Option<RootSummary> {
    let span = spans.span(outline.root?);
    Some(RootSummary {
        span_id: span.span_id().to_string(),
        service: span.service_name().to_owned(),
        name: span.name().to_owned(),
        kind: span.kind().to_string(),
    })
}

fn matched(spans: &SpanBatch, row: usize) -> MatchedSpan {
    let span = spans.span(row);
    MatchedSpan {
        span_id: span.span_id().to_string(),
        service: span.service_name().to_owned(),
        name: span.name().to_owned(),
        start_unix_nano: span.start_unix_nano().to_string(),
        duration_ns: span.duration_ns(),
        status: span.status().to_string(),
    }
}

/// Traces of which a span matches, newest first.
#[utoipa::path(get, path = "/api/traces", tag = "traces", params(SearchParams),
    responses((status = 200, body = List<TraceSummary>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn search(
    State(app): State<Arc<App>>,
    Strict(params): Strict<SearchParams>,
) -> Result<Json<List<TraceSummary>>, ApiError> {
    let search = params.into_search()?;
    let list = app.search("search", move |store| {
        let page = store.search(&search)?;
        let items = page.hits.iter().filter_map(TraceSummary::of).collect();
        let next_cursor = page.next.map(|cursor| cursor.to_string());
        Ok(List { items, next_cursor, warnings: warnings(page.is_partial) })
    });
    Ok(Json(list.await?))
}

pub(super) fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_parameter(format!("{text:?} is not a trace id: {error}")))
}

/// A trace with all its spans, at most 100,000, earliest first.
#[utoipa::path(get, path = "/api/traces/{trace_id}", tag = "traces",
    params(("trace_id" = String, Path, description = "The trace's id in hex; leading zeros may be left out")),
    responses((status = 200, body = TraceShape<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub async fn trace(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Response, ApiError> {
    let trace_id = trace_id(&id)?;
    let trace = app.ask("trace", move |store| store.trace(trace_id)).await?;
    let trace = trace.ok_or_else(|| ApiError::not_found(format!("no span of trace {trace_id} is stored")))?;
    Ok(stream::json(TraceAnswer { trace_id, spans: trace.spans, warnings: warnings(trace.is_partial) }).await)
}

/// Which links to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LinksParams {
    /// Only links from and to this span.
    #[param(value_type = Option<String>)]
    span_id: Option<IdParam<SpanId>>,
}

/// One end of a link.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkEnd {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    trace_id: TraceId,
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    span_id: SpanId,
    service: Option<String>,
    name: Option<String>,
    /// Whether such a span has arrived.
    received: bool,
}

/// A link: `from` is the cause, `to` the span that carries the link.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceLink {
    from: LinkEnd,
    to: LinkEnd,
    /// Why we believe it: `link`.
    evidence: &'static str,
    #[schema(schema_with = attributes_schema)]
    attributes: serde_json::Value,
}

/// A trace's links to other spans, and other spans' links to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceLinksAnswer {
    /// Links that spans of this trace carry.
    outgoing: Vec<TraceLink>,
    /// Links of other spans, of any trace and age, that point at spans of this trace.
    incoming: Vec<TraceLink>,
    /// Whether there are links to more traces than were looked at.
    truncated: bool,
}

/// A trace's links in both directions.
#[utoipa::path(get, path = "/api/traces/{trace_id}/links", tag = "traces", params(
        ("trace_id" = String, Path, description = "The trace's id in hex; leading zeros may be left out"), LinksParams),
    responses((status = 200, body = TraceLinksAnswer), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn links(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Strict(params): Strict<LinksParams>,
) -> Result<Json<TraceLinksAnswer>, ApiError> {
    let trace_id = trace_id(&id)?;
    let only = params.span_id.map(|id| id.0);
    let links = app.search("links", move |store| store.links(trace_id)).await?;
    let outgoing = links.outgoing.iter().filter(|link| only.is_none_or(|only| link.to.span_id == only));
    let incoming = links.incoming.iter().filter(|link| only.is_none_or(|only| link.from.span_id == only));
    let shape = |link: &query::TraceLink| TraceLink {
        from: LinkEnd::of(&link.from),
        to: LinkEnd::of(&link.to),
        evidence: "link",
        attributes: serde_json::json!(links.attributes(link).map(Attribute).collect::<Vec<_>>()),
    };
    Ok(Json(TraceLinksAnswer {
        outgoing: outgoing.map(shape).collect(),
        incoming: incoming.map(shape).collect(),
        truncated: links.truncated,
    }))
}

impl LinkEnd {
    fn of(end: &query::LinkEnd) -> LinkEnd {
        let known = end.span.as_ref();
        LinkEnd {
            trace_id: end.trace_id,
            span_id: end.span_id,
            service: known.map(|span| span.service.clone()),
            name: known.map(|span| span.name.clone()),
            received: known.is_some(),
        }
    }
}

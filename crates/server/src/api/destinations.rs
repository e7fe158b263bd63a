//! `/api/destinations`, `/api/map`, `/api/expectations`: what goes on at queues and topics, between whom, and what is expected.
//!
//! Answers come from flow's engine, which holds figures by the minute and the hour: days are answered without looking at spans.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow::destination::DestinationKey;
use flow::engine::Engine;
use flow::engine::calls::PeerKind;
use flow::engine::promise::{FollowsReport, PromiseReport};
use flow::engine::report::{DestinationReport, ExpectationReport, Figures, GroupReport, MapNode, Standings};
use flow::engine::rule::Rule;
use flow::engine::sketch::Sketch;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::params::{DurationParam, InstantParam, List, NoParams, Strict};
use crate::app::App;
use crate::clock::now_unix_nano;

const HOUR_NS: u64 = 3_600_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;
/// Points of a series, when nobody says how long their steps are.
const POINTS: u64 = 240;
const POINTS_MAX: u64 = 10_000;

/// From when to when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RangeParams {
    /// From this instant on; else an hour before `end`. Whole minutes count; long ago, whole hours.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// Up to this instant; else now.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
}

/// An hour up to now, unless something else is wanted.
pub(super) fn range(start: Option<InstantParam>, end: Option<InstantParam>) -> Result<(u64, u64), ApiError> {
    let end = end.map_or_else(now_unix_nano, |end| end.0);
    let start = start.map_or(end.saturating_sub(HOUR_NS), |start| start.0);
    if start > end {
        return Err(ApiError::bad_parameter("start is after end"));
    }
    Ok((start, end))
}

/// How long something took.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Quantiles)]
pub struct QuantilesShape {
    /// How many were measured.
    count: u64,
    p50_ns: Option<u64>,
    p95_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: Option<u64>,
}

impl QuantilesShape {
    pub(super) fn of(sketch: &Sketch) -> QuantilesShape {
        let at = |share| sketch.quantile_ns(share);
        QuantilesShape { count: sketch.count(), p50_ns: at(0.5), p95_ns: at(0.95), p99_ns: at(0.99), max_ns: at(1.0) }
    }
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationFigures)]
pub struct FiguresShape {
    /// Messages sent.
    sent: u64,
    /// Messages taken by spans that only take.
    received: u64,
    /// Messages worked on, every attempt counts.
    processed: u64,
    /// Attempts that failed.
    failed: u64,
    /// Messages given up on.
    dead_lettered: u64,
    /// Messages that became late.
    late: u64,
    /// Messages that are lost.
    lost: u64,
    /// Messages that were received before they were sent: clocks disagree.
    clock_skewed: u64,
    /// How long messages waited, right to within 2 %.
    queue_wait: QuantilesShape,
}

impl FiguresShape {
    fn of(figures: &Figures) -> FiguresShape {
        FiguresShape {
            sent: figures.sent,
            received: figures.received,
            processed: figures.processed,
            failed: figures.failed,
            dead_lettered: figures.dead_lettered,
            late: figures.late,
            lost: figures.lost,
            clock_skewed: figures.skewed,
            queue_wait: QuantilesShape::of(&figures.waits),
        }
    }
}

/// How things stand now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationStandings)]
pub struct StandingsShape {
    /// Messages that are expected to be received, and not overdue.
    pending: u64,
    /// Messages that are overdue.
    late: u64,
    /// Messages that will not come.
    lost: u64,
    /// When the oldest that is pending or late was sent.
    oldest_unix_nano: Option<String>,
}

impl StandingsShape {
    fn of(standings: &Standings) -> StandingsShape {
        let Standings { pending, late, lost, oldest_unix_nano } = *standings;
        StandingsShape { pending, late, lost, oldest_unix_nano: oldest_unix_nano.map(|at| at.to_string()) }
    }
}

/// A consumer group of a destination; a service where there are no groups.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationGroup)]
pub struct GroupShape {
    name: String,
    figures: FiguresShape,
    /// What it misses.
    now: StandingsShape,
}

impl GroupShape {
    fn of(group: GroupReport) -> GroupShape {
        let (figures, now) = (FiguresShape::of(&group.figures), StandingsShape::of(&group.standings));
        GroupShape { name: group.name, figures, now }
    }
}

/// A destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destination)]
pub struct DestinationItem {
    /// `system:name`; the last part of its path.
    key: String,
    system: String,
    name: String,
    /// `unknown`, `queue`, `topic`, `exchange` or `subscription`.
    kind: String,
    figures: FiguresShape,
    now: StandingsShape,
    groups: Vec<GroupShape>,
}

impl DestinationItem {
    fn of(report: DestinationReport) -> DestinationItem {
        DestinationItem {
            key: report.key.to_string(),
            kind: format!("{:?}", report.kind).to_lowercase(),
            figures: FiguresShape::of(&report.figures),
            now: StandingsShape::of(&report.standings),
            groups: report.groups.into_iter().map(GroupShape::of).collect(),
            system: report.key.system,
            name: report.key.name,
        }
    }
}

/// The destinations where something happened, or where messages are under way.
#[utoipa::path(get, path = "/api/destinations", tag = "destinations", params(RangeParams),
    responses((status = 200, body = List<DestinationItem>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn destinations(
    State(app): State<Arc<App>>,
    Strict(params): Strict<RangeParams>,
) -> Result<Json<List<DestinationItem>>, ApiError> {
    let (start, end) = range(params.start, params.end)?;
    let reports = app.look_out("destinations", move |engine| engine.destinations(start, end)).await?;
    Ok(Json(List::whole(reports.into_iter().map(DestinationItem::of).collect())))
}

/// From when to when, and in which steps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SeriesParams {
    /// From this instant on; else an hour before `end`.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// Up to this instant; else now.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// The length of a step, whole minutes; else what makes about 240 steps. What is older than six hours has steps of an hour at least.
    #[param(value_type = Option<String>)]
    step: Option<DurationParam>,
}

/// What happened in a step of time, for one group and partition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationPoint)]
pub struct PointShape {
    start_unix_nano: String,
    /// Null for what is about the messages themselves: sent, late, lost, dead-lettered.
    group: Option<String>,
    partition: Option<String>,
    figures: FiguresShape,
}

/// A destination over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationSeries {
    /// Null if nothing happened within the time.
    destination: Option<DestinationItem>,
    step_ns: u64,
    /// In the order of time. Steps in which nothing happened are left out.
    series: Vec<PointShape>,
}

/// One destination, by group and partition over time.
#[utoipa::path(get, path = "/api/destinations/{key}", tag = "destinations",
    params(("key" = String, Path, description = "`key` of a destination: `system:name`"), SeriesParams),
    responses((status = 200, body = DestinationSeries), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn destination(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    Strict(params): Strict<SeriesParams>,
) -> Result<Json<DestinationSeries>, ApiError> {
    let (start, end) = range(params.start, params.end)?;
    let key = destination_key(&key)?;
    let usual_ns = ((end - start) / POINTS).next_multiple_of(MINUTE_NS).max(MINUTE_NS);
    let step_ns = params.step.map_or(usual_ns, |step| step.0.max(1).next_multiple_of(MINUTE_NS));
    if (end - start) / step_ns > POINTS_MAX {
        return Err(ApiError::bad_parameter(format!("more than {POINTS_MAX} steps; make them longer")));
    }
    let answer = app.look_out("destination", move |engine| {
        let found = engine.destinations(start, end).into_iter().find(|report| report.key == key);
        (found, engine.series(&key, start, end, step_ns))
    });
    let (found, points) = answer.await?;
    let named = |name: String| (!name.is_empty()).then_some(name);
    let series = points.into_iter().map(|point| PointShape {
        start_unix_nano: point.start_unix_nano.to_string(),
        group: named(point.group),
        partition: named(point.partition),
        figures: FiguresShape::of(&point.figures),
    });
    Ok(Json(DestinationSeries { destination: found.map(DestinationItem::of), step_ns, series: series.collect() }))
}

/// Reads `system:name`.
pub fn destination_key(text: &str) -> Result<DestinationKey, ApiError> {
    let (system, name) = text
        .split_once(':')
        .ok_or_else(|| ApiError::bad_parameter(format!("{text:?} is not a destination; write system:name")))?;
    Ok(DestinationKey { system: system.to_owned(), name: name.to_owned() })
}

/// Somebody in the service map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MapNode)]
pub struct NodeShape {
    /// `service`, `destination`, `database`, `cache` or `host`.
    kind: &'static str,
    /// Of a destination `system:name`.
    name: String,
}

impl NodeShape {
    fn of(node: &MapNode) -> NodeShape {
        match node {
            MapNode::Service(name) => NodeShape { kind: "service", name: name.clone() },
            MapNode::Destination(key) => NodeShape { kind: "destination", name: key.to_string() },
            MapNode::Peer(kind, name) => {
                let kind = match kind {
                    PeerKind::Database => "database",
                    PeerKind::Cache => "cache",
                    PeerKind::Host => "host",
                };
                NodeShape { kind, name: name.clone() }
            }
        }
    }
}

/// What goes on between two.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MapEdge)]
pub struct EdgeShape {
    from: NodeShape,
    to: NodeShape,
    /// Calls, or spans that sent or received.
    count: u64,
    errors: u64,
    /// How long it took; from a destination to a service, how long messages waited.
    duration: QuantilesShape,
}

/// Services, destinations and what they use, and who talks to whom.
#[derive(Debug, Serialize, ToSchema)]
pub struct MapAnswer {
    nodes: Vec<NodeShape>,
    edges: Vec<EdgeShape>,
}

/// The service map.
#[utoipa::path(get, path = "/api/map", tag = "destinations", params(RangeParams),
    responses((status = 200, body = MapAnswer), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn map(
    State(app): State<Arc<App>>,
    Strict(params): Strict<RangeParams>,
) -> Result<Json<MapAnswer>, ApiError> {
    let (start, end) = range(params.start, params.end)?;
    let edges = app.look_out("map", move |engine| engine.map(start, end)).await?;
    let ends: std::collections::BTreeSet<&MapNode> = edges.iter().flat_map(|edge| [&edge.from, &edge.to]).collect();
    let nodes = ends.into_iter().map(NodeShape::of).collect();
    let edge = |edge: &flow::engine::report::MapEdge| EdgeShape {
        from: NodeShape::of(&edge.from),
        to: NodeShape::of(&edge.to),
        count: edge.count,
        errors: edge.errors,
        duration: QuantilesShape::of(&edge.durations),
    };
    Ok(Json(MapAnswer { nodes, edges: edges.iter().map(edge).collect() }))
}

/// What is expected of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Expectation)]
pub struct ExpectationShape {
    /// `system:name`.
    destination: String,
    /// The routing key that it is about.
    route: Option<String>,
    /// Null for anyone at all.
    group: Option<String>,
    /// Somebody declared it; else it was learned.
    declared: bool,
    /// Whether each message is expected to get there.
    expected: bool,
    /// The share of messages that does.
    share: f64,
    /// How many messages that is known from.
    messages: u32,
    /// From hearing of the sending to hearing of the receiving, for 99 of 100.
    p99_ns: u64,
    /// After so long a message is late,
    late_ns: u64,
    /// and after so long lost.
    lost_ns: u64,
}

/// A span after which something was to follow that did not, or not yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrokenPromise {
    trace_id: String,
    span_id: String,
    /// When the span was received.
    received_unix_nano: String,
    /// `late` or `lost`.
    state: &'static str,
}

/// What became of what is to follow on a span, as far back as memory reaches.
#[derive(Debug, Serialize, ToSchema)]
pub struct Following {
    /// `after POST /order, email is sent within 5m`.
    rule: String,
    pending: u64,
    /// It followed, in time or later.
    kept: u64,
    late: u64,
    /// Late four times over.
    lost: u64,
    /// It may have followed while the server was away.
    unknown: u64,
    /// The newest of those that are late or lost, at most twenty.
    overdue: Vec<BrokenPromise>,
}

impl Following {
    fn of(report: FollowsReport) -> Following {
        let broken = |promise: PromiseReport| BrokenPromise {
            trace_id: promise.trace_id.to_string(),
            span_id: promise.span_id.to_string(),
            received_unix_nano: promise.heard_unix_nano.to_string(),
            state: promise.state.name(),
        };
        let FollowsReport { rule, pending, kept, late, lost, unknown, overdue } = report;
        Following { rule, pending, kept, late, lost, unknown, overdue: overdue.into_iter().map(broken).collect() }
    }
}

/// What is declared, and what is expected because of that or of what was seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpectationsAnswer {
    /// Declarations: `payment consumes orders within 30s`.
    rules: Vec<String>,
    /// Declarations in the settings, which nothing replaces.
    configured: Vec<String>,
    /// Of groups.
    items: Vec<ExpectationShape>,
    /// Of flows.
    flows: Vec<Following>,
}

impl ExpectationsAnswer {
    fn of(engine: &Engine) -> ExpectationsAnswer {
        let item = |report: ExpectationReport| ExpectationShape {
            destination: report.destination.to_string(),
            route: (!report.route.is_empty()).then_some(report.route),
            group: report.group,
            declared: report.declared,
            expected: report.expected,
            share: report.share,
            messages: report.messages,
            p99_ns: report.p99_ns,
            late_ns: report.late_ns,
            lost_ns: report.lost_ns,
        };
        let written = |rules: &[Rule]| rules.iter().map(ToString::to_string).collect();
        ExpectationsAnswer {
            rules: written(engine.rules()),
            configured: written(engine.configured_rules()),
            items: engine.expectations().into_iter().map(item).collect(),
            flows: engine.promised().into_iter().map(Following::of).collect(),
        }
    }
}

/// What is expected of consumer groups, learned and declared, and what is to follow in flows.
#[utoipa::path(get, path = "/api/expectations", tag = "destinations",
    responses((status = 200, body = ExpectationsAnswer), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn expectations(
    State(app): State<Arc<App>>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Json<ExpectationsAnswer>, ApiError> {
    Ok(Json(app.look_out("expectations", ExpectationsAnswer::of).await?))
}

/// Declarations.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// All of them; those that were declared before are replaced. `payment consumes orders within 30s`, `after POST /order, email is sent
    /// within 5m`.
    rules: Vec<String>,
}

/// Replaces what is declared.
#[utoipa::path(put, path = "/api/expectations", tag = "destinations", request_body = Declared,
    responses((status = 200, body = ExpectationsAnswer), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn declare(
    State(app): State<Arc<App>>,
    Strict(NoParams {}): Strict<NoParams>,
    body: axum::body::Bytes,
) -> Result<Json<ExpectationsAnswer>, ApiError> {
    let declared: Declared = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_parameter(format!("the body cannot be read: {error}")))?;
    let rules = declared.rules.iter().map(|text| rule(text)).collect::<Result<Vec<Rule>, ApiError>>()?;
    let lookout = app.lookout().ok_or_else(ApiError::not_ready)?;
    let set = tokio::task::spawn_blocking(move || lookout.declare(rules)).await;
    let set = set.unwrap_or_else(|_| Err("the rules could not be set".to_owned()));
    set.map_err(|message| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_written", message, "the server's log says why")
    })?;
    Ok(Json(app.look_out("expectations", ExpectationsAnswer::of).await?))
}

fn rule(text: &str) -> Result<Rule, ApiError> {
    text.parse().map_err(|error: flow::engine::rule::RuleError| {
        let hint = "write it like: payment consumes orders within 30s, or: after POST /order, email is sent within 5m";
        let mut refused =
            ApiError::new(StatusCode::BAD_REQUEST, "bad_query", format!("{text:?}: {}", error.message), hint);
        refused.problem.position = Some(error.position);
        refused
    })
}

//! `/api/search/heatmap` and `/api/search/explain`: how the spans a search means are spread over time and duration, and what those of
//! a part of that map have in common.
//!
//! The filter is that of `/api/traces`. Both look at a bounded number of spans; how many, and of how many, is part of the answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use query::explain::{FieldShares, ValueShare};
use query::spread::{COLUMNS_MAX, HeatCell, Sample};
use query::{ExplainQuery, Explanation, Field, HeatMap, HeatQuery, SpanStore};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::params::{DurationParam, InstantParam, LimitParam, Strict};
use super::traces::{Exact, conditions, time_range};
use crate::app::App;

/// Values of one field that explain.
const VALUES_MAX: usize = 5;

/// What to draw.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HeatParams {
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
    /// The span starts then or later; else at the first that matches.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// The span starts earlier than this; else up to the last that matches.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// Steps of time.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 240)]
    columns: LimitParam<80, COLUMNS_MAX>,
}

/// What to explain: the filter, and the part of the map that was chosen.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainParams {
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
    #[param(value_type = Option<String>)]
    min_duration: Option<DurationParam>,
    /// The span took at most so long.
    #[param(value_type = Option<String>)]
    max_duration: Option<DurationParam>,
    /// The span starts then or later.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// The span starts earlier than this.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// The chosen ones start then or later.
    #[param(value_type = Option<String>)]
    chosen_start: Option<InstantParam>,
    /// The chosen ones start earlier than this.
    #[param(value_type = Option<String>)]
    chosen_end: Option<InstantParam>,
    /// The chosen ones took at least so long.
    #[param(value_type = Option<String>)]
    chosen_min_duration: Option<DurationParam>,
    /// The chosen ones took at most so long.
    #[param(value_type = Option<String>)]
    chosen_max_duration: Option<DurationParam>,
    /// At most so many fields.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 50)]
    limit: LimitParam<10, 50>,
}

/// How much was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sample)]
pub struct SampleShape {
    /// Spans that were looked at.
    looked_at_spans: u64,
    /// Spans that are stored where a match can be.
    stored_spans: u64,
}

impl SampleShape {
    fn of(sample: Sample) -> SampleShape {
        SampleShape { looked_at_spans: sample.looked_at, stored_spans: sample.stored }
    }
}

/// Spans of one step of time and one range of durations.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeatCell)]
pub struct CellShape {
    column: usize,
    /// Its durations are from `edges_ns[row]` up to `edges_ns[row + 1]`.
    row: usize,
    spans: u64,
    errors: u64,
}

/// Spans by when they start and how long they take.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeatMap)]
pub struct HeatShape {
    start_unix_nano: String,
    step_ns: u64,
    columns: usize,
    /// Borders of the rows, one more than there are rows. The first row reaches down to 0, the last one is open.
    edges_ns: Vec<u64>,
    /// Those that are not empty.
    cells: Vec<CellShape>,
    /// Spans in all of them.
    spans: u64,
    /// Whether only a part of what is stored was looked at; then counts are of that part.
    sampled: bool,
    sample: SampleShape,
}

impl HeatShape {
    fn of(map: HeatMap) -> HeatShape {
        let cell =
            |cell: HeatCell| CellShape { column: cell.column, row: cell.row, spans: cell.spans, errors: cell.errors };
        HeatShape {
            start_unix_nano: map.start_unix_nano.to_string(),
            step_ns: map.step_ns,
            columns: map.columns,
            edges_ns: map.edges_ns,
            cells: map.cells.into_iter().map(cell).collect(),
            spans: map.spans,
            sampled: map.sample.is_partial(),
            sample: SampleShape::of(map.sample),
        }
    }
}

/// How often a value occurs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ValueShare)]
pub struct ValueShape {
    value: String,
    /// Of the chosen spans.
    chosen: u64,
    /// Of the others.
    rest: u64,
}

/// A field of which some values are more frequent among the chosen spans.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldShares)]
pub struct FieldShape {
    /// As the query language writes it.
    field: String,
    /// The attribute's key, or the field's name.
    key: String,
    /// The attribute's level; null for a field of the span itself.
    level: Option<&'static str>,
    /// How much more frequent the first value is than chance would make it, 0 to 1.
    score: f64,
    /// The most over-represented first.
    values: Vec<ValueShape>,
}

impl FieldShape {
    fn of(shares: FieldShares) -> FieldShape {
        let (key, level) = match &shares.field {
            Field::Attribute { level, key } => (key.clone(), level.map(model::Level::name)),
            own => (own.to_string(), None),
        };
        let value = |share: ValueShare| ValueShape { value: share.value, chosen: share.chosen, rest: share.rest };
        FieldShape {
            field: shares.field.to_string(),
            key,
            level,
            score: shares.score,
            values: shares.values.into_iter().map(value).collect(),
        }
    }
}

/// What sets the chosen spans apart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplainShape {
    /// Spans that match and were chosen.
    chosen: u64,
    /// Spans that match and were not.
    rest: u64,
    /// The most telling first.
    items: Vec<FieldShape>,
    /// Whether only a part of what is stored was looked at.
    sampled: bool,
    sample: SampleShape,
}

impl ExplainShape {
    fn of(explanation: Explanation) -> ExplainShape {
        ExplainShape {
            chosen: explanation.chosen,
            rest: explanation.rest,
            items: explanation.fields.into_iter().map(FieldShape::of).collect(),
            sampled: explanation.sample.is_partial(),
            sample: SampleShape::of(explanation.sample),
        }
    }
}

/// Matching spans by when they start and how long they take, over a bounded sample.
#[utoipa::path(get, path = "/api/search/heatmap", tag = "traces", params(HeatParams),
    responses((status = 200, body = HeatShape), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn heat_map(
    State(app): State<Arc<App>>,
    Strict(params): Strict<HeatParams>,
) -> Result<Json<HeatShape>, ApiError> {
    let exact = Exact { service: params.service, name: params.name, kind: params.kind, status: params.status };
    let query = HeatQuery {
        filter: conditions(params.q.as_deref(), exact, params.min_duration, params.max_duration)?,
        range: time_range(params.start, params.end),
        columns: params.columns.0,
    };
    let map = app.search("heatmap", move |store| store.heat_map(&query)).await?;
    Ok(Json(HeatShape::of(map)))
}

/// The values that set the chosen part of a heat map apart from the rest of it, over a bounded sample.
#[utoipa::path(get, path = "/api/search/explain", tag = "traces", params(ExplainParams),
    responses((status = 200, body = ExplainShape), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn explain(
    State(app): State<Arc<App>>,
    Strict(params): Strict<ExplainParams>,
) -> Result<Json<ExplainShape>, ApiError> {
    let exact = Exact { service: params.service, name: params.name, kind: params.kind, status: params.status };
    let least = params.chosen_min_duration.map_or(0, |least| least.0);
    let most = params.chosen_max_duration.map_or(u64::MAX, |most| most.0);
    let query = ExplainQuery {
        filter: conditions(params.q.as_deref(), exact, params.min_duration, params.max_duration)?,
        range: time_range(params.start, params.end),
        chosen: time_range(params.chosen_start, params.chosen_end),
        chosen_durations_ns: least..=most,
        fields_max: params.limit.0,
        values_max: VALUES_MAX,
    };
    let explanation = app.search("explain", move |store| store.explain(&query)).await?;
    Ok(Json(ExplainShape::of(explanation)))
}

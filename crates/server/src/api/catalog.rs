//! What there is to ask for: services, operations, attribute keys and values. For completion.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flow::engine::rollup::MINUTE_NS;
use flow::engine::service::ServiceFigures;
use model::{Level, SpanKind};
use query::{Field, KeyQuery, SpanStore, ValueQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::destinations::{QuantilesShape, range};
use super::error::{ApiError, ErrorBody};
use super::params::{InstantParam, LimitParam, List, Strict};
use crate::app::App;

/// Steps of a service's series, about.
const STEPS: u64 = 30;

/// From when to when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ServicesParams {
    /// Figures from this instant on; else an hour before `end`. Whole minutes count; long ago, whole hours.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// Figures up to this instant; else now.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
}

/// What a service was asked.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ServiceFigures)]
pub struct ServiceFiguresShape {
    /// Spans of kind server or consumer, and spans without a parent; not those that only ask for messages.
    requests: u64,
    /// Those that failed.
    errors: u64,
    /// How long they took, right to within 2 %.
    duration: QuantilesShape,
}

impl ServiceFiguresShape {
    fn of(figures: &ServiceFigures) -> ServiceFiguresShape {
        let duration = QuantilesShape::of(&figures.durations);
        ServiceFiguresShape { requests: figures.requests, errors: figures.errors, duration }
    }
}

/// A step of time in which a service was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceStep {
    start_unix_nano: String,
    requests: u64,
    errors: u64,
    p50_ns: Option<u64>,
    p95_ns: Option<u64>,
}

impl ServiceStep {
    fn of((start_unix_nano, figures): &(u64, ServiceFigures)) -> ServiceStep {
        ServiceStep {
            start_unix_nano: start_unix_nano.to_string(),
            requests: figures.requests,
            errors: figures.errors,
            p50_ns: figures.durations.quantile_ns(0.5),
            p95_ns: figures.durations.quantile_ns(0.95),
        }
    }
}

/// A service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Service {
    name: String,
    /// All spans that are stored of it, whatever their time.
    spans: u64,
    /// What it was asked from `start` to `end`.
    figures: ServiceFiguresShape,
    /// The length of a step.
    step_ns: u64,
    /// The same in some thirty steps, in the order of time. Steps in which it was not asked are left out.
    series: Vec<ServiceStep>,
}

/// The services, by name, with what they were asked.
#[utoipa::path(get, path = "/api/services", tag = "catalog", params(ServicesParams),
    responses((status = 200, body = List<Service>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn services(
    State(app): State<Arc<App>>,
    Strict(params): Strict<ServicesParams>,
) -> Result<Json<List<Service>>, ApiError> {
    let (start, end) = range(params.start, params.end)?;
    let step_ns = ((end - start) / STEPS).next_multiple_of(MINUTE_NS).max(MINUTE_NS);
    let stored = app.ask("services", SpanStore::services).await?;
    let asked = app.look_out("services", move |engine| engine.services(start, end, step_ns)).await?;
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for query::ServiceCount { name, spans } in stored {
        let service =
            Service { name: name.clone(), spans, figures: ServiceFiguresShape::default(), step_ns, series: Vec::new() };
        services.insert(name, service);
    }
    // Spans that retention has dropped may still have figures; such a service is not named.
    for report in asked {
        if let Some(service) = services.get_mut(&report.name) {
            service.figures = ServiceFiguresShape::of(&report.figures);
            service.series = report.series.iter().map(ServiceStep::of).collect();
        }
    }
    Ok(Json(List::whole(services.into_values().collect())))
}

/// Whose operations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationsParams {
    /// The service.
    service: String,
    /// Only operations of this kind.
    kind: Option<String>,
}

/// An operation of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Operation {
    name: String,
    kind: String,
    spans: u64,
}

/// The operations of a service.
#[utoipa::path(get, path = "/api/operations", tag = "catalog", params(OperationsParams),
    responses((status = 200, body = List<Operation>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn operations(
    State(app): State<Arc<App>>,
    Strict(params): Strict<OperationsParams>,
) -> Result<Json<List<Operation>>, ApiError> {
    let kind = params.kind.filter(|kind| !kind.is_empty()).map(|name| kind(&name)).transpose()?;
    let operations = app.ask("operations", move |store| store.operations(&params.service, kind)).await?;
    let item = |operation: query::OperationCount| Operation {
        name: operation.name,
        kind: operation.kind.to_string(),
        spans: operation.spans,
    };
    Ok(Json(List::whole(operations.into_iter().map(item).collect())))
}

fn kind(name: &str) -> Result<SpanKind, ApiError> {
    let names = "a kind is internal, server, client, producer, consumer or unspecified";
    SpanKind::from_name(name).ok_or_else(|| ApiError::bad_parameter(format!("{name:?} is not a kind; {names}")))
}

fn level(name: Option<String>) -> Result<Option<Level>, ApiError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let names = "a level is span, resource, scope, event or link";
    let level = Level::from_name(&name);
    level.map(Some).ok_or_else(|| ApiError::bad_parameter(format!("{name:?} is not a level; {names}")))
}

/// A key alone may also be the name of one of the span's own fields, such as `name`.
fn field(key: &str, level: Option<Level>) -> Field {
    match level {
        Some(level) => Field::attribute(Some(level), key),
        None => Field::from_name(key),
    }
}

/// Which attribute keys.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeysParams {
    /// Keys that begin like this.
    #[serde(default)]
    prefix: String,
    /// `span`, `resource`, `scope`, `event` or `link`.
    level: Option<String>,
    /// At most so many.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: LimitParam<100, 10_000>,
}

/// An attribute key.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttributeKey {
    key: String,
    level: &'static str,
    types: Vec<String>,
    spans: u64,
}

/// Attribute keys, most used first.
#[utoipa::path(get, path = "/api/attributes/keys", tag = "catalog", params(KeysParams),
    responses((status = 200, body = List<AttributeKey>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn attribute_keys(
    State(app): State<Arc<App>>,
    Strict(params): Strict<KeysParams>,
) -> Result<Json<List<AttributeKey>>, ApiError> {
    let level = level(params.level)?;
    let query = KeyQuery { prefix: params.prefix, level, limit: params.limit.0 };
    let keys = app.ask("attribute_keys", move |store| store.attribute_keys(&query)).await?;
    let item = |key: query::KeyCount| AttributeKey {
        key: key.key,
        level: key.level.name(),
        types: key.types,
        spans: key.spans,
    };
    Ok(Json(List::whole(keys.into_iter().map(item).collect())))
}

/// Values of which key.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ValuesParams {
    /// The key.
    key: String,
    /// `span`, `resource`, `scope`, `event` or `link`.
    level: Option<String>,
    /// Values whose text begins like this.
    #[serde(default)]
    prefix: String,
    /// At most so many.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: LimitParam<50, 10_000>,
}

/// A value of an attribute.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttributeValue {
    /// Its comparison text.
    value: String,
    #[serde(rename = "type")]
    type_name: &'static str,
    spans: u64,
}

/// Values of an attribute key, most used first.
#[utoipa::path(get, path = "/api/attributes/values", tag = "catalog", params(ValuesParams),
    responses((status = 200, body = List<AttributeValue>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn attribute_values(
    State(app): State<Arc<App>>,
    Strict(params): Strict<ValuesParams>,
) -> Result<Json<List<AttributeValue>>, ApiError> {
    let level = level(params.level)?;
    let field = field(&params.key, level);
    let query = ValueQuery { field, prefix: params.prefix, limit: params.limit.0 };
    let values = app.search("attribute_values", move |store| store.attribute_values(&query));
    let item = |value: query::ValueCount| AttributeValue {
        value: value.value,
        type_name: value.type_name,
        spans: value.spans,
    };
    Ok(Json(List::whole(values.await?.into_iter().map(item).collect())))
}

//! What there is to ask for: services, operations, attribute keys and values. For completion.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::{Level, SpanKind};
use query::{Field, KeyQuery, SpanStore, ValueQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::params::{LimitParam, List, NoParams, Strict};
use crate::app::App;

/// A service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Service {
    name: String,
    spans: u64,
}

/// The services, by name.
#[utoipa::path(get, path = "/api/services", tag = "catalog",
    responses((status = 200, body = List<Service>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn services(
    State(app): State<Arc<App>>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Json<List<Service>>, ApiError> {
    let services = app.ask("services", SpanStore::services).await?;
    let item = |service: query::ServiceCount| Service { name: service.name, spans: service.spans };
    Ok(Json(List::whole(services.into_iter().map(item).collect())))
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

//! What both of Jaeger's APIs understand as a search: a service, an operation, tags, durations, a range of time.

use std::collections::BTreeMap;

use model::{Level, SpanKind, StatusCode};
use query::contract::SEARCH_LIMIT_MAX;
use query::{Field, Filter, FilterError, Search, TimeRange};

use super::service_filter;
use crate::api::error::ApiError;
use crate::api::pairs::Pairs;
use crate::api::params::{DurationParam, InstantParam};

/// Traces when nobody says how many; Jaeger's own number.
const LIMIT_DEFAULT: usize = 100;

/// What to search for, before it becomes a filter.
#[derive(Debug, Default)]
struct Wanted<'a> {
    service: Option<&'a str>,
    operation: Option<&'a str>,
    tags: Vec<(String, String)>,
    min_duration: Option<DurationParam>,
    max_duration: Option<DurationParam>,
    range: TimeRange,
    limit: Option<usize>,
}

/// Reads the parameters of `/api/traces`.
pub fn legacy(pairs: &Pairs) -> Result<Search, ApiError> {
    let micros = |name: &str| -> Result<Option<u64>, ApiError> {
        let micros: Option<u64> = pairs.parse(&[name])?;
        Ok(micros.map(|micros| micros.saturating_mul(1000)))
    };
    let service = pairs.get(&["service"]);
    let service = service.ok_or_else(|| ApiError::bad_parameter("parameter 'service' is required"))?;
    let mut tags = Vec::new();
    for tag in pairs.all("tag") {
        let malformed =
            || ApiError::bad_parameter(format!("malformed 'tag' parameter, expecting key:value, received: {tag}"));
        let (key, value) = tag.split_once(':').ok_or_else(malformed)?;
        tags.push((key.to_owned(), value.to_owned()));
    }
    for map in pairs.all("tags").filter(|map| !map.is_empty()) {
        tags.extend(tag_map("tags", map)?);
    }
    let wanted = Wanted {
        service: Some(service),
        operation: pairs.get(&["operation"]),
        tags,
        min_duration: pairs.parse(&["minDuration"])?,
        max_duration: pairs.parse(&["maxDuration"])?,
        range: range(micros("start")?, micros("end")?),
        limit: pairs.parse(&["limit"])?,
    };
    wanted.into_search()
}

/// Reads the parameters of `/api/v3/traces`, in both their spellings.
pub fn v3(pairs: &Pairs) -> Result<Search, ApiError> {
    if pairs.get(&["query.filter"]).is_some() {
        return Err(ApiError::bad_parameter("query.filter is not supported; use query.attributes"));
    }
    let instant = |names: &[&str]| -> Result<Option<u64>, ApiError> {
        let instant: Option<InstantParam> = pairs.parse(names)?;
        Ok(instant.map(|instant| instant.0))
    };
    let start = instant(&["query.startTimeMin", "query.start_time_min"])?;
    let end = instant(&["query.startTimeMax", "query.start_time_max"])?;
    let map = pairs.get(&["query.attributes"]);
    let wanted = Wanted {
        service: pairs.get(&["query.serviceName", "query.service_name"]),
        operation: pairs.get(&["query.operationName", "query.operation_name"]),
        tags: map.map(|map| tag_map("query.attributes", map)).transpose()?.unwrap_or_default(),
        min_duration: pairs.parse(&["query.durationMin", "query.duration_min"])?,
        max_duration: pairs.parse(&["query.durationMax", "query.duration_max"])?,
        range: range(start, end),
        limit: pairs.parse(&[
            "query.searchDepth",
            "query.search_depth",
            "query.num_traces",
            "query.pagination.pageSize",
        ])?,
    };
    wanted.into_search()
}

/// The end belongs to the range in Jaeger, in whose microseconds it is the last one.
fn range(start: Option<u64>, end: Option<u64>) -> TimeRange {
    TimeRange { start_unix_nano: start.unwrap_or(0), end_unix_nano: end.map(|end| end.saturating_add(1000)) }
}

/// `{"key": "value"}`; values that are no strings count as their text, as people write them by hand.
fn tag_map(name: &str, text: &str) -> Result<Vec<(String, String)>, ApiError> {
    let map: BTreeMap<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| ApiError::bad_parameter(format!("malformed parameter {name}: {error}")))?;
    let plain = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(map.into_iter().map(|(key, value)| (key, plain(value))).collect())
}

impl Wanted<'_> {
    fn into_search(self) -> Result<Search, ApiError> {
        let mut filters = Vec::new();
        filters.extend(self.service.map(service_filter).transpose()?);
        filters.extend(self.operation.map(|name| Filter::equals(Field::Name, name)).transpose()?);
        for (key, value) in &self.tags {
            filters.push(tag(key, value)?);
        }
        filters.extend(self.min_duration.map(|least| Filter::min_duration(least.0)));
        filters.extend(self.max_duration.map(|most| Filter::max_duration(most.0)));
        let limit = self.limit.filter(|&limit| limit > 0).unwrap_or(LIMIT_DEFAULT).min(SEARCH_LIMIT_MAX);
        Ok(Search { filter: Filter::and(filters), range: self.range, limit, cursor: None })
    }
}

/// A tag of Jaeger's: an attribute at any level, or one of the tags that a span's own fields are shown as.
fn tag(key: &str, value: &str) -> Result<Filter, FilterError> {
    let attribute = Filter::equals(Field::attribute(None, key), value)?;
    let own = match key {
        "error" => return error_tag(value, attribute),
        "span.kind" if SpanKind::from_name(&value.to_ascii_lowercase()).is_some() => (Field::Kind, value),
        "otel.status_code" if StatusCode::from_name(&value.to_ascii_lowercase()).is_some() => (Field::Status, value),
        "otel.status_description" => (Field::StatusMessage, value),
        "otel.scope.name" | "otel.library.name" => (Field::ScopeName, value),
        "event" => (Field::EventName, value),
        _ => return Ok(attribute),
    };
    Ok(Filter::or([attribute, Filter::equals(own.0, own.1)?]))
}

/// `error=true` is a status as well as an attribute; `error=false` is everything else.
fn error_tag(value: &str, attribute: Filter) -> Result<Filter, FilterError> {
    let failed = Filter::equals(Field::Status, "error")?;
    match value {
        "true" => Ok(Filter::or([attribute, failed])),
        "false" => {
            let said = Filter::equals(Field::attribute(Some(Level::Span), "error"), "true")?;
            Ok(Filter::negate(Filter::or([failed, said])))
        }
        _ => Ok(attribute),
    }
}

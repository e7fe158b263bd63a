//! `/api/logs`: log records by trace, span, service, severity, text, attribute and time; how many over time; those of a flow.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use model::log::{
    NOTE_IDS_FROM_FIELD, NOTE_IDS_FROM_TEXT, NOTE_TIME_ASSUMED, SEVERITIES, severity_name, severity_number,
};
use model::{AttributeRef, LogBatch, LogRef, SpanId, TraceId};
use query::logs::{LOGS_LIMIT_MAX, LogCursor, LogEvidence, LogHistogram, LogPage, LogSearch};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use store::LogSelection;
use store::logs::words::Needle;
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ErrorBody};
use super::params::{IdParam, InstantParam, LimitParam, Strict, text_parameter, warnings};
use super::traces::trace_id;
use super::values::{Attribute, attributes_schema};
use super::{flows, stream};
use crate::app::App;

/// A severity: its name, or OTLP's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeverityParam(i32);
text_parameter!(SeverityParam);

impl std::str::FromStr for SeverityParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = SEVERITIES.map(|(name, _)| name).join(", ");
        let known = severity_number(text).map(SeverityParam);
        known.ok_or_else(|| format!("{text:?} is not a severity; write one of {names}, or a number from 0 to 24"))
    }
}

/// Where a page ended.
#[derive(Debug, Clone, Copy)]
pub struct CursorParam(LogCursor);
text_parameter!(CursorParam);

impl std::str::FromStr for CursorParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(CursorParam)
    }
}

/// What `q` asks for: words and quoted texts that bodies contain, and `key=value` pairs that records have.
#[derive(Debug, Clone, Default)]
pub struct TextParam {
    needles: Vec<Needle>,
    attributes: Vec<(String, String)>,
}
text_parameter!(TextParam);

/// Words and pairs of one question.
const TERMS_MAX: usize = 32;

impl std::str::FromStr for TextParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut out = TextParam::default();
        for term in terms(text)? {
            if let Some((key, value)) = pair_of(&term) {
                out.attributes.push((key.to_owned(), value.to_owned()));
            } else {
                let needle = Needle::new(&term.text).ok_or_else(|| format!("there is no word in {:?}", term.text))?;
                out.needles.push(needle);
            }
        }
        if out.needles.len() + out.attributes.len() > TERMS_MAX {
            return Err(format!("more than {TERMS_MAX} words and pairs"));
        }
        Ok(out)
    }
}

/// A word, or what stood between quotes.
struct Term {
    text: String,
    /// Where in it a quoted text began.
    quoted_from: Option<usize>,
}

/// The parts of a text between spaces; those between double quotes keep theirs.
fn terms(text: &str) -> Result<Vec<Term>, String> {
    let (mut terms, mut current, mut quoted) = (Vec::new(), String::new(), false);
    let mut quoted_from = None;
    for c in text.chars() {
        match c {
            '"' => {
                quoted_from = quoted_from.or(Some(current.len()));
                quoted = !quoted;
            }
            c if c.is_whitespace() && !quoted => {
                if !current.is_empty() {
                    terms.push(Term { text: std::mem::take(&mut current), quoted_from });
                }
                quoted_from = None;
            }
            c => current.push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    if !current.is_empty() {
        terms.push(Term { text: current, quoted_from });
    }
    Ok(terms)
}

/// The key and value of `key=value`; the value may be quoted, the key not.
fn pair_of(term: &Term) -> Option<(&str, &str)> {
    let (key, value) = term.text.split_once('=')?;
    let is_key = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '@' | ':');
    let quoted_key = term.quoted_from.is_some_and(|from| from <= key.len());
    (!key.is_empty() && !quoted_key && key.chars().all(is_key)).then_some((key, value))
}

/// Which log records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsParams {
    /// Of this trace.
    #[param(value_type = Option<String>)]
    trace_id: Option<IdParam<TraceId>>,
    /// Of this span.
    #[param(value_type = Option<String>)]
    span_id: Option<IdParam<SpanId>>,
    /// Of this service.
    service: Option<String>,
    /// At least this severe: `trace`, `debug`, `info`, `warn`, `error`, `fatal`, or a number from 0 to 24.
    #[param(value_type = Option<String>)]
    severity: Option<SeverityParam>,
    /// Words that the body contains, whatever the case; texts between double quotes as they stand; and `key=value` for attributes of the
    /// record, its scope or its resource. All of them must hold.
    #[param(value_type = Option<String>)]
    q: Option<TextParam>,
    /// That happened at this instant or later.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// That happened before this instant.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// At most so many.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    limit: LimitParam<100, LOGS_LIMIT_MAX>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<CursorParam>,
}

impl LogsParams {
    fn search(self) -> LogSearch {
        let text = self.q.unwrap_or_default();
        // A range that ends at the beginning of time holds nothing.
        let (first, last) = match self.end {
            Some(InstantParam(0)) => (1, 0),
            end => (self.start.map_or(0, |start| start.0), end.map_or(u64::MAX, |end| end.0 - 1)),
        };
        let selection = LogSelection {
            times: first..=last,
            severity_min: self.severity.map_or(i32::MIN, |severity| severity.0),
            service: self.service,
            trace_id: self.trace_id.map(|id| id.0),
            span_id: self.span_id.map(|id| id.0),
            needles: text.needles,
            attributes: text.attributes,
        };
        LogSearch { selection, limit: self.limit.0, before: self.cursor.map(|cursor| cursor.0) }
    }
}

/// A log record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogRecord)]
pub struct LogShape<'a> {
    /// Tells it from every other record; ids of newer records are greater.
    id: String,
    time_unix_nano: String,
    observed_unix_nano: String,
    /// The severity that its number falls into: `unset`, `trace`, `debug`, `info`, `warn`, `error` or `fatal`.
    severity: &'static str,
    severity_number: i32,
    /// The severity as its sender calls it.
    severity_text: &'a str,
    service: &'a str,
    /// Null if it is not known.
    trace_id: Option<String>,
    /// Null if it is not known.
    span_id: Option<String>,
    /// How the trace is known: `record`, `field` or `text`; null if it is not.
    trace_id_from: Option<&'static str>,
    /// The sender gave no time: it is that of observation or receipt.
    time_assumed: bool,
    /// The name of the event that it is, empty if it is none.
    event_name: &'a str,
    /// What it says, as a text.
    body: String,
    /// `string`, `bool`, `int`, `double`, `bytes`, `array`, `map` or `empty`.
    body_type: &'static str,
    #[schema(schema_with = attributes_schema)]
    attributes: Vec<Attribute<'a>>,
    #[schema(schema_with = attributes_schema)]
    resource_attributes: Vec<Attribute<'a>>,
    scope: &'a str,
    /// Of a flow's records: why it belongs there: `trace_id`, `message_id` or `business_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
    /// Of a flow's records without a trace: the message id, or the business key as `key=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_value: Option<String>,
}

impl<'a> LogShape<'a> {
    fn of(log: LogRef<'a>, evidence: Option<&LogEvidence>) -> LogShape<'a> {
        let span = log.span();
        let resource = log.batch.rows.attributes_of_resource(span.resource());
        let list = |pairs: &mut dyn Iterator<Item = AttributeRef<'a>>| pairs.map(Attribute).collect();
        let from = match log.notes() {
            notes if notes & NOTE_IDS_FROM_FIELD != 0 => "field",
            notes if notes & NOTE_IDS_FROM_TEXT != 0 => "text",
            _ => "record",
        };
        LogShape {
            id: LogCursor(log.place()).to_string(),
            time_unix_nano: log.time_unix_nano().to_string(),
            observed_unix_nano: log.observed_unix_nano().to_string(),
            severity: severity_name(log.severity_number()),
            severity_number: log.severity_number(),
            severity_text: log.severity_text(),
            service: log.service_name(),
            trace_id: log.trace_id().map(|id| id.to_string()),
            span_id: log.span_id().map(|id| id.to_string()),
            trace_id_from: log.trace_id().map(|_| from),
            time_assumed: log.notes() & NOTE_TIME_ASSUMED != 0,
            event_name: log.event_name(),
            body: log.body().comparison_text().into_owned(),
            body_type: log.body().type_name(),
            attributes: list(&mut log.attributes()),
            resource_attributes: list(&mut { resource }),
            scope: log.batch.rows.text.str(span.scope().name),
            evidence: evidence.map(LogEvidence::name),
            evidence_value: match evidence {
                Some(LogEvidence::MessageId(id)) => Some(id.clone()),
                Some(LogEvidence::BusinessKey(key, value)) => Some(format!("{key}={value}")),
                _ => None,
            },
        }
    }
}

/// A page of log records.
#[derive(Debug, ToSchema)]
#[schema(as = LogList)]
#[expect(dead_code, reason = "only its schema is used: the answer is written record by record")]
pub struct LogListShape<'a> {
    /// The records, newest first.
    items: Vec<LogShape<'a>>,
    /// To be passed as `cursor` for older ones; null at the end.
    next_cursor: Option<String>,
    /// What to know about this list; left out if there is nothing.
    warnings: Option<Vec<String>>,
}

/// A page on its way out.
#[derive(Debug, Serialize)]
struct LogList {
    items: Records,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

#[derive(Debug)]
struct Records {
    batch: LogBatch,
    evidence: Vec<LogEvidence>,
}

impl Serialize for Records {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.batch.len()))?;
        for log in self.batch.logs() {
            list.serialize_element(&LogShape::of(log, self.evidence.get(log.index)))?;
        }
        list.end()
    }
}

impl LogList {
    fn of(page: LogPage, evidence: Vec<LogEvidence>) -> LogList {
        LogList {
            next_cursor: page.next.map(|next| next.to_string()),
            warnings: warnings(page.is_partial),
            items: Records { batch: page.batch, evidence },
        }
    }
}

/// Log records, newest first.
#[utoipa::path(get, path = "/api/logs", tag = "logs", params(LogsParams),
    responses((status = 200, body = LogListShape<'_>), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn logs(State(app): State<Arc<App>>, Strict(params): Strict<LogsParams>) -> Result<Response, ApiError> {
    let search = params.search();
    let by_id = search.selection.trace_id.is_some();
    let question = move |store: &query::LocalStore| store.logs(&search);
    let page = if by_id { app.ask("logs", question).await? } else { app.search("logs", question).await? };
    Ok(stream::json(LogList::of(page, Vec::new())).await)
}

/// Which log records are counted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistogramParams {
    /// Of this trace.
    #[param(value_type = Option<String>)]
    trace_id: Option<IdParam<TraceId>>,
    /// Of this span.
    #[param(value_type = Option<String>)]
    span_id: Option<IdParam<SpanId>>,
    /// Of this service.
    service: Option<String>,
    /// At least this severe.
    #[param(value_type = Option<String>)]
    severity: Option<SeverityParam>,
    /// As of `/api/logs`.
    #[param(value_type = Option<String>)]
    q: Option<TextParam>,
    /// That happened at this instant or later.
    #[param(value_type = Option<String>)]
    start: Option<InstantParam>,
    /// That happened before this instant.
    #[param(value_type = Option<String>)]
    end: Option<InstantParam>,
    /// How long each stretch is, such as `10s`; made longer where there would be more than 1,000.
    #[param(value_type = Option<String>)]
    step: Option<super::params::DurationParam>,
    /// Without a step: about so many stretches.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    buckets: LimitParam<60, 1_000>,
}

/// How many log records there are over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogHistogramAnswer {
    /// How long each stretch is.
    step_ns: u64,
    /// The stretches, oldest first, without gaps.
    items: Vec<LogBucket>,
}

/// A stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogBucket {
    start_unix_nano: String,
    unset: u64,
    trace: u64,
    debug: u64,
    info: u64,
    warn: u64,
    error: u64,
    fatal: u64,
}

impl LogHistogramAnswer {
    fn of(histogram: &LogHistogram) -> LogHistogramAnswer {
        let bucket = |(number, counts): (u64, &[u64; 7])| {
            let [unset, trace, debug, info, warn, error, fatal] = *counts;
            let start_unix_nano = (histogram.start_unix_nano + number * histogram.step_ns).to_string();
            LogBucket { start_unix_nano, unset, trace, debug, info, warn, error, fatal }
        };
        LogHistogramAnswer { step_ns: histogram.step_ns, items: (0..).zip(&histogram.counts).map(bucket).collect() }
    }
}

/// How many log records there are over time, by severity.
#[utoipa::path(get, path = "/api/logs/histogram", tag = "logs", params(HistogramParams),
    responses((status = 200, body = LogHistogramAnswer), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn histogram(
    State(app): State<Arc<App>>,
    Strict(params): Strict<HistogramParams>,
) -> Result<Response, ApiError> {
    let HistogramParams { trace_id, span_id, service, severity, q, start, end, step, buckets } = params;
    let same = LogsParams { trace_id, span_id, service, severity, q, start, end, ..LogsParams::default() };
    let selection = same.search().selection;
    let step_ns = step.map(|step| step.0.max(1));
    let question = move |store: &query::LocalStore| store.log_histogram(&selection, step_ns, buckets.0);
    let histogram = app.search("log_histogram", question).await?;
    Ok(stream::json(LogHistogramAnswer::of(&histogram)).await)
}

/// Which log records of a flow.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FlowLogsParams {
    /// Open the flow at this span; else at the root of the trace.
    #[param(value_type = Option<String>)]
    span_id: Option<IdParam<SpanId>>,
    /// Of this service.
    service: Option<String>,
    /// At least this severe.
    #[param(value_type = Option<String>)]
    severity: Option<SeverityParam>,
    /// As of `/api/logs`.
    #[param(value_type = Option<String>)]
    q: Option<TextParam>,
    /// At most so many.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    limit: LimitParam<100, LOGS_LIMIT_MAX>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<CursorParam>,
}

/// All log records of a flow, newest first: those of its traces, and those without a trace that say the id of one of its messages or
/// the value of a business key.
#[utoipa::path(get, path = "/api/flows/{trace_id}/logs", tag = "flows", params(
        ("trace_id" = String, Path, description = "The trace's id in hex; leading zeros may be left out"), FlowLogsParams),
    responses((status = 200, body = LogListShape<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub async fn of_flow(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Strict(params): Strict<FlowLogsParams>,
) -> Result<Response, ApiError> {
    let FlowLogsParams { span_id, service, severity, q, limit, cursor } = params;
    let same = LogsParams { service, severity, q, limit, cursor, ..LogsParams::default() };
    let (search, correlate) = (same.search(), app.options.correlate.clone());
    let flow = flows::find(&app, trace_id(&id)?, span_id.map(|id| id.0), |flow| flow).await?;
    let question = move |store: &query::LocalStore| store.flow_logs(&flow, &correlate, &search);
    let found = app.search("flow_logs", question).await?;
    Ok(stream::json(LogList::of(found.page, found.evidence)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<(String, String)>) {
        let read: TextParam = text.parse().unwrap();
        (read.needles.iter().map(|needle| needle.text().to_owned()).collect(), read.attributes)
    }

    #[test]
    fn what_is_asked_for_in_words() {
        // Guarantees how words, quoted texts and pairs are told apart, and that what cannot be read is refused.
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            read("Timeout \"connection refused\""),
            (vec!["timeout".into(), "connection refused".into()], vec![])
        );
        assert_eq!(read("order.id=42 late"), (vec!["late".into()], vec![pair("order.id", "42")]));
        assert_eq!(read("user=\"Ada L\""), (vec![], vec![pair("user", "Ada L")]));
        assert_eq!(read("\"a=b\""), (vec!["a=b".into()], vec![]));
        assert_eq!(read(""), (vec![], vec![]));
        for text in ["\"open", "--", &"a ".repeat(40)] {
            assert!(text.parse::<TextParam>().is_err(), "{text}");
        }
    }
}

//! One JSON object as a log record: which field is the time, the severity, the message, the service; everything else becomes
//! attributes, with nested objects flattened by dots.
//!
//! Loggers agree on little but that there is a time, a level and a message. The names are those of Python's, Java's, Go's and Node's
//! common JSON formatters, of Elastic's common schema and of what log shippers add.

use model::log::severity_number;
use model::{Level, LogRow, Value};
use serde_json::Value as Json;

use super::LogSink;
use super::time::{of_integer, of_number, of_prefix};
use crate::report::Reason;
use crate::sink::AttributeCount;

const TIMES: [&str; 14] = [
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "datetime",
    "@t",
    "timeMillis",
    "asctime",
    "eventTime",
    "date",
    "created",
    "timeUnixNano",
    "t",
    "instant",
];
const SEVERITIES: [&str; 11] = [
    "log.level",
    "level",
    "severity",
    "levelname",
    "lvl",
    "loglevel",
    "log_level",
    "severityText",
    "@l",
    "severity_text",
    "Level",
];
const MESSAGES: [&str; 11] =
    ["message", "msg", "body", "@m", "short_message", "log", "event", "MESSAGE", "text", "@mt", "Message"];
const SERVICES: [&str; 12] = [
    "service.name",
    "service",
    "service_name",
    "serviceName",
    "app.name",
    "appname",
    "app",
    "application",
    "kubernetes.labels.app",
    "kubernetes.container.name",
    "container.name",
    "fields.service",
];
/// Deeper objects become one attribute of their own.
const FLATTENED_DEPTH: usize = 6;

/// Fields of an object, flattened, in the order in which they came as far as the reader keeps it.
#[derive(Debug, Default)]
struct Flat(Vec<(String, Json)>);

impl Flat {
    fn add(&mut self, prefix: &str, object: serde_json::Map<String, Json>, depth: usize) {
        for (key, value) in object {
            let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            match value {
                Json::Object(inner) if depth < FLATTENED_DEPTH && !inner.is_empty() => {
                    self.add(&name, inner, depth + 1);
                }
                value => self.0.push((name, value)),
            }
        }
    }

    /// Takes out the first of some fields that there is, in the order of the names.
    fn take<T>(&mut self, names: &[&str], read: impl Fn(&Json) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| {
            let place = self.0.iter().position(|(key, _)| key == name)?;
            let value = read(&self.0[place].1)?;
            self.0.remove(place);
            Some(value)
        })
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        let text = |name: &&str| self.0.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_str());
        names.iter().find_map(text).map(str::to_owned)
    }
}

impl LogSink<'_> {
    /// Adds a record that is a JSON object.
    pub(super) fn push_object(&mut self, object: serde_json::Map<String, Json>, bytes: usize) {
        self.sink.begin_span();
        if bytes > self.sink.limits.span_bytes_max {
            return self.sink.refuse_large_span(bytes);
        }
        let mut flat = Flat::default();
        flat.add("", object, 0);
        self.of_service(flat.text(&SERVICES).unwrap_or_default().as_bytes());
        let mut row = LogRow { scope: self.sink.current_scope(), ..LogRow::default() };
        row.time_unix_nano = flat.take(&TIMES, time_of).unwrap_or(0);
        if let Some((number, text)) = flat.take(&SEVERITIES, severity_of) {
            row.severity_number = number;
            row.severity_text = self.sink.text(text.as_bytes());
        }
        if let Some(message) = flat.take(&MESSAGES, |value| value.as_str().map(str::to_owned)) {
            row.body = Value::Str(self.sink.text(message.as_bytes()));
        }
        let mut count = AttributeCount::new(Level::Span);
        for (key, value) in flat.0 {
            if let Some(key) = self.sink.key(&mut count, key.as_bytes()) {
                let value = self.value_of(&value);
                self.sink.push(Level::Span, key, value);
            }
        }
        row.dropped_attributes_count = count.dropped;
        self.push(row);
    }

    /// Counts a record that cannot be read.
    pub(super) fn refuse_record(&mut self, problem: &str) {
        self.sink.begin_span();
        self.sink.refuse_span(Reason::LogUnreadable, format_args!("{problem}"));
    }

    /// Stores a JSON value with its type.
    fn value_of(&mut self, value: &Json) -> Value {
        match value {
            Json::Null => Value::Empty,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Value::Int(value),
                None => Value::Double(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Value::Str(self.sink.string(text.as_bytes())),
            Json::Array(_) | Json::Object(_) => {
                self.sink.begin_nested();
                self.nested(value, 1);
                self.sink.end_nested()
            }
        }
    }

    fn nested(&mut self, value: &Json, depth: usize) {
        let sink = &mut self.sink;
        match value {
            Json::Null => sink.nested.empty(),
            Json::Bool(value) => sink.nested.bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => sink.nested.int(value),
                None => sink.nested.double(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => sink.nested_string(text.as_bytes()),
            Json::Array(_) | Json::Object(_) if !sink.nested_may_open(depth) => {}
            Json::Array(items) => {
                sink.nested.begin_array();
                for item in items {
                    if self.sink.nested_has_room() {
                        self.nested(item, depth + 1);
                    }
                }
                self.sink.nested.end_array();
            }
            Json::Object(entries) => {
                sink.nested.begin_map();
                for (key, value) in entries {
                    if self.sink.nested_has_room() {
                        self.sink.nested_key(key.as_bytes());
                        self.nested(value, depth + 1);
                    }
                }
                self.sink.nested.end_map();
            }
        }
    }
}

fn time_of(value: &Json) -> Option<u64> {
    match value {
        Json::Number(number) => number.as_u64().map_or_else(|| of_number(number.as_f64()?), of_integer),
        Json::String(text) => {
            let text = text.trim();
            let whole = of_prefix(text).filter(|(_, rest)| rest.trim().is_empty()).map(|(time, _)| time);
            let number = || text.parse().ok().and_then(of_integer).or_else(|| text.parse().ok().and_then(of_number));
            whole.or_else(number)
        }
        _ => None,
    }
}

fn severity_of(value: &Json) -> Option<(i32, String)> {
    match value {
        Json::String(text) => severity_number(text).map(|number| (number, text.clone())),
        // Bunyan's and pino's numbers.
        Json::Number(number) => {
            let level = number.as_u64()?;
            let known = [(60, 21), (50, 17), (40, 13), (30, 9), (20, 5), (10, 1)];
            let found = known.iter().find(|(lowest, _)| level >= *lowest);
            found.map(|(_, number)| (*number, level.to_string()))
        }
        _ => None,
    }
}

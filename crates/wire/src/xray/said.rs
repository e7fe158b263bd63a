//! [`Said`]: attributes of one owner, as X-Ray's JSON values become them.

use model::{Level, Value};
use serde_json::Value as Json;

use crate::sink::{AttributeCount, Sink};

/// Attributes being said.
pub(super) struct Said<'s, 'l> {
    pub(super) sink: &'s mut Sink<'l>,
    pub(super) count: AttributeCount,
}

impl<'s, 'l> Said<'s, 'l> {
    pub(super) fn new(sink: &'s mut Sink<'l>, level: Level) -> Self {
        Said { sink, count: AttributeCount::new(level) }
    }

    /// Adds a value of any type; `null` is nothing said.
    pub(super) fn value(&mut self, key: &str, value: &Json) {
        if !value.is_null() {
            attribute(self.sink, &mut self.count, key, value);
        }
    }

    /// Adds a text, unless it is empty.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(key) = self.sink.key(&mut self.count, key.as_bytes()) {
            let value = Value::Str(self.sink.string(text.as_bytes()));
            self.sink.push(self.count.level, key, value);
        }
    }

    /// Adds what an object has under `name`, under another key.
    pub(super) fn field(&mut self, key: &str, object: &Json, name: &str) {
        self.value(key, &object[name]);
    }

    /// How many attributes a limit has dropped.
    pub(super) fn dropped(&self) -> u32 {
        self.count.dropped
    }
}

/// Adds a JSON value under a key.
pub(super) fn attribute(sink: &mut Sink<'_>, count: &mut AttributeCount, key: &str, json: &Json) {
    let Some(key) = sink.key(count, key.as_bytes()) else { return };
    let value = match json {
        Json::Null => Value::Empty,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Str(sink.string(text.as_bytes())),
        Json::Array(_) | Json::Object(_) => {
            sink.begin_nested();
            nested(sink, json, 1);
            sink.end_nested()
        }
    };
    sink.push(count.level, key, value);
}

fn nested(sink: &mut Sink<'_>, json: &Json, depth: usize) {
    match json {
        Json::Null => sink.nested.empty(),
        Json::Bool(value) => sink.nested.bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => sink.nested.int(value),
            None => sink.nested.double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => sink.nested_string(text.as_bytes()),
        Json::Array(_) | Json::Object(_) if !sink.nested_may_open(depth) => {}
        Json::Array(elements) => {
            sink.nested.begin_array();
            for element in elements {
                if !sink.nested_has_room() {
                    break;
                }
                nested(sink, element, depth + 1);
            }
            sink.nested.end_array();
        }
        Json::Object(entries) => {
            sink.nested.begin_map();
            for (key, value) in entries {
                if !sink.nested_has_room() {
                    break;
                }
                sink.nested_key(key.as_bytes());
                nested(sink, value, depth + 1);
            }
            sink.nested.end_map();
        }
    }
}

//! Reads back over the product's own API.

use crate::server::{Server, agent};
use serde_json::Value;
use std::collections::BTreeMap;

/// The status and the JSON body of a GET.
pub(crate) fn get(server: &Server, path: &str) -> (u16, Value) {
    get_from(server, "api", path)
}

pub(crate) fn get_from(server: &Server, port: &str, path: &str) -> (u16, Value) {
    let mut answer = agent().get(server.url(port, path)).call().unwrap_or_else(|error| panic!("GET {path}: {error}"));
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A trace by id, or `None` if there is none. Anything but 200 and 404 is a failure.
pub(crate) fn trace(server: &Server, trace_id: &str) -> Option<Value> {
    match get(server, &format!("/api/traces/{trace_id}")) {
        (200, trace) => Some(trace),
        (404, _) => None,
        (status, body) => panic!("trace {trace_id}: {status} {body}"),
    }
}

/// The spans of a trace by id; panics on an id that appears twice.
pub(crate) fn spans(trace: &Value) -> BTreeMap<String, &Value> {
    let mut spans = BTreeMap::new();
    for span in trace["spans"].as_array().expect("a trace has spans") {
        let id = span["span_id"].as_str().expect("a span has an id").to_owned();
        assert!(spans.insert(id, span).is_none(), "a span is there twice: {span}");
    }
    spans
}

/// An attribute's value in a list of `{"key", "type", "value"}`.
pub(crate) fn attribute<'a>(owner: &'a Value, key: &str) -> Option<&'a Value> {
    let attributes = owner["attributes"].as_array()?;
    attributes.iter().find(|attribute| attribute["key"] == key).map(|attribute| &attribute["value"])
}

/// The ids of all traces with a span of `service`, by turning the pages of the search.
pub(crate) fn traces_of(server: &Server, service: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = get(server, &format!("/api/traces?service={service}&limit=1000{cursor}"));
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["trace_id"].as_str().unwrap().to_owned()));
        assert!(ids.len() < 1_000_000, "the pages never end");
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

/// How many spans the server says it keeps.
pub(crate) fn span_count(server: &Server) -> u64 {
    get(server, "/api/status").1["spans"].as_u64().expect("the status counts spans")
}

/// A metric without labels.
pub(crate) fn metric(server: &Server, name: &str) -> f64 {
    let mut answer = agent().get(server.url("api", "/metrics")).call().unwrap();
    let exposition = answer.body_mut().read_to_string().unwrap();
    let value = exposition.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

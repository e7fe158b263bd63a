//! Records by the line: JSON objects, what shippers send to Elasticsearch's `_bulk`, and plain text.
//!
//! A line that cannot be read costs itself and nothing else.

use serde_json::Value as Json;

use super::LogSink;

/// Looks at the memory of the batch; says whether it is enough.
fn is_full(logs: &mut LogSink<'_>) -> bool {
    logs.sink.look();
    logs.sink.is_overfull()
}

fn text_of(body: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body)
}

/// Reads a line of JSON, which has to be an object.
fn object(line: &str) -> Result<serde_json::Map<String, Json>, String> {
    match serde_json::from_str(line) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err("the line is not a JSON object".to_owned()),
        Err(error) => Err(format!("the line is not JSON: {error}")),
    }
}

/// One JSON object a line; an array of objects is read as its elements.
pub(super) fn decode_json_lines(body: &[u8], logs: &mut LogSink<'_>) {
    let text = text_of(body);
    if text.trim_start().starts_with('[')
        && let Ok(Json::Array(items)) = serde_json::from_str(&text)
    {
        for item in items {
            match item {
                Json::Object(object) => logs.push_object(object, 0),
                _ => logs.refuse_record("the element is not a JSON object"),
            }
        }
        return;
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if is_full(logs) {
            break;
        }
        match object(line) {
            Ok(object) => logs.push_object(object, line.len()),
            Err(problem) => logs.refuse_record(&problem),
        }
    }
}

/// What one entry of a `_bulk` body wants, for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkItem {
    /// `index`, `create`, `update` or `delete`.
    pub action: String,
    /// The index it names, empty if the path does.
    pub index: String,
    /// Why it is not taken, if it is not.
    pub problem: Option<String>,
}

/// The entries of a `_bulk` body, each with its document.
fn bulk_entries<'t>(text: &'t str, mut found: impl FnMut(BulkItem, Option<&'t str>) -> bool) {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        let action = object(line).ok().and_then(|object| object.into_iter().next());
        let Some((action, meta)) = action else {
            let problem = Some("the line is not an action".to_owned());
            if !found(BulkItem { action: "index".to_owned(), index: String::new(), problem }, None) {
                return;
            }
            continue;
        };
        let index = meta.get("_index").and_then(Json::as_str).unwrap_or_default().to_owned();
        let has_document = action != "delete";
        let document = if has_document { lines.next() } else { None };
        let problem = match action.as_str() {
            "index" | "create" => document.is_none().then(|| "there is no document".to_owned()),
            other => Some(format!("{other} is not taken here: records are only added")),
        };
        if !found(BulkItem { action, index, problem }, document) {
            return;
        }
    }
}

/// Documents of Elasticsearch's `_bulk`.
pub(super) fn decode_bulk(body: &[u8], logs: &mut LogSink<'_>) {
    let text = text_of(body);
    bulk_entries(&text, |item, document| {
        let read = item.problem.map_or_else(|| object(document.unwrap_or_default()), Err);
        match read {
            Ok(object) => logs.push_object(object, document.map_or(0, str::len)),
            Err(problem) => logs.refuse_record(&problem),
        }
        !is_full(logs)
    });
}

/// The entries of a `_bulk` body in order, with what is wrong with those that are not taken.
pub fn bulk_items(body: &[u8]) -> Vec<BulkItem> {
    let mut items = Vec::new();
    bulk_entries(&text_of(body), |mut item, document| {
        if let (None, Some(document)) = (&item.problem, document) {
            item.problem = object(document).err();
        }
        items.push(item);
        true
    });
    items
}

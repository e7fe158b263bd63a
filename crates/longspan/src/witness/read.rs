//! Reading traces back over the API, and saying what of them is not as it was written.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use super::trace::{ROOT_KEY, TRACE_KEY, canonical, hex, number_of, trace, trace_text};
use crate::client::{Client, encoded};

/// The most traces a page of a search has.
const PAGE_TRACES: usize = 10_000;

/// What is wrong with what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// Acknowledged, and not there.
    Missing,
    /// There, and not as it was written.
    Changed,
    /// There more than once.
    Doubled,
    /// Never written.
    Invented,
}

impl Wrong {
    pub(crate) const ALL: [Wrong; 4] = [Wrong::Missing, Wrong::Changed, Wrong::Doubled, Wrong::Invented];

    pub(crate) fn name(self) -> &'static str {
        ["missing", "changed", "doubled", "invented"][self as usize]
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) wrong: Wrong,
    pub(crate) what: String,
}

/// Reads over the API of one server.
#[derive(Debug)]
pub(crate) struct Reader {
    client: Client,
    api: String,
    seed: u64,
}

impl Reader {
    pub(crate) fn new(api: String, seed: u64) -> Reader {
        Reader { client: Client::new(), api, seed }
    }

    /// Whether somebody answers there.
    pub(crate) fn is_there(&self) -> Result<()> {
        match self.get("/api/status")? {
            Some(_) => Ok(()),
            None => bail!("{} has no /api/status: it is not Longspan's API", self.api),
        }
    }

    /// JSON, or nothing where nothing is stored.
    fn get(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.client.get(&format!("{}{path}", self.api))?;
        match answer.status {
            200 => Ok(Some(answer.json())),
            404 => Ok(None),
            _ => bail!("{path}: {}", answer.reason()),
        }
    }

    /// Reads trace `n` by its id. One that was not acknowledged may be missing, and may lack spans.
    pub(crate) fn by_id(&self, n: u64, is_acknowledged: bool) -> Result<Vec<Finding>> {
        let expected = trace(self.seed, n);
        let id = hex(&expected.id);
        let Some(answer) = self.get(&format!("/api/traces/{id}"))? else {
            return Ok(missing(is_acknowledged, format!("trace {id}, read by id")));
        };
        let mut shapes: BTreeMap<String, &Value> = BTreeMap::new();
        for span in &expected.spans {
            shapes.insert(span.shape["span_id"].as_str().unwrap_or_default().to_owned(), &span.shape);
        }
        Ok(compare(&id, &answer, shapes, is_acknowledged))
    }

    /// Searches trace `n` by an attribute that all its spans have.
    pub(crate) fn by_attribute(&self, n: u64, is_acknowledged: bool) -> Result<Vec<Finding>> {
        let expected = trace(self.seed, n);
        let id = hex(&expected.id);
        let query = format!("{TRACE_KEY} = \"{}\"", trace_text(self.seed, n));
        let answer = self.get(&format!("/api/traces?limit=10&q={}", encoded(&query)))?.unwrap_or_default();
        let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
        let mut findings = Vec::new();
        if !items.iter().any(|item| item["trace_id"] == id.as_str()) {
            findings.extend(missing(is_acknowledged, format!("trace {id}, searched by {query}")));
        }
        for item in items {
            let matched = item["matched"]["count"].as_u64().unwrap_or_default() as usize;
            let wrong = if item["trace_id"] != id.as_str() {
                Wrong::Invented
            } else if matched > expected.spans.len() {
                Wrong::Doubled
            } else if matched < expected.spans.len() && is_acknowledged {
                Wrong::Missing
            } else {
                continue;
            };
            let (found, all) = (&item["trace_id"], expected.spans.len());
            let what = format!("search by {query}: {matched} spans of {found} match, of {all} of {id}");
            findings.push(Finding { wrong, what });
        }
        Ok(findings)
    }

    /// Searches all traces that begin at a microsecond of a range, and compares them with those that were written then.
    pub(crate) fn by_time(&self, range: std::ops::Range<u64>, written: &BTreeMap<u64, bool>) -> Result<Vec<Finding>> {
        let query = encoded(&format!("span.{ROOT_KEY} = true"));
        let (start, end) = (range.start * 1_000, range.end * 1_000);
        let (mut found, mut findings, mut cursor) = (BTreeSet::new(), Vec::new(), String::new());
        loop {
            let path = format!("/api/traces?limit={PAGE_TRACES}&q={query}&start={start}&end={end}{cursor}");
            let page = self.get(&path)?.unwrap_or_default();
            for item in page["items"].as_array().into_iter().flatten() {
                let id = item["trace_id"].as_str().unwrap_or_default();
                // Traces of another seed are somebody else's.
                let Some(n) = number_of(self.seed, id) else { continue };
                if !found.insert(n) {
                    findings.push(Finding { wrong: Wrong::Doubled, what: format!("trace {id} is found twice") });
                } else if !written.contains_key(&n) {
                    findings.push(Finding { wrong: Wrong::Invented, what: format!("trace {id} was never written") });
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encoded(next)),
                None => break,
            }
        }
        for (&n, _) in written.iter().filter(|(n, is_acknowledged)| **is_acknowledged && !found.contains(n)) {
            let id = hex(&trace(self.seed, n).id);
            findings.push(Finding { wrong: Wrong::Missing, what: format!("trace {id}, searched by time") });
        }
        Ok(findings)
    }
}

fn missing(is_acknowledged: bool, what: String) -> Vec<Finding> {
    if is_acknowledged { vec![Finding { wrong: Wrong::Missing, what }] } else { Vec::new() }
}

/// Compares an answer with the spans that the trace has, by their ids.
fn compare(id: &str, answer: &Value, mut expected: BTreeMap<String, &Value>, is_acknowledged: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for span in answer["spans"].as_array().into_iter().flatten() {
        let span_id = span["span_id"].as_str().unwrap_or_default().to_owned();
        let found = |wrong, what: String| Finding { wrong, what: format!("span {span_id} of trace {id}{what}") };
        match expected.remove(&span_id) {
            Some(shape) => {
                let difference = difference(shape, &canonical(answer, span));
                findings.extend(difference.map(|what| found(Wrong::Changed, what)));
            }
            None if seen.contains(&span_id) => findings.push(found(Wrong::Doubled, String::new())),
            None => findings.push(found(Wrong::Invented, String::new())),
        }
        seen.insert(span_id);
    }
    if is_acknowledged {
        let lost = |span_id: &String| Finding {
            wrong: Wrong::Missing,
            what: format!("span {span_id} of trace {id}, read by id"),
        };
        findings.extend(expected.keys().map(lost));
    }
    findings
}

/// The first field that differs.
fn difference(expected: &Value, found: &Value) -> Option<String> {
    let fields = expected.as_object()?;
    let (field, value) = fields.iter().find(|(field, value)| found[field.as_str()] != **value)?;
    Some(format!(": {field} is {} instead of {value}", found[field.as_str()]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the API would answer for a trace.
    fn answer(shapes: &[Value]) -> Value {
        let pairs = |sorted: &Value| {
            let pair = |pair: &Value| json!({"key": pair[0], "type": pair[1][0], "value": pair[1][1]});
            sorted.as_array().unwrap().iter().map(pair).collect::<Vec<_>>()
        };
        let span = |shape: &Value| {
            let events = shape["events"].as_array().unwrap().iter();
            let links = shape["links"].as_array().unwrap().iter();
            let mut span = shape.clone();
            span["scope"] = json!(0);
            span["status"] = json!({"code": shape["status"][0], "message": shape["status"][1]});
            span["attributes"] = json!(pairs(&shape["attributes"]));
            span["events"] = events
                .map(|event| json!({"time_unix_nano": event[0], "name": event[1], "attributes": pairs(&event[2])}))
                .collect();
            span["links"] = links
                .map(|link| json!({"trace_id": link[0], "span_id": link[1], "attributes": pairs(&link[2])}))
                .collect();
            span
        };
        json!({"scopes": [{"name": "longspan-witness"}], "spans": shapes.iter().map(span).collect::<Vec<_>>()})
    }

    fn wrongs(shapes: &[Value], n: u64, is_acknowledged: bool) -> Vec<Wrong> {
        let written = trace(1, n);
        let expected = written
            .spans
            .iter()
            .map(|span| (span.shape["span_id"].as_str().unwrap().to_owned(), &span.shape))
            .collect();
        compare("id", &answer(shapes), expected, is_acknowledged).into_iter().map(|finding| finding.wrong).collect()
    }

    #[test]
    fn every_difference_is_seen() {
        // Guarantees that an answer as written is right, and that a span that lacks, is there twice, is new, or differs in any field is told.
        for n in 1_000..1_050 {
            let shapes: Vec<Value> = trace(1, n).spans.into_iter().map(|span| span.shape).collect();
            assert_eq!(wrongs(&shapes, n, true), []);
            assert_eq!(wrongs(&shapes[1..], n, true), [Wrong::Missing]);
            assert_eq!(wrongs(&shapes[1..], n, false), []);
            assert_eq!(wrongs(&[&shapes[..], &shapes[..1]].concat(), n, true), [Wrong::Doubled]);
            let mut stranger = shapes[0].clone();
            stranger["span_id"] = json!("00000000000000ff");
            assert_eq!(wrongs(&[&shapes[..], &[stranger]].concat(), n, true), [Wrong::Invented]);
            for field in ["parent_span_id", "service", "name", "kind", "start_unix_nano", "duration_ns"] {
                let mut changed = shapes.clone();
                changed[0][field] = json!("other");
                assert_eq!(wrongs(&changed, n, true), [Wrong::Changed], "{field}");
            }
            for (field, change) in
                [("status", json!(["other", ""])), ("events", json!([["0", "new", []]])), ("attributes", json!([]))]
            {
                let mut changed = shapes.clone();
                changed[0][field] = change;
                assert_eq!(wrongs(&changed, n, true), [Wrong::Changed], "{field}");
            }
        }
    }
}

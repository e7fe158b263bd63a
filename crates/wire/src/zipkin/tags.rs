//! Tags that say more than a plain attribute, as the OpenTelemetry exporters for Zipkin and the Collector write them.

use super::names;
use super::record::Record;

/// The tags of a span that have a meaning in the model, by that meaning.
#[derive(Debug, Default)]
pub(super) struct KnownTags<'a> {
    /// Name and version.
    pub(super) scope: [Option<&'a [u8]>; 2],
    pub(super) status_code: i32,
    pub(super) status_message: &'a [u8],
    pub(super) trace_state: &'a [u8],
    /// OTLP's number, where Zipkin has no kind.
    pub(super) kind: Option<i32>,
    /// Attributes, events, links.
    pub(super) dropped: [u32; 3],
    /// Keys of tags that need not be kept as attributes.
    consumed: Vec<&'static str>,
}

const ERROR_CODE: i32 = 2;

impl<'a> KnownTags<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let mut known = KnownTags::default();
        known.read_scope(record);
        known.read_status(record);
        known.trace_state = known.take(record, names::TRACE_STATE).unwrap_or_default();
        if record.kind == 0 && record.unknown_kind.is_empty() {
            known.kind = known.take_parsed(record, names::SPAN_KIND, |text| {
                model::SpanKind::from_name(&text.to_ascii_lowercase()).map(|kind| kind.0)
            });
        }
        let counts = [names::DROPPED_ATTRIBUTES, names::DROPPED_EVENTS, names::DROPPED_LINKS];
        known.dropped = counts.map(|key| known.take_parsed(record, key, |text| text.parse().ok()).unwrap_or(0));
        known
    }

    /// Whether a tag has been understood, so that it is not an attribute.
    pub(super) fn is_consumed(&self, key: &[u8]) -> bool {
        self.consumed.iter().any(|consumed| consumed.as_bytes() == key)
    }

    fn take(&mut self, record: &'a Record, key: &'static str) -> Option<&'a [u8]> {
        let value = find(record, key)?;
        self.consumed.push(key);
        Some(value)
    }

    fn take_parsed<T>(&mut self, record: &Record, key: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = std::str::from_utf8(find(record, key)?).ok().and_then(parse)?;
        self.consumed.push(key);
        Some(value)
    }

    /// Exporters write the older names beside the newer ones; only where they differ are the older ones worth keeping.
    fn read_scope(&mut self, record: &'a Record) {
        let keys = [(names::SCOPE_NAME, names::LIBRARY_NAME), (names::SCOPE_VERSION, names::LIBRARY_VERSION)];
        for (place, (key, older)) in keys.into_iter().enumerate() {
            let value = self.take(record, key);
            self.scope[place] = value.or_else(|| find(record, older));
            if self.scope[place] == find(record, older) {
                self.consumed.push(older);
            }
        }
    }

    fn read_status(&mut self, record: &'a Record) {
        let code = self.take_parsed(record, names::STATUS_CODE, |text| {
            model::StatusCode::from_name(&text.to_ascii_lowercase()).map(|code| code.0)
        });
        let description = self.take(record, names::STATUS_DESCRIPTION);
        let error = find(record, names::ERROR).filter(|&value| value != b"false");
        self.status_code = code.unwrap_or(if error.is_some() { ERROR_CODE } else { 0 });
        self.status_message = description.unwrap_or_default();
        let Some(error) = error.filter(|_| self.status_code == ERROR_CODE) else {
            return;
        };
        let says_nothing = error.is_empty() || error.eq_ignore_ascii_case(b"true");
        if description.is_none() && !says_nothing {
            self.status_message = error;
        }
        // A second text, beside the description, stays an attribute.
        if error == self.status_message || says_nothing {
            self.consumed.push(names::ERROR);
        }
    }
}

fn find<'a>(record: &'a Record, key: &str) -> Option<&'a [u8]> {
    record.tags.iter().rfind(|(found, _)| found == key.as_bytes()).map(|(_, value)| value.as_slice())
}

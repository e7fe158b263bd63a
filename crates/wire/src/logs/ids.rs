//! Trace and span ids of log records whose sender did not fill them in: in fields under any of their common names, and in the text.
//!
//! Only what says what it is counts: a field or a word of the text that is called trace or span id in one of the ways that loggers have,
//! a W3C `traceparent`, or Spring's `[service,trace,span]`. Thirty-two hex digits alone may be anything.

use model::log::{NOTE_IDS_FROM_FIELD, NOTE_IDS_FROM_TEXT};
use model::{SpanId, SpanRow, TextId, TextTable, TraceId, Value};

/// What a key says its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Role {
    /// Not looked at yet.
    #[default]
    Unknown,
    Nothing,
    Trace,
    /// A trace id that may be a decimal number.
    DecimalTrace,
    Span,
    DecimalSpan,
    /// `traceparent`, or X-Ray's header.
    Context,
}

/// Finds ids; remembers what each key of a batch is.
#[derive(Debug, Default)]
pub(super) struct IdFinder {
    roles: Vec<Role>,
}

/// Ids as they are found; both may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ids {
    trace: Option<TraceId>,
    span: Option<SpanId>,
}

impl Ids {
    fn or(self, other: Ids) -> Ids {
        Ids { trace: self.trace.or(other.trace), span: self.span.or(other.span) }
    }
}

impl IdFinder {
    /// Fills in the ids of a record without a trace id, from its attributes and else from its body; notes where they come from.
    pub(super) fn fill(&mut self, row: &mut SpanRow, text: &TextTable, pairs: (&[TextId], &[Value]), body: Value) {
        if !row.trace_id.is_zero() {
            return;
        }
        let mut found = Ids::default();
        for (&key, &value) in pairs.0.iter().zip(pairs.1) {
            let role = self.role(text, key);
            if role != Role::Nothing {
                found = found.or(read_field(role, value, text));
            }
        }
        let mut note = NOTE_IDS_FROM_FIELD;
        if found.trace.is_none()
            && let Value::Str(body) = body
        {
            let in_text = in_text(text.str(body));
            if in_text.trace.is_some() {
                (found, note) = (in_text.or(found), NOTE_IDS_FROM_TEXT);
            }
        }
        if let Some(trace_id) = found.trace {
            row.trace_id = trace_id;
            row.notes |= note;
            if row.span_id.is_zero() {
                row.span_id = found.span.unwrap_or_default();
            }
        }
    }

    fn role(&mut self, text: &TextTable, key: TextId) -> Role {
        if self.roles.len() <= key.index() {
            self.roles.resize(key.index() + 1, Role::Unknown);
        }
        let known = &mut self.roles[key.index()];
        if *known == Role::Unknown {
            *known = role_of(text.str(key));
        }
        *known
    }
}

/// Prefixes that do not change what a field is.
const PREFIXES: [&str; 14] = [
    "mdc",
    "context",
    "contextmap",
    "extra",
    "fields",
    "otel",
    "labels",
    "attributes",
    "x",
    "b3",
    "xb3",
    "record",
    "json",
    "ctx",
];

fn role_of(key: &str) -> Role {
    let mut plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let is_decimal = plain.starts_with("dd") || plain.starts_with("datadog");
    // Longest first, as often as there are some.
    while let Some(rest) = PREFIXES
        .iter()
        .chain(&["dd", "datadog"])
        .filter_map(|prefix| plain.strip_prefix(prefix))
        .min_by_key(|rest| rest.len())
    {
        if rest.is_empty() || !["trace", "span", "amzntrace"].iter().any(|word| rest.contains(word)) {
            break;
        }
        plain = rest.to_owned();
    }
    match (plain.as_str(), is_decimal) {
        ("traceid" | "trace", false) => Role::Trace,
        ("traceid", true) => Role::DecimalTrace,
        ("spanid", false) => Role::Span,
        ("spanid", true) => Role::DecimalSpan,
        ("traceparent" | "amzntraceid" | "loggingtraceid", _) => Role::Context,
        ("googleapiscomtrace" | "logginggoogleapiscomtrace", _) => Role::Trace,
        _ => Role::Nothing,
    }
}

fn read_field(role: Role, value: Value, text: &TextTable) -> Ids {
    let number = |value: i64| u64::try_from(value).ok();
    let (text, number) = match value {
        Value::Str(id) => (text.str(id), None),
        Value::Int(value) => ("", number(value)),
        _ => return Ids::default(),
    };
    let decimal = number.or_else(|| if text.len() > 16 && text.len() <= 20 { text.parse().ok() } else { None });
    match role {
        Role::Trace => Ids { trace: trace_id(text), ..Ids::default() },
        Role::Span => Ids { span: span_id(text), ..Ids::default() },
        Role::DecimalTrace => Ids { trace: decimal.and_then(wide).or_else(|| trace_id(text)), ..Ids::default() },
        Role::DecimalSpan => {
            let span = decimal.map(|number| SpanId(number.to_be_bytes())).filter(|id| !id.is_zero());
            Ids { span: span.or_else(|| span_id(text)), ..Ids::default() }
        }
        Role::Context => context(text),
        Role::Unknown | Role::Nothing => Ids::default(),
    }
}

/// A trace id of 64 bits.
fn wide(number: u64) -> Option<TraceId> {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Some(TraceId(bytes)).filter(|id| !id.is_zero())
}

/// A trace id as 32 or 16 hex digits, as a UUID, as X-Ray writes it, or as the last part of a path.
fn trace_id(text: &str) -> Option<TraceId> {
    let text = text.trim().rsplit('/').next()?;
    let text = text.strip_prefix("0x").unwrap_or(text);
    if text.len() == 35 && text.starts_with("1-") {
        return hex_id(&text[2..].replace('-', ""));
    }
    if text.len() == 36 && text.bytes().filter(|&byte| byte == b'-').count() == 4 {
        return hex_id(&text.replace('-', ""));
    }
    hex_id(text)
}

fn hex_id(text: &str) -> Option<TraceId> {
    let is_hex = matches!(text.len(), 16 | 32) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.parse().ok()).flatten().filter(|id: &TraceId| !id.is_zero())
}

fn span_id(text: &str) -> Option<SpanId> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.parse().ok()).flatten().filter(|id: &SpanId| !id.is_zero())
}

/// The ids of a `traceparent` or of X-Ray's header.
fn context(text: &str) -> Ids {
    if text.contains("Root=") || text.starts_with("1-") {
        let part = |name: &str| text.split(';').find_map(|part| part.trim().strip_prefix(name));
        return Ids { trace: part("Root=").or(Some(text)).and_then(trace_id), span: part("Parent=").and_then(span_id) };
    }
    let parts: Vec<&str> = text.trim().split('-').collect();
    match parts[..] {
        [version, trace, span, _, ..] if version.len() == 2 && trace.len() == 32 => {
            Ids { trace: trace_id(trace), span: span_id(span) }
        }
        _ => Ids { trace: trace_id(text), span: None },
    }
}

/// The ids that a message names.
fn in_text(text: &str) -> Ids {
    let mut found = Ids::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(place) = find_word(bytes, at) {
        let is_trace = bytes[place].eq_ignore_ascii_case(&b't');
        let end = place + if is_trace { 5 } else { 4 };
        if let Some(value) = named_value(text, end) {
            let ids = if is_trace { context(value) } else { Ids { trace: None, span: span_id(value) } };
            found = found.or(ids);
        }
        at = end;
    }
    if found.trace.is_none() { found.or(in_brackets(text)) } else { found }
}

/// Where "trace" or "span" stands next, in any case.
fn find_word(bytes: &[u8], from: usize) -> Option<usize> {
    let is_at =
        |at: usize, word: &[u8]| bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word));
    (from..bytes.len()).find(|&at| match bytes[at] {
        b't' | b'T' => is_at(at, b"trace"),
        b's' | b'S' => is_at(at, b"span"),
        _ => false,
    })
}

/// The value of a name that goes on at `at`: `_id=…`, `Id: …`, `parent":"…"`.
fn named_value(text: &str, at: usize) -> Option<&str> {
    let rest = text.get(at..)?;
    let rest = rest.trim_start_matches(['_', '-', '.', ' ']);
    let lower = rest.get(..6).unwrap_or(rest).to_ascii_lowercase();
    let rest = if lower.starts_with("parent") {
        &rest[6..]
    } else if lower.starts_with("id") {
        &rest[2..]
    } else if rest.starts_with(['=', ':']) {
        rest
    } else {
        return None;
    };
    let value = rest.trim_start_matches(['"', '\'', '=', ':', ' ', '[', '(', '{', '<', '\\']);
    // Something has to stand between name and value.
    if value.len() == rest.len() {
        return None;
    }
    let end = value.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '-' | 'x'))).unwrap_or(value.len());
    let is_border = !value[end..].starts_with(|c: char| c.is_alphanumeric());
    is_border.then_some(&value[..end]).filter(|value| value.len() >= 16)
}

/// The ids of `[service,trace,span]`, as Spring writes them, with or without the service.
fn in_brackets(text: &str) -> Ids {
    for (open, _) in text.match_indices('[') {
        let inside = text[open + 1..].split(']').next().unwrap_or_default();
        let parts: Vec<&str> = inside.split([',', '-']).map(str::trim).collect();
        for pair in parts.windows(2) {
            if let (Some(trace), Some(span)) = (hex_id(pair[0]), span_id(pair[1])) {
                return Ids { trace: Some(trace), span: Some(span) };
            }
        }
    }
    Ids::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn fields_by_any_common_name() {
        // Guarantees that ids are found under the names that loggers use, and under no others.
        for key in [
            "trace_id",
            "traceId",
            "TraceID",
            "otelTraceID",
            "X-B3-TraceId",
            "mdc.traceId",
            "trace.id",
            "contextMap.trace_id",
            "b3-traceid",
            "fields.trace_id",
        ] {
            assert_eq!(role_of(key), Role::Trace, "{key}");
        }
        for key in ["span_id", "otelSpanID", "X-B3-SpanId", "mdc.spanId", "span.id"] {
            assert_eq!(role_of(key), Role::Span, "{key}");
        }
        assert_eq!((role_of("dd.trace_id"), role_of("dd.span_id")), (Role::DecimalTrace, Role::DecimalSpan));
        assert_eq!((role_of("traceparent"), role_of("X-Amzn-Trace-Id")), (Role::Context, Role::Context));
        for key in ["id", "stacktrace", "backtrace_id", "trace_flags", "parent_span_id", "tracer", "spanish"] {
            assert_eq!(role_of(key), Role::Nothing, "{key}");
        }
    }

    #[test]
    fn values_as_they_are_written() {
        // Guarantees that every usual way to write ids is read, and that what is no id is none.
        let trace = TRACE.parse().ok();
        assert_eq!(trace_id(TRACE), trace);
        assert_eq!(trace_id("0AF76519-16cd-43dd-8448-eb211c80319c"), trace);
        assert_eq!(trace_id("1-0af76519-16cd43dd8448eb211c80319c"), trace);
        assert_eq!(trace_id(&format!("projects/p/traces/{TRACE}")), trace);
        assert_eq!(trace_id(SPAN).map(|id| id.to_string()), Some(format!("{SPAN:0>32}")));
        for text in ["", "none", "00000000000000000000000000000000", "0af7651916cd43dd8448eb211c80319", "zz"] {
            assert_eq!(trace_id(text), None, "{text}");
        }
        let both = Ids { trace, span: SPAN.parse().ok() };
        assert_eq!(context(&format!("00-{TRACE}-{SPAN}-01")), both);
        assert_eq!(context("Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"), both);
    }

    #[test]
    fn ids_inside_messages() {
        // Guarantees that ids are found in messages that name them, and that hex digits without a name are not taken for ids.
        let both = Ids { trace: TRACE.parse().ok(), span: SPAN.parse().ok() };
        for text in [
            format!("done trace_id={TRACE} span_id={SPAN} resource.service.name=x"),
            format!("[trace_id={TRACE} span_id={SPAN}] - hello"),
            format!("traceId: {TRACE}, spanId: {SPAN}"),
            format!("{{\"trace_id\": \"{TRACE}\", \"span_id\":\"{SPAN}\"}}"),
            format!("traceparent=00-{TRACE}-{SPAN}-01 sent"),
            format!("INFO [order-service,{TRACE},{SPAN}] 1 --- hello"),
            format!("INFO [{TRACE}-{SPAN}] hello"),
            format!("Trace ID: {TRACE} Span: {SPAN}"),
        ] {
            assert_eq!(in_text(&text), both, "{text}");
        }
        for text in [
            format!("md5 {TRACE}"),
            "trace id missing".to_owned(),
            format!("trace_id={TRACE}00"),
            "tracé id=é".to_owned(),
        ] {
            assert_eq!(in_text(&text), Ids::default(), "{text}");
        }
    }
}

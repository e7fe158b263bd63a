//! X-Ray's trace ids: `1-67891234-0123456789abcdef01234567` is OpenTelemetry's `678912340123456789abcdef01234567`.

use model::{SpanId, TraceId};

/// The trace id of X-Ray's text, or of 32 hex digits as such.
pub fn trace_id(text: &str) -> Option<TraceId> {
    let mut parts = text.strip_prefix("1-").unwrap_or(text).split('-');
    let digits = match (parts.next()?, parts.next(), parts.next()) {
        (seconds, Some(rest), None) if seconds.len() == 8 && rest.len() == 24 => [seconds, rest].concat(),
        (whole, None, None) if whole.len() == 32 => whole.to_owned(),
        _ => return None,
    };
    digits.parse().ok().filter(|id: &TraceId| !id.is_zero())
}

/// X-Ray's text of a trace id.
pub fn trace_id_text(id: TraceId) -> String {
    let digits = id.to_string();
    format!("1-{}-{}", &digits[..8], &digits[8..])
}

/// A segment's id.
pub(super) fn span_id(text: &str) -> Option<SpanId> {
    if text.len() != 16 {
        return None;
    }
    text.parse().ok().filter(|id: &SpanId| !id.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        // Guarantees that an id is the same after going to X-Ray's text and back, and that nothing else is taken for one.
        let text = "1-67891234-0123456789abcdef01234567";
        let id = trace_id(text).unwrap();
        assert_eq!((id.to_string().as_str(), trace_id_text(id).as_str()), ("678912340123456789abcdef01234567", text));
        assert_eq!(trace_id("678912340123456789ABCDEF01234567"), Some(id));
        for wrong in
            ["", "1-", "1-67891234", "2-67891234-0123456789abcdef01234567", "1-6789123-40123456789abcdef01234567"]
        {
            assert_eq!(trace_id(wrong), None, "{wrong}");
        }
        assert_eq!(trace_id("1-00000000-000000000000000000000000"), None);
    }
}

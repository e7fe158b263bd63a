//! The end of a span, whatever it was written in: its ids decide whether it is kept.

use model::{SpanId, SpanRow, TraceId};

use crate::report::Reason;
use crate::sink::Sink;

/// The ids as bytes, of any length.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpanIds<'a> {
    pub(super) trace: &'a [u8],
    pub(super) span: &'a [u8],
    pub(super) parent: &'a [u8],
}

/// Adds the span, or refuses it.
#[inline]
pub(super) fn close_span(sink: &mut Sink<'_>, mut row: SpanRow, ids: &SpanIds<'_>) {
    let Some(trace_id) = TraceId::from_slice(ids.trace).filter(|id| !id.is_zero()) else {
        let got = ids.trace.len();
        sink.refuse_span(
            Reason::InvalidTraceId,
            format_args!("the trace id must be 16 bytes (32 hex digits in JSON), not all zero; it has {got} bytes"),
        );
        return;
    };
    let Some(span_id) = SpanId::from_slice(ids.span).filter(|id| !id.is_zero()) else {
        let got = ids.span.len();
        sink.refuse_span(
            Reason::InvalidSpanId,
            format_args!("the span id must be 8 bytes (16 hex digits in JSON), not all zero; it has {got} bytes"),
        );
        return;
    };
    row.trace_id = trace_id;
    row.span_id = span_id;
    row.parent_span_id = sink.parent_span_id(ids.parent);
    sink.batch.push_span(row);
}

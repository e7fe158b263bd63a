//! What a decoder did not keep, counted by reason: the source of partial successes and of the drop metrics.

/// Why something was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// A span whose trace id has the wrong length or is zero; the span is refused.
    InvalidTraceId = 0,
    /// A span whose own id has the wrong length or is zero; the span is refused.
    InvalidSpanId = 1,
    /// A span larger than the limit; the span is refused.
    SpanTooLarge = 2,
    /// A parent id of the wrong length; the span is kept as one without a parent.
    InvalidParentSpanId = 3,
    /// A link whose ids have the wrong length; the link is dropped.
    InvalidLinkId = 4,
    /// An attribute beyond the number kept.
    AttributesOverLimit = 5,
    /// An attribute whose key is too long.
    KeyTooLong = 6,
    /// A text or value that was cut.
    ValueTruncated = 7,
    /// An array or map nested too deep; it became empty.
    DepthOverLimit = 8,
    /// An event beyond the number kept.
    EventsOverLimit = 9,
    /// A link beyond the number kept.
    LinksOverLimit = 10,
    /// A text that was not UTF-8; the bad bytes were replaced.
    InvalidUtf8 = 11,
    /// A log record whose trace or span id has the wrong length; the record is kept without it.
    InvalidIdOfLog = 12,
    /// A log record that cannot be read; the record is refused.
    LogUnreadable = 13,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = 14;

    /// All reasons, in the order of their numbers.
    pub const ALL: [Reason; Reason::COUNT] = [
        Reason::InvalidTraceId,
        Reason::InvalidSpanId,
        Reason::SpanTooLarge,
        Reason::InvalidParentSpanId,
        Reason::InvalidLinkId,
        Reason::AttributesOverLimit,
        Reason::KeyTooLong,
        Reason::ValueTruncated,
        Reason::DepthOverLimit,
        Reason::EventsOverLimit,
        Reason::LinksOverLimit,
        Reason::InvalidUtf8,
        Reason::InvalidIdOfLog,
        Reason::LogUnreadable,
    ];

    /// The label of the reason in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::InvalidTraceId => "invalid_trace_id",
            Reason::InvalidSpanId => "invalid_span_id",
            Reason::SpanTooLarge => "span_too_large",
            Reason::InvalidParentSpanId => "invalid_parent_span_id",
            Reason::InvalidLinkId => "invalid_link_id",
            Reason::AttributesOverLimit => "attributes_over_limit",
            Reason::KeyTooLong => "key_too_long",
            Reason::ValueTruncated => "value_truncated",
            Reason::DepthOverLimit => "depth_over_limit",
            Reason::EventsOverLimit => "events_over_limit",
            Reason::LinksOverLimit => "links_over_limit",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::InvalidIdOfLog => "invalid_id_of_log",
            Reason::LogUnreadable => "log_unreadable",
        }
    }

    /// Whether the whole span was refused, which the sender is told; otherwise only something inside it was not kept.
    pub fn refuses_span(self) -> bool {
        use Reason::{InvalidSpanId, InvalidTraceId, LogUnreadable, SpanTooLarge};
        matches!(self, InvalidTraceId | InvalidSpanId | SpanTooLarge | LogUnreadable)
    }
}

/// What was not kept of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Spans in the body, the refused ones included.
    pub received_spans: u64,
    /// How often each [`Reason`] applied, at the reason's number.
    pub rejected: [u64; Reason::COUNT],
    /// What was wrong with the first refused span, for the sender.
    pub first_problem: Option<String>,
}

impl Report {
    /// How many spans were refused.
    pub fn rejected_spans(&self) -> u64 {
        Reason::ALL.into_iter().filter(|reason| reason.refuses_span()).map(|reason| self.count(reason)).sum()
    }

    /// How often a reason applied.
    pub fn count(&self, reason: Reason) -> u64 {
        self.rejected[reason as usize]
    }

    /// The reasons that applied, by their metric label, with how often.
    pub fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Reason::ALL.into_iter().map(|reason| (reason.name(), self.count(reason))).filter(|&(_, count)| count > 0)
    }

    pub(crate) fn add(&mut self, reason: Reason) {
        self.rejected[reason as usize] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Report) {
        for (count, more) in self.rejected.iter_mut().zip(other.rejected) {
            *count += more;
        }
    }

    /// Counts a refused span; its number is that of the span received last.
    pub(crate) fn refuse(&mut self, reason: Reason, problem: std::fmt::Arguments<'_>) {
        self.add(reason);
        if self.first_problem.is_none() {
            self.first_problem = Some(format!("span {}: {problem}", self.received_spans));
        }
    }
}

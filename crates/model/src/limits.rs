//! What is kept of a hostile or broken span. One documented constant each; every drop is counted where it happens.

/// Bounds a decoder keeps to. [`Limits::default`] is what the product runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attributes kept of a span, event, link, resource or scope; the rest is counted as dropped.
    pub attributes_max: usize,
    /// Bytes of a key; attributes with longer keys are dropped.
    pub key_bytes_max: usize,
    /// Bytes of a value that are kept; longer ones are cut at a character border.
    pub value_bytes_max: usize,
    /// How deep arrays and maps may nest; what lies deeper becomes empty.
    pub depth_max: usize,
    /// Events kept of a span.
    pub events_max: usize,
    /// Links kept of a span.
    pub links_max: usize,
    /// Encoded bytes of a span; larger ones are refused.
    pub span_bytes_max: usize,
    /// How far in the past of its receipt a span may start before it is flagged.
    pub past_max_ns: u64,
    /// How far in the future of its receipt a span may start before it is flagged.
    pub future_max_ns: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

impl Limits {
    /// The limits of `docs/limits.md`.
    pub const DEFAULT: Limits = Limits {
        attributes_max: 1024,
        key_bytes_max: 256,
        value_bytes_max: 64 << 10,
        depth_max: 32,
        events_max: 4096,
        links_max: 4096,
        span_bytes_max: 1 << 20,
        past_max_ns: 30 * 24 * 3600 * SECOND_NS,
        future_max_ns: 3600 * SECOND_NS,
    };

    /// Whether an instant lies too far from the time of receipt.
    pub fn out_of_range(&self, unix_nano: u64, received_unix_nano: u64) -> bool {
        unix_nano < received_unix_nano.saturating_sub(self.past_max_ns)
            || unix_nano > received_unix_nano.saturating_add(self.future_max_ns)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

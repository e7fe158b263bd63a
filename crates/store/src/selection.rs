//! [`Selection`]: what every span that a reader looks for is known to have, so that the others need not be read.
//!
//! A promise in one direction only: what lacks something may be left out, or may be there all the same. The reader decides.

use std::ops::RangeInclusive;

/// What every span looked for has. The default asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// This service.
    pub service: Option<String>,
    /// This name.
    pub name: Option<String>,
    /// This kind, as OTLP numbers it.
    pub kind: Option<i32>,
    /// This status code, as OTLP numbers it.
    pub status: Option<i32>,
    /// A start among these, Unix nanoseconds.
    pub starts: RangeInclusive<u64>,
    /// A duration among these, nanoseconds.
    pub durations: RangeInclusive<u64>,
    /// An attribute of its own with this key whose comparison text is the second.
    pub attribute: Option<(String, String)>,
}

/// All instants, all durations.
pub(crate) const ANY: RangeInclusive<u64> = 0..=u64::MAX;

impl Default for Selection {
    fn default() -> Self {
        let (service, name, kind, status, attribute) = (None, None, None, None, None);
        Selection { service, name, kind, status, starts: ANY, durations: ANY, attribute }
    }
}

//! Where a page of a search ended, as opaque text that goes to the caller and comes back.

use std::fmt;
use std::str::FromStr;

use model::{SpanId, TraceId};
use thiserror::Error;

/// A place in the order of a search's traces: the start of the newest matching span, then the trace's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) start_unix_nano: u64,
    pub(crate) trace_id: TraceId,
}

/// A text that is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not a cursor; pass `next_cursor` of the page before unchanged")]
pub struct CursorError;

/// Digits of the start, which is written like a span's id.
const START_DIGITS: usize = 16;
const DIGITS: usize = START_DIGITS + 32;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{}", self.start_unix_nano, self.trace_id)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() != DIGITS || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(CursorError);
        }
        let (start, trace_id) = text.split_at(START_DIGITS);
        let start: SpanId = start.parse().map_err(|_| CursorError)?;
        let trace_id = trace_id.parse().map_err(|_| CursorError)?;
        Ok(Cursor { start_unix_nano: u64::from_be_bytes(start.0), trace_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        // Guarantees that a cursor survives its text, and that everything else, of any length and alphabet, is refused.
        for (start_unix_nano, id) in [(0, 0), (u64::MAX, 255), (1_700_000_000_000_000_000, 7)] {
            let cursor = Cursor { start_unix_nano, trace_id: TraceId([id; 16]) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let good = Cursor { start_unix_nano: 171, trace_id: TraceId([171; 16]) }.to_string();
        for bad in ["", "0", &good[1..], &format!("{good}0"), &good.to_uppercase(), &"é".repeat(24), &"+".repeat(48)] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }
}

//! The time of receipt. The only place of the server that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, Unix nanoseconds; 0 for a clock set before 1970.
pub fn now_unix_nano() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

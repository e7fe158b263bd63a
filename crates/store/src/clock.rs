//! The only source of time of the store, so that tests can put their own in its place.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Unix nanoseconds now.
    fn now_unix_nano(&self) -> u64;

    /// Nanoseconds since some instant, which nobody can set. A clock that is never set may leave it as it is.
    fn monotonic_ns(&self) -> u64 {
        self.now_unix_nano()
    }
}

/// The operating system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealClock;

impl Clock for RealClock {
    fn now_unix_nano(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }

    fn monotonic_ns(&self) -> u64 {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        BEGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Nanoseconds of a day.
pub const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// The UTC day of an instant as `YYYY-MM-DD`.
///
/// Days from civil, after Howard Hinnant's chrono-compatible date algorithms.
pub fn day_name(unix_nano: u64) -> String {
    let days = (unix_nano / DAY_NS) as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_civil_days() {
        // Guarantees the day directories' names over leap years and the epoch.
        assert_eq!(day_name(0), "1970-01-01");
        assert_eq!(day_name(951_782_400 * 1_000_000_000), "2000-02-29");
        assert_eq!(day_name(1_795_132_800 * 1_000_000_000 - 1), "2026-11-19");
        assert_eq!(day_name(1_795_132_800 * 1_000_000_000), "2026-11-20");
        assert_eq!(day_name(u64::MAX), "2554-07-21");
    }
}

//! The name of every file and directory in a data directory, in one place.
//!
//! ```text
//! DIR/
//!   FORMAT                      the number of the format the directory is written in
//!   LOCK                        held by the process that uses the directory
//!   manifest.json               which segments are live, and up to where the WAL is sealed
//!   wal/00000000000000000007.wal
//!   days/2026-11-20/00000000000000000003/
//!     spans.parquet             one row a span, clustered by trace
//!     scopes.parquet            resources and scopes the spans refer to
//!     index.bin                 where each trace lies; filters and bounds of each block
//!     segment.json              what the files are and their checksums; written last
//!   days/2026-11-20/logs-00000000000000000004/
//!     logs.parquet              one row a log record, by time; the other files as above
//!   days/unplaced/…             spans whose clocks cannot be trusted
//!   days/2026-11-13.dropped/    a day that is being removed
//!   quarantine/                 what could not be read, moved out of the way
//! ```

use std::path::{Path, PathBuf};

/// The number of the format, see `docs/format.md`.
pub(crate) const FORMAT: &str = "FORMAT";
/// The lock file.
pub(crate) const LOCK: &str = "LOCK";
/// The list of live segments.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Spans of a segment.
pub(crate) const SPANS: &str = "spans.parquet";
/// Log records of a segment of log records.
pub(crate) const LOGS: &str = "logs.parquet";
/// Resources and scopes of a segment.
pub(crate) const SCOPES: &str = "scopes.parquet";
/// The index of a segment.
pub(crate) const INDEX: &str = "index.bin";
/// What a segment is made of.
pub(crate) const SEGMENT: &str = "segment.json";
/// The partition of spans whose time cannot be right.
pub(crate) const UNPLACED: &str = "unplaced";
/// The end of the name of a segment directory that is being written.
pub(crate) const ASIDE: &str = ".tmp";

/// Where the observer of the log keeps what it knows, see [`crate::Observer`].
pub(crate) const OBSERVER: &str = "flow";

/// The end of the name of a day that retention is removing.
pub(crate) const DROPPED: &str = ".dropped";

/// Where the WAL lies.
pub(crate) fn wal_directory(data: &Path) -> PathBuf {
    data.join("wal")
}

/// A WAL file.
pub(crate) fn wal_file(data: &Path, sequence: u64) -> PathBuf {
    wal_directory(data).join(format!("{sequence:020}.wal"))
}

/// The sequence number in a WAL file's name.
pub(crate) fn wal_sequence(name: &str) -> Option<u64> {
    number(name.strip_suffix(".wal")?)
}

/// The id in the name of a segment's directory.
pub(crate) fn segment_id(name: &str) -> Option<u64> {
    number(name)
}

/// A number as names hold it. Numbers that are never reached are none of ours, so that there is always a next one.
fn number(digits: &str) -> Option<u64> {
    let whole = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok()).flatten().filter(|&number| number < u64::MAX / 2)
}

/// Where the days lie.
pub(crate) fn days_directory(data: &Path) -> PathBuf {
    data.join("days")
}

/// Whether a directory below `days` is one of ours: a day or [`UNPLACED`].
pub(crate) fn is_day(name: &str) -> bool {
    let digit_or_dash =
        |(place, byte): (usize, u8)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    name == UNPLACED || (name.len() == 10 && name.bytes().enumerate().all(digit_or_dash))
}

/// Where a day is moved to be removed.
pub(crate) fn dropped_day_directory(data: &Path, day: &str) -> PathBuf {
    days_directory(data).join(format!("{day}{DROPPED}"))
}

/// Where a day's segments lie.
pub(crate) fn day_directory(data: &Path, day: &str) -> PathBuf {
    days_directory(data).join(day)
}

/// A segment's directory.
pub(crate) fn segment_directory(data: &Path, day: &str, id: u64) -> PathBuf {
    day_directory(data, day).join(format!("{id:020}"))
}

/// The beginning of the name of a directory of a segment of log records.
const LOG_SEGMENT_PREFIX: &str = "logs-";

/// The directory of a segment of log records.
pub(crate) fn log_segment_directory(data: &Path, day: &str, id: u64) -> PathBuf {
    day_directory(data, day).join(format!("{LOG_SEGMENT_PREFIX}{id:020}"))
}

/// The id in the name of such a directory.
pub(crate) fn log_segment_id(name: &str) -> Option<u64> {
    number(name.strip_prefix(LOG_SEGMENT_PREFIX)?)
}

/// Where unreadable things are put.
pub(crate) fn quarantine_directory(data: &Path) -> PathBuf {
    data.join("quarantine")
}

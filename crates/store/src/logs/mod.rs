//! Log records beside the spans: the same WAL, the same memtable, segments of their own in the same days.
//!
//! A request of log records goes the way of a request of spans: appended, synced, applied, answered; and is sealed together with the
//! spans of its memtable, so that one number says up to where the WAL is done with. What differs is here: how records in memory are
//! found ([`table`]), what of a text a search knows ([`words`]), what a reader sees ([`part`]). Their segments are written and read
//! by [`crate::segment`], of which they use nearly everything. See `docs/adr/0017-logs-beside-spans.md`.

mod live;
pub(crate) mod part;
pub(crate) mod table;
pub mod words;

/// Formats from this number on are of log records, smaller ones of spans.
pub const LOG_FORMATS_FROM: u8 = 64;

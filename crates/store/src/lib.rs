//! Spans on disk: written ahead, searchable at once, sealed into Parquet, dropped by the day.
//!
//! Steps *append*, *apply* and *seal* of the pipe, and what *find* reads from. Synchronous; touches the world only through
//! [`disk::Disk`] and [`clock::Clock`].
//!
//! ```text
//! append ──► commit queue ──► WAL file ──sync──► memtable ──► done(Ok)      reader ──► Snapshot
//!                                                   │ full, idle or old                  ├ memtables
//!                                                   ▼                                    └ segments
//!                                              frozen memtable ──seal──► segments ──► manifest ──► WAL file deleted
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`store`] | [`Store`], the front |
//! | [`options`], [`error`], [`metrics`] | set-up and every constant; what goes wrong; what is counted |
//! | [`disk`], [`clock`], [`filenames`] | the doors to the world |
//! | [`wal`], [`commit`] | step append |
//! | [`memtable`], [`tables`] | step apply; what is live |
//! | [`segment`], [`manifest`], [`seal`], [`retention`] | step seal, retention |
//! | [`logs`] | log records beside the spans |
//! | [`compact`] | step compact: small segments of a day become one |
//! | [`open`] | start and replay |
//! | [`observe`] | who is told of every batch, over restarts |
//! | [`snapshot`], [`selection`], [`catalog`] | what readers see; what they need not read |
//! | [`damage`] | what could not be read for an answer |
//! | [`walk`] | everything, each span once |
//! | [`backup`] | a consistent copy of everything, taken at work |
//! | [`verify`] | whether everything still is what was written |
//!
//! Deliberately absent: what bytes of a request mean (a [`Replay`] is handed in), what a filter is, async.

pub mod backup;
pub mod catalog;
pub mod clock;
mod commit;
mod compact;
mod damage;
pub mod disk;
pub mod error;
mod filenames;
pub mod logs;
mod manifest;
mod memtable;
pub mod metrics;
pub mod observe;
mod open;
pub mod options;
mod retention;
mod seal;
mod segment;
mod selection;
mod snapshot;
mod store;
mod tables;
pub mod verify;
pub mod wal;
pub mod walk;

pub use catalog::Catalog;
pub use commit::{Done, LogRequest, Request};
pub use error::{AppendError, ReadError, StoreError};
pub use logs::LOG_FORMATS_FROM;
pub use logs::part::{LogPart, LogSelection};
pub use metrics::Metrics;
pub use observe::Observer;
pub use open::Replay;
pub use options::{Durability, StoreOptions};
pub use segment::source::{Intrinsic, intrinsic_pair_hash};
pub use selection::Selection;
pub use snapshot::{Fields, IncomingLink, Part, Projection, ServiceBounds, Snapshot, Wanted};
pub use store::{Stats, Store};

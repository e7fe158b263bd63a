//! How a store is set up, and every constant that bounds it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::{Clock, RealClock};
use crate::disk::{Disk, RealDisk};
use crate::observe::{Observer, Unobserved};

/// The format this program writes, and the newest it reads.
pub const FORMAT_VERSION: u64 = 1;
/// Bytes of requests, encoded and decoded, that may wait for the disk; beyond it appends are refused as retryable.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Memtables that may wait to be sealed, or are; when the active one is full as well, answers wait.
pub const FROZEN_MEMTABLES_MAX: usize = 1;
/// Rows of a block, the unit that filters, bounds and searches work on.
pub const BLOCK_ROWS: usize = 8192;
/// Rows of a Parquet row group: a whole number of blocks.
pub const ROW_GROUP_ROWS: usize = 32 * BLOCK_ROWS;
/// Rows of a Parquet page at the most, so that a trace is read without unpacking much beside it.
pub const PAGE_ROWS_MAX: usize = 2048;
/// How hard zstd tries when a segment is sealed.
pub const ZSTD_LEVEL: i32 = 1;
/// Attribute keys of a segment that get a column of their own.
pub const ATTRIBUTE_COLUMNS_MAX: usize = 160;
/// A key gets a column of its own when at least one span in so many has it.
pub const ATTRIBUTE_COLUMN_SHARE: usize = 200;
/// A directory without spans for so long seals what it has, when that is worth a segment.
pub const SEAL_IDLE_NS: u64 = 10_000_000_000;
/// A memtable smaller than this is not sealed for being idle.
pub const SEAL_IDLE_BYTES_MIN: usize = 8 << 20;
/// A memtable is sealed at the latest at this age.
pub const SEAL_AGE_MAX_NS: u64 = 30 * 60 * 1_000_000_000;

/// Segments of a day and of about the same size that are merged into one.
pub const MERGE_SEGMENTS_MIN: usize = 8;
/// Segments merged at once, at the most.
pub const MERGE_SEGMENTS_MAX: usize = 64;

/// What an OK means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// On disk: the data was synced before the OK.
    #[default]
    Fsync,
    /// With the operating system: survives a crash of Longspan, not a power cut; synced within a second.
    Flush,
    /// In memory: may be lost with the process.
    Async,
}

/// How a store is set up.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where everything lies.
    pub directory: PathBuf,
    /// What an OK means.
    pub durability: Durability,
    /// A memtable is sealed when it holds so many bytes. Up to [`FROZEN_MEMTABLES_MAX`] more wait to be sealed.
    pub memtable_bytes_max: usize,
    /// Unpacked pages of segments that are kept in memory, in bytes.
    pub page_cache_bytes: u64,
    /// Filters and tables of segments that are kept in memory, in bytes.
    pub index_cache_bytes: u64,
    /// So many segments of a day and of about the same size are merged into one; 0 for never.
    pub merge_segments_min: usize,
    /// Appends are refused as retryable when the WAL is larger than this.
    pub wal_bytes_max: u64,
    /// Days that ended longer ago are dropped.
    pub retention_age_ns: Option<u64>,
    /// The oldest days are dropped while the segments take more than this.
    pub retention_bytes: Option<u64>,
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is told of every batch.
    pub observer: Arc<dyn Observer>,
    /// Called first of all on the threads whose work can wait: sealing and merging.
    pub begin_background: fn(),
}

impl StoreOptions {
    /// The defaults, in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        StoreOptions {
            directory: directory.into(),
            durability: Durability::Fsync,
            memtable_bytes_max: 48 << 20,
            page_cache_bytes: 48 << 20,
            index_cache_bytes: 40 << 20,
            merge_segments_min: MERGE_SEGMENTS_MIN,
            wal_bytes_max: 4 << 30,
            retention_age_ns: None,
            retention_bytes: None,
            disk: Arc::new(RealDisk),
            clock: Arc::new(RealClock),
            observer: Arc::new(Unobserved),
            begin_background: || (),
        }
    }
}

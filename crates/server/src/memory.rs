//! How much memory the process may use, and who gets how much of it.
//!
//! The limit is what the settings say, else 60 % of what the control group or the machine has. It is divided among everything that
//! can pile up; what is divided leaves about a quarter for the program itself and for what is not counted (the copy of a body that
//! is being packed, a memtable that is being sealed, the allocator's rest). A setting that does not fit is lowered, never the limit raised.

use std::fs;

use flow::engine::EngineOptions;
use query::Bounds;
use store::StoreOptions;
use store::options::FROZEN_MEMTABLES_MAX;

/// Share of the machine used when nobody sets a limit, in percent.
const DEFAULT_SHARE_PERCENT: u64 = 60;
/// Assumed where the system does not say what it has.
const UNKNOWN_MACHINE_BYTES: u64 = 2 << 30;
/// A smaller limit counts as this: the program itself takes a good part of it.
pub const SMALLEST_LIMIT_BYTES: u64 = 128 << 20;
/// The active memtable, those that wait to be sealed, and a merge.
const MEMTABLES: u64 = FROZEN_MEMTABLES_MAX as u64 + 2;
/// Memtables smaller than this would make a swarm of tiny segments.
const MEMTABLE_MIN_BYTES: u64 = 4 << 20;
/// Requests being received, or decoded, never get more: beyond this the disk is what limits.
const BODIES_MAX_BYTES: u64 = 1 << 30;
const DECODED_MAX_BYTES: u64 = 512 << 20;
/// Memory for the ids of a span while calls between services are counted.
const HELD_SPAN_BYTES: u64 = 56;

/// A message that the engine of flows knows, with its deliveries and what waits for it.
const MESSAGE_BYTES: u64 = 256;
/// Figures of one series or edge within a minute or an hour, both sorts together.
const CELL_BYTES: u64 = 600;

/// The parts of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySplit {
    /// The whole.
    pub limit_bytes: u64,
    /// For requests as received and inflated.
    pub bodies_bytes: u64,
    /// For requests as decoded, until they are in the store.
    pub decoded_bytes: u64,
    /// Largest body that fits, at most what the settings say.
    pub max_body_bytes: u64,
    /// For all memtables of the store together.
    pub memtables_bytes: u64,
    /// For the store's unpacked pages.
    pub page_cache_bytes: u64,
    /// For the filters and tables of the store's segments.
    pub index_cache_bytes: u64,
    /// For one answer.
    pub answer_bytes: u64,
    /// What a connection may send ahead of being read.
    pub connection_bytes: u32,
}

/// What the engine of flows may hold: a thirty-second of the limit for messages, a sixty-fourth for figures.
pub fn engine_options(split: &MemorySplit) -> EngineOptions {
    let messages_max = (split.limit_bytes / 32 / MESSAGE_BYTES).clamp(16_384, 1_000_000) as usize;
    let cells_max = (split.limit_bytes / 64 / CELL_BYTES).clamp(4_096, 131_072) as usize;
    let usual = EngineOptions::default();
    EngineOptions {
        messages_max,
        over_max: usual.over_max.min(messages_max / 4),
        orphans_max: usual.orphans_max.min(messages_max / 4),
        cells_max,
        ..usual
    }
}

/// Divides the limit.
pub fn split(limit_bytes: Option<u64>, max_body_bytes: u64) -> MemorySplit {
    let limit = limit_bytes.unwrap_or_else(|| available_bytes() / 100 * DEFAULT_SHARE_PERCENT);
    let limit = limit.max(SMALLEST_LIMIT_BYTES);
    MemorySplit {
        limit_bytes: limit,
        bodies_bytes: (limit / 16).min(BODIES_MAX_BYTES),
        decoded_bytes: (limit / 16).min(DECODED_MAX_BYTES),
        max_body_bytes: max_body_bytes.min(limit / 32),
        memtables_bytes: limit / 16 * 5,
        page_cache_bytes: limit / 32,
        index_cache_bytes: limit / 32,
        answer_bytes: limit / 32,
        connection_bytes: (limit / 512).clamp(64 << 10, 8 << 20) as u32,
    }
}

/// Divides the store's part: the active memtable, the waiting ones, and the spans of segments that are being merged, which take as
/// much as a memtable. Each may be larger than its bound by one group of requests.
pub fn bound_store(options: &mut StoreOptions, memory: &MemorySplit) {
    let one = (memory.memtables_bytes / MEMTABLES).saturating_sub(memory.decoded_bytes);
    let most = options.memtable_bytes_max as u64;
    options.memtable_bytes_max = one.clamp(MEMTABLE_MIN_BYTES, most.max(MEMTABLE_MIN_BYTES)) as usize;
    options.page_cache_bytes = options.page_cache_bytes.min(memory.page_cache_bytes);
    options.index_cache_bytes = options.index_cache_bytes.min(memory.index_cache_bytes);
}

/// What an answer may take.
pub fn bounds_of_answers(memory: &MemorySplit) -> Bounds {
    let most = Bounds::default();
    Bounds {
        page_bytes_max: most.page_bytes_max.min(memory.answer_bytes as usize),
        spans_held_max: most.spans_held_max.min((memory.answer_bytes / HELD_SPAN_BYTES) as usize),
    }
}

fn available_bytes() -> u64 {
    let machine = machine_bytes().unwrap_or(UNKNOWN_MACHINE_BYTES);
    control_group_bytes().map_or(machine, |group| group.min(machine))
}

fn control_group_bytes() -> Option<u64> {
    // Version 2, then version 1; "max" and absurd numbers mean that there is no limit.
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
}

fn machine_bytes() -> Option<u64> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_stay_within_the_limit() {
        // Guarantees for every limit, from far too small to large, that what can pile up leaves a fifth of it, that a body of the
        // largest size fits with its decoded form, and that no part is more than it is worth.
        for mib in [1, 128, 256, 500, 1 << 10, 4 << 10, 64 << 10, 1 << 20] {
            let split = split(Some(mib << 20), 64 << 20);
            let mut store = StoreOptions::new("x");
            bound_store(&mut store, &split);
            let memtables = MEMTABLES * (store.memtable_bytes_max as u64 + split.decoded_bytes);
            let answers = 2 * bounds_of_answers(&split).page_bytes_max as u64;
            let caches = store.page_cache_bytes + store.index_cache_bytes;
            let all = split.bodies_bytes + split.decoded_bytes + memtables + caches + answers;
            assert!(all <= split.limit_bytes / 5 * 4, "{} of {} MiB", all >> 20, split.limit_bytes >> 20);
            assert!(2 * split.max_body_bytes <= split.bodies_bytes && 2 * split.max_body_bytes <= split.decoded_bytes);
            assert!(store.memtable_bytes_max <= 64 << 20 && store.page_cache_bytes <= 48 << 20);
        }
        assert_eq!(split(Some(4 << 30), 64 << 20).max_body_bytes, 64 << 20);
    }
}

//! How much memory the process may use, and who gets how much of it.
//!
//! The limit is what the settings say, else 60 % of what the control group or the machine has. A quarter of it is for requests
//! that are being received (their bytes as received, inflated, and decoded), half is the store's, the rest is for queries and
//! everything that is not counted.

use std::fs;

use store::StoreOptions;
use store::options::FROZEN_MEMTABLES_MAX;

/// Share of the machine used when nobody sets a limit, in percent.
const DEFAULT_SHARE_PERCENT: u64 = 60;
/// Assumed where the system does not say what it has.
const UNKNOWN_MACHINE_BYTES: u64 = 2 << 30;
/// Memtables smaller than this would make a swarm of tiny segments.
const MEMTABLE_MIN_BYTES: usize = 4 << 20;
/// Requests being received never get more: beyond this the disk is what limits.
const INTAKE_MAX_BYTES: u64 = 1 << 30;

/// The parts of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySplit {
    /// For requests being received.
    pub intake_bytes: u64,
    /// For the store.
    pub store_bytes: u64,
}

/// Divides the limit; a body of the largest size always fits, as received and decoded.
pub fn split(limit_bytes: Option<u64>, max_body_bytes: u64) -> MemorySplit {
    let limit = limit_bytes.unwrap_or_else(|| available_bytes() / 100 * DEFAULT_SHARE_PERCENT);
    let intake_bytes = (limit / 4).clamp(max_body_bytes * 8, INTAKE_MAX_BYTES.max(max_body_bytes * 8));
    MemorySplit { intake_bytes, store_bytes: limit / 2 }
}

/// Divides the store's part: memtables that fill or wait to be sealed.
pub fn bound_store(options: &mut StoreOptions, store_bytes: u64) {
    let memtables = FROZEN_MEMTABLES_MAX as u64 + 1;
    let one = (store_bytes / memtables) as usize;
    options.memtable_bytes_max = options.memtable_bytes_max.min(one).max(MEMTABLE_MIN_BYTES);
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
    fn the_largest_body_always_fits() {
        // Guarantees that a small limit never makes the largest allowed request impossible to receive.
        let split = split(Some(64 << 20), 64 << 20);
        assert!(split.intake_bytes >= 64 << 20);
        assert_eq!(split.store_bytes, 32 << 20);
    }
}

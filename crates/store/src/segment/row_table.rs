//! Rows by the hash of an id: which rows a trace has, which rows carry links to it. Two sections of `index.bin`.
//!
//! ```text
//! entries n u32 · bits of a bucket's number b u8 · bits of a row's number r u8 · 1 if there are counts u8 · 0 u8
//! 2^b times: how many entries the buckets up to this one have u32
//! n times: remainder of the hash u16
//! n times: row, r bits each, lowest bit first; filled up to a whole byte
//! n times: rows u8, if there are counts; 255 for 255 and more
//! for each entry of 255 rows and more: its number u32, rows u32; sorted
//! ```
//!
//! A bucket is the highest *b* bits of the hash, the remainder the next 16; entries are sorted by both. A reader that finds a row has
//! to look at the id there, because hashes are cut off and may be the same.

use std::sync::Arc;

use crate::segment::delta::{bits_at, put_bits};

const HEAD_BYTES: usize = 8;
/// Entries of a bucket, about.
const BUCKET_ENTRIES: usize = 64;
const BUCKET_BITS_MAX: u32 = 32;
/// The count that stands for itself and more.
const MANY: u32 = 255;
const LONG_BYTES: usize = 8;

/// Consecutive rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) row: u32,
    pub(crate) rows: u32,
}

/// A hash with rows that belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) row: u32,
    pub(crate) rows: u32,
}

/// Writes a table; sorts and deduplicates `entries`. Without counts every entry stands for one row.
pub(crate) fn table_to_bytes(entries: &mut Vec<Entry>, has_counts: bool) -> Vec<u8> {
    entries.sort_unstable();
    entries.dedup();
    let bucket_bits = (entries.len() / BUCKET_ENTRIES).checked_ilog2().unwrap_or(0);
    let row_bits = entries.iter().map(|entry| u32::BITS - entry.row.leading_zeros()).max().unwrap_or(0);
    let mut out = Vec::new();
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.extend_from_slice(&[bucket_bits as u8, row_bits as u8, u8::from(has_counts), 0]);
    let mut end = 0;
    for bucket in 0..1usize << bucket_bits {
        end += entries[end..].partition_point(|entry| bucket_of(entry.hash, bucket_bits) <= bucket);
        out.extend_from_slice(&(end as u32).to_le_bytes());
    }
    for entry in entries.iter() {
        out.extend_from_slice(&remainder_of(entry.hash, bucket_bits).to_le_bytes());
    }
    let start = out.len();
    out.resize(start + (entries.len() * row_bits as usize).div_ceil(8), 0);
    for (number, entry) in entries.iter().enumerate() {
        put_bits(&mut out[start..], number * row_bits as usize, row_bits as usize, entry.row.into());
    }
    if has_counts {
        out.extend(entries.iter().map(|entry| entry.rows.min(MANY) as u8));
        for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.rows >= MANY) {
            out.extend_from_slice(&(number as u32).to_le_bytes());
            out.extend_from_slice(&entry.rows.to_le_bytes());
        }
    }
    out
}

fn bucket_of(hash: u64, bits: u32) -> usize {
    hash.checked_shr(u64::BITS - bits).unwrap_or(0) as usize
}

fn remainder_of(hash: u64, bits: u32) -> u16 {
    ((hash << bits) >> 48) as u16
}

/// A table that was read.
#[derive(Debug, Clone)]
pub(crate) struct RowTable {
    bytes: Arc<[u8]>,
    entries: usize,
    bucket_bits: u32,
    row_bits: usize,
    /// Where the parts begin.
    remainders: usize,
    rows: usize,
    /// None if every entry is one row.
    counts: Option<usize>,
}

impl RowTable {
    /// `None` if the bytes do not add up.
    pub(crate) fn new(bytes: Arc<[u8]>) -> Option<RowTable> {
        let entries = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let &[bucket_bits, row_bits, has_counts, _] = bytes.get(4..HEAD_BYTES)? else { return None };
        let (bucket_bits, row_bits) = (u32::from(bucket_bits), usize::from(row_bits));
        if bucket_bits > BUCKET_BITS_MAX || row_bits > 32 {
            return None;
        }
        let remainders = HEAD_BYTES + (4 << bucket_bits);
        let rows = remainders + entries * 2;
        let end = rows + (entries * row_bits).div_ceil(8);
        let counts = (has_counts == 1).then_some(end);
        let least = if counts.is_some() { end + entries } else { end };
        let table = RowTable { bytes, entries, bucket_bits, row_bits, remainders, rows, counts };
        (table.bytes.len() >= least).then_some(table)
    }

    /// Rows that may belong to a hash.
    pub(crate) fn find(&self, hash: u64) -> Vec<Place> {
        let bucket = bucket_of(hash, self.bucket_bits);
        let start = bucket.checked_sub(1).map_or(0, |before| self.bucket_end(before));
        let remainders = self.remainders + start * 2..self.remainders + self.bucket_end(bucket) * 2;
        let wanted = remainder_of(hash, self.bucket_bits).to_le_bytes();
        let bucket = self.bytes.get(remainders).unwrap_or_default().chunks_exact(2);
        let found = (start..).zip(bucket).filter(|(_, remainder)| **remainder == wanted);
        found.filter_map(|(number, _)| self.place(number)).collect()
    }

    fn bucket_end(&self, bucket: usize) -> usize {
        self.u32_at(HEAD_BYTES + bucket * 4).map_or(0, |end| (end as usize).min(self.entries))
    }

    fn place(&self, number: usize) -> Option<Place> {
        let row = bits_at(&self.bytes[self.rows..], number * self.row_bits, self.row_bits)? as u32;
        let rows = match self.counts {
            None => 1,
            Some(counts) => match u32::from(*self.bytes.get(counts + number)?) {
                MANY => self.long_count(counts + self.entries, number)?,
                rows => rows,
            },
        };
        // Rows are counted in 32 bits, so a place that ends beyond is none.
        row.checked_add(rows).map(|_| Place { row, rows })
    }

    fn long_count(&self, from: usize, number: usize) -> Option<u32> {
        let long = self.bytes.get(from..)?;
        let entry = |place: usize| self.u32_at(from + place * LONG_BYTES).map_or(usize::MAX, |entry| entry as usize);
        let (mut low, mut high) = (0, long.len() / LONG_BYTES);
        while low < high {
            let middle = usize::midpoint(low, high);
            if entry(middle) < number { low = middle + 1 } else { high = middle }
        }
        if entry(low) == number { self.u32_at(from + low * LONG_BYTES + 4) } else { None }
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(count: usize) -> impl Strategy<Value = Vec<Entry>> {
        let hash = prop_oneof![any::<u64>(), 0u64..4, Just(u64::MAX)];
        let entry = (hash, 0u32..1 << 31, prop_oneof![1u32..9, 250u32..260, Just(1 << 30)]);
        let entry = entry.prop_map(|(hash, row, rows)| Entry { hash, row, rows });
        proptest::collection::vec(entry, 0..count)
    }

    proptest! {
        #[test]
        fn what_is_put_in_is_found(entries in entries(300), has_counts: bool) {
            // Guarantees that every entry is found with its rows, whatever hashes share, and that what is not there hardly ever is.
            let bytes = table_to_bytes(&mut entries.clone(), has_counts);
            let table = RowTable::new(bytes.into()).unwrap();
            for entry in &entries {
                let rows = if has_counts { entry.rows } else { 1 };
                let place = Place { row: entry.row, rows };
                prop_assert!(table.find(entry.hash).contains(&place));
            }
            let others = (0..100u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555);
            prop_assert!(others.filter(|&hash| !table.find(hash).is_empty()).count() < 5);
        }

        #[test]
        fn any_bytes_are_safe(entries in entries(200), cut in 0usize..2000, flips in proptest::collection::vec((0usize..2000, any::<u8>()), 0..5), hash: u64) {
            // Guarantees that bytes which are no table neither panic nor take much time or memory.
            let mut bytes = table_to_bytes(&mut entries.clone(), true);
            for (place, bits) in flips {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bits;
                }
            }
            bytes.truncate(cut.max(4));
            if let Some(table) = RowTable::new(bytes.into()) {
                for hash in entries.iter().map(|entry| entry.hash).chain([hash]) {
                    let _ = table.find(hash);
                }
            }
        }
    }
}

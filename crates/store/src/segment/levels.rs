//! Parquet's RLE / bit-packed hybrid: levels and dictionary numbers.
//!
//! Format: "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)" of the Parquet encodings. A run's header is a varint: even is
//! a repeated value, odd so many groups of eight values packed lowest bit first.

use crate::segment::varint::{put_varint, varint};

/// Reads a hybrid stream of values of `width` bits.
#[derive(Debug, Clone)]
pub(crate) struct Hybrid<'a> {
    bytes: &'a [u8],
    at: usize,
    width: usize,
    run: Run,
    left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    Repeated(u32),
    /// Values from this bit on.
    Packed(usize),
}

impl<'a> Hybrid<'a> {
    pub(crate) fn new(bytes: &'a [u8], width: usize) -> Self {
        Hybrid { bytes, at: 0, width, run: Run::Repeated(0), left: 0 }
    }

    /// Passes over `count` values; `None` if there are not so many.
    pub(crate) fn skip(&mut self, mut count: usize) -> Option<()> {
        while count > 0 {
            self.fill()?;
            let step = count.min(self.left);
            if let Run::Packed(bit) = &mut self.run {
                *bit += step * self.width;
            }
            self.left -= step;
            count -= step;
        }
        Some(())
    }

    /// Hands out `count` values; `None` if there are not so many.
    pub(crate) fn take(&mut self, mut count: usize, mut value: impl FnMut(u32)) -> Option<()> {
        while count > 0 {
            self.fill()?;
            let step = count.min(self.left);
            match &mut self.run {
                Run::Repeated(repeated) => (0..step).for_each(|_| value(*repeated)),
                Run::Packed(bit) => {
                    for number in 0..step {
                        value(packed_at(self.bytes, *bit + number * self.width, self.width));
                    }
                    *bit += step * self.width;
                }
            }
            self.left -= step;
            count -= step;
        }
        Some(())
    }

    /// The next run as a whole: how many values, and the value if it is a repeated one.
    pub(crate) fn run(&mut self) -> Option<(usize, Option<u32>)> {
        self.fill()?;
        let value = match self.run {
            Run::Repeated(value) => Some(value),
            Run::Packed(_) => None,
        };
        Some((self.left, value))
    }

    /// Takes `count` values of the next run, which is a packed one of single bits: hands out several at once, the first lowest,
    /// with how many they are. `None` if the next run is no such run, or shorter.
    pub(crate) fn take_bits(&mut self, count: usize, mut bits: impl FnMut(u64, usize)) -> Option<()> {
        self.fill()?;
        let Run::Packed(start) = self.run else { return None };
        if self.width != 1 || count > self.left {
            return None;
        }
        for taken in (0..count).step_by(BITS_AT_A_TIME) {
            let step = (count - taken).min(BITS_AT_A_TIME);
            bits(word_at(self.bytes, start + taken) & ((1 << step) - 1), step);
        }
        self.run = Run::Packed(start + count);
        self.left -= count;
        Some(())
    }

    fn fill(&mut self) -> Option<()> {
        while self.left == 0 {
            let header = varint(self.bytes, &mut self.at)?;
            if header & 1 == 0 {
                self.left = (header >> 1) as usize;
                let bytes = self.width.div_ceil(8);
                let value = self.bytes.get(self.at..self.at + bytes)?;
                self.at += bytes;
                self.run = Run::Repeated(value.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)));
            } else {
                let groups = (header >> 1) as usize;
                self.run = Run::Packed(self.at * 8);
                // The last group may be cut short in the file; reading beyond the end gives zeros.
                self.left = groups.checked_mul(8)?;
                self.at = self.at.checked_add(groups.checked_mul(self.width)?)?;
            }
        }
        Some(())
    }
}

/// How many bits [`Hybrid::take_bits`] hands out at once: as many as eight bytes hold wherever the first one begins in its byte.
pub(crate) const BITS_AT_A_TIME: usize = 56;

/// `width` bits, at most 32, from bit `bit` on.
fn packed_at(bytes: &[u8], bit: usize, width: usize) -> u32 {
    word_at(bytes, bit) as u32 & ((1u64 << width) - 1) as u32
}

/// At least [`BITS_AT_A_TIME`] bits from bit `bit` on; zeros beyond the end.
fn word_at(bytes: &[u8], bit: usize) -> u64 {
    let first = bit / 8;
    let word = if let Some(eight) = bytes.get(first..first + 8) {
        u64::from_le_bytes(eight.try_into().expect("eight bytes"))
    } else {
        let rest = bytes.get(first..).unwrap_or_default();
        rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    };
    word >> (bit % 8)
}

/// So many equal values become a repeated run. Shorter runs would be smaller here and larger once zstd has been over it, which finds
/// the patterns of packed bits again as long as no lengths of runs come between them.
const REPEATED_MIN: usize = 64;

/// Writes a hybrid stream of `count` values of one bit, eight a byte, the first one lowest.
pub(crate) fn put_bits_hybrid(bits: &[u8], count: usize, out: &mut Vec<u8>) {
    let ones = |byte: usize| u8::MAX >> (8 - (count - byte * 8).min(8));
    let repeated = |byte: usize| match bits[byte] {
        0 => Some(0),
        value if value == ones(byte) => Some(1),
        _ => None,
    };
    let (mut packed_from, mut at) = (0, 0);
    while at < bits.len() {
        let value = repeated(at);
        let mut end = at + 1;
        while value.is_some() && end < bits.len() && repeated(end) == value {
            end += 1;
        }
        let values = (end * 8).min(count) - at * 8;
        if let (Some(value), true) = (value, values >= REPEATED_MIN || values == count) {
            put_packed_bits(&bits[packed_from..at], out);
            put_varint((values as u64) << 1, out);
            out.push(value);
            packed_from = end;
        }
        at = end;
    }
    put_packed_bits(&bits[packed_from..], out);
}

fn put_packed_bits(bits: &[u8], out: &mut Vec<u8>) {
    if !bits.is_empty() {
        put_varint((bits.len() as u64) << 1 | 1, out);
        out.extend_from_slice(bits);
    }
}

/// Writes a hybrid stream of values of `width` bits.
///
/// Many equal values in a row become a repeated run; everything between is packed in groups of eight, the last of them filled up
/// with zeros.
pub(crate) fn put_hybrid(values: &[u32], width: usize, out: &mut Vec<u8>) {
    let mut packed_from = 0;
    let mut at = 0;
    while at < values.len() {
        let value = values[at];
        let mut end = at + 1;
        while end < values.len() && values[end] == value {
            end += 1;
        }
        // A packed run is a whole number of groups, so it takes what it needs of the equal values.
        let borrowed = (8 - (at - packed_from) % 8) % 8;
        if end - at >= borrowed + REPEATED_MIN {
            put_packed(&values[packed_from..at + borrowed], width, out);
            put_varint(((end - at - borrowed) as u64) << 1, out);
            out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8)]);
            packed_from = end;
        }
        at = end;
    }
    put_packed(&values[packed_from..], width, out);
}

fn put_packed(values: &[u32], width: usize, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    put_varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width;
    let (mut word, mut bits) = (0u64, 0);
    for &value in values {
        word |= u64::from(value) << bits;
        bits += width;
        while bits >= 8 {
            out.push(word as u8);
            word >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(word as u8);
    }
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hybrid_round_trip(runs in proptest::collection::vec((0u32..9, 1usize..200), 0..40), width in 4usize..20) {
            // Guarantees that any mixture of runs and single values comes back.
            let values: Vec<u32> = runs.iter().flat_map(|&(value, count)| vec![value; count]).collect();
            let mut bytes = Vec::new();
            put_hybrid(&values, width, &mut bytes);
            let mut read = Vec::new();
            Hybrid::new(&bytes, width).take(values.len(), |value| read.push(value)).unwrap();
            prop_assert_eq!(read, values);
        }
    }

    proptest! {
        #[test]
        fn bits_round_trip(runs in proptest::collection::vec((0u32..2, 1usize..200), 0..20)) {
            // Guarantees that any mixture of runs of bits and single ones comes back, and that equal ones are a single run.
            let values: Vec<u32> = runs.iter().flat_map(|&(value, count)| vec![value; count]).collect();
            let pack = |group: &[u32]| group.iter().rev().fold(0, |byte, &bit| byte << 1 | bit as u8);
            let mut bytes = Vec::new();
            put_bits_hybrid(&values.chunks(8).map(pack).collect::<Vec<u8>>(), values.len(), &mut bytes);
            let mut read = Vec::new();
            Hybrid::new(&bytes, 1).take(values.len(), |value| read.push(value)).unwrap();
            prop_assert_eq!(&read, &values);
            if let Some(&first) = values.first().filter(|first| values.iter().all(|value| value == *first)) {
                prop_assert_eq!(Hybrid::new(&bytes, 1).run(), Some((values.len(), Some(first))));
            }
        }
    }

    #[test]
    fn runs_and_groups() {
        // Guarantees both kinds of runs, skipping into the middle of each, and a clean end.
        // 5 times 3, then the eight values 0..8 of three bits (the example of the format's description).
        let bytes = [10, 3, 3, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        let all = |skip: usize| {
            let mut hybrid = Hybrid::new(&bytes, 3);
            let mut values = Vec::new();
            hybrid.skip(skip).unwrap();
            hybrid.take(13 - skip, |value| values.push(value)).unwrap();
            values
        };
        let expected = [3, 3, 3, 3, 3, 0, 1, 2, 3, 4, 5, 6, 7];
        for skip in 0..13 {
            assert_eq!(all(skip), expected[skip..]);
        }
        assert!(Hybrid::new(&bytes, 3).skip(14).is_none());
        assert!(Hybrid::new(&[], 3).skip(1).is_none());
    }
}

//! Integer encodings of Parquet: DELTA_BINARY_PACKED and BYTE_STREAM_SPLIT, both ways.
//!
//! Delta: blocks of [`BLOCK`] values in [`MINIBLOCKS`] miniblocks, each with its own bit width; what is stored is the
//! difference to the value before, less the smallest difference of the block. Split: the first bytes of all values, then the
//! second bytes, and so on, so that a compressor finds the bytes that hardly change side by side.

use crate::segment::varint::{put_varint, put_zigzag, varint, zigzag};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;
/// A page never has more values.
const VALUES_MAX: usize = 8 << 20;

/// Packs integers.
pub(crate) fn pack_delta(values: &[i64], out: &mut Vec<u8>) {
    put_varint(BLOCK as u64, out);
    put_varint(MINIBLOCKS as u64, out);
    put_varint(values.len() as u64, out);
    let Some(&first) = values.first() else {
        return put_zigzag(0, out);
    };
    put_zigzag(first, out);
    let mut deltas = Vec::with_capacity(BLOCK);
    for (number, block) in values[1..].chunks(BLOCK).enumerate() {
        deltas.clear();
        let mut before = values[number * BLOCK];
        for &value in block {
            deltas.push(value.wrapping_sub(before));
            before = value;
        }
        pack_block(&deltas, out);
    }
}

fn pack_block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    put_zigzag(least, out);
    let widths = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    for (number, miniblock) in deltas.chunks(MINIBLOCK).enumerate() {
        let most = miniblock.iter().map(|delta| delta.wrapping_sub(least) as u64).max().unwrap_or(0);
        let width = (u64::BITS - most.leading_zeros()) as usize;
        out[widths + number] = width as u8;
        let start = out.len();
        out.resize(start + MINIBLOCK * width / 8, 0);
        for (place, delta) in miniblock.iter().enumerate() {
            put_bits(&mut out[start..], place * width, width, delta.wrapping_sub(least) as u64);
        }
    }
}

/// Puts `width` bits, at most 64, from bit `bit` on, where zeros are.
pub(super) fn put_bits(bytes: &mut [u8], bit: usize, width: usize, value: u64) {
    let word = u128::from(value) << (bit % 8);
    let touched = (bit % 8 + width).div_ceil(8);
    for (byte, part) in bytes[bit / 8..].iter_mut().zip(word.to_le_bytes()).take(touched) {
        *byte |= part;
    }
}

/// Unpacks `count` integers; `None` if the bytes are not so many.
pub(crate) fn unpack_delta(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    let mut at = 0;
    let block = usize::try_from(varint(bytes, &mut at)?).ok()?;
    let miniblocks = usize::try_from(varint(bytes, &mut at)?).ok()?;
    let total = usize::try_from(varint(bytes, &mut at)?).ok()?;
    if miniblocks == 0 || block == 0 || !block.is_multiple_of(miniblocks) || total != count || block > 1 << 20 {
        return None;
    }
    let per_miniblock = block / miniblocks;
    let mut value = zigzag(bytes, &mut at)?;
    let mut values = Vec::with_capacity(count.min(VALUES_MAX));
    values.push(value);
    while values.len() < count {
        let least = zigzag(bytes, &mut at)?;
        let widths = bytes.get(at..at + miniblocks)?;
        at += miniblocks;
        for &width in widths {
            if values.len() == count {
                break;
            }
            let length = per_miniblock * usize::from(width) / 8;
            let packed = bytes.get(at..(at + length).min(bytes.len()))?;
            at += length;
            for number in 0..per_miniblock.min(count - values.len()) {
                let delta = bits_at(packed, number * usize::from(width), usize::from(width))?;
                value = value.wrapping_add(least).wrapping_add(delta as i64);
                values.push(value);
            }
        }
    }
    Some(values)
}

/// `width` bits, at most 64, from bit `bit` on.
pub(super) fn bits_at(bytes: &[u8], bit: usize, width: usize) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let (first, last) = (bit / 8, (bit + width - 1) / 8);
    if width > 64 || last >= bytes.len() {
        return None;
    }
    let word = match bytes.get(first..first + 8) {
        Some(eight) if last < first + 8 => u128::from(u64::from_le_bytes(eight.try_into().expect("eight bytes"))),
        _ => bytes[first..=last].iter().rev().fold(0u128, |word, &byte| word << 8 | u128::from(byte)),
    };
    let mask = u64::MAX >> (64 - width);
    Some((word >> (bit % 8)) as u64 & mask)
}

/// Splits 8-byte values into streams of their bytes.
pub(crate) fn split(values: &[i64], out: &mut Vec<u8>) {
    for byte in 0..8 {
        out.extend(values.iter().map(|value| value.to_le_bytes()[byte]));
    }
}

/// One of the values of `streams`.
pub(crate) fn joined(streams: &[u8], place: usize) -> Option<i64> {
    let count = streams.len() / 8;
    if place >= count {
        return None;
    }
    Some(i64::from_le_bytes(std::array::from_fn(|byte| streams[byte * count + place])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(values in proptest::collection::vec(prop_oneof![any::<i64>(), -9i64..9, Just(1 << 40)], 1..700)) {
            // Guarantees that any integers, of any width and number, come back from both encodings.
            let mut packed = Vec::new();
            pack_delta(&values, &mut packed);
            prop_assert_eq!(unpack_delta(&packed, values.len()), Some(values.clone()));
            let mut streams = Vec::new();
            split(&values, &mut streams);
            let back: Option<Vec<i64>> = (0..values.len()).map(|place| joined(&streams, place)).collect();
            prop_assert_eq!(joined(&streams, values.len()), None);
            prop_assert_eq!(back, Some(values));
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in 0usize..400) {
            // Guarantees that bytes which are no deltas neither panic nor take much memory.
            let _ = unpack_delta(&bytes, count);
            let _ = joined(&bytes, count);
        }
    }
}

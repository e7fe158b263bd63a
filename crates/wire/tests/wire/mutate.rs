//! Damage to bodies: the same for the bounded tests and for the fuzzers' first corpus. Needs nothing but `std`.

/// A small random generator, so that a case is a number.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Pieces that have broken parsers before.
const PIECES: [&[u8]; 12] = [
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
    b"\x0a\x00",
    b"\x0b",
    b"\x0c",
    b"null",
    b"1e999",
    b"-9223372036854775809",
    b"\"\\ud800\"",
    b"[[[[[[[[",
    b"{\"\":",
];

/// Damages a body in a few places; `other` is where foreign parts come from.
pub(crate) fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let (from, to) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
        let (start, end) = (from.min(to), from.max(to));
        match random.below(7) {
            0 if !bytes.is_empty() => {
                let place = random.below(bytes.len());
                bytes[place] ^= 1 << random.below(8);
            }
            1 if !bytes.is_empty() => {
                let place = random.below(bytes.len());
                bytes[place] = random.next() as u8;
            }
            2 => bytes.truncate(end),
            3 => drop(bytes.splice(start..start, PIECES[random.below(PIECES.len())].iter().copied())),
            4 => drop(bytes.drain(start..end.min(start + 8))),
            5 => {
                let copied = bytes[start..end.min(start + 64)].to_vec();
                bytes.splice(end..end, copied);
            }
            _ => {
                let place = random.below(other.len() + 1);
                bytes.extend_from_slice(&other[place..]);
            }
        }
    }
    bytes
}

//! Set filters on disk: BinaryFuse8, about nine bits a key, one false hit in 256.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// Builds a filter over distinct keys; sorts and deduplicates `keys` in doing so. No keys give no bytes.
pub(crate) fn build_filter(keys: &mut Vec<u64>) -> Vec<u8> {
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Vec::new();
    }
    let filter = BinaryFuse8::try_from_iterator(keys.iter().copied()).expect("distinct keys always make a filter");
    let mut bytes = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut bytes);
    bytes.extend_from_slice(filter.dma_fingerprints());
    bytes
}

/// Whether `key` may be in the set that `filter` was built over. Bytes that are no filter may contain anything.
pub(crate) fn filter_may_contain(filter: &[u8], key: u64) -> bool {
    if filter.is_empty() {
        return false;
    }
    if filter.len() <= BinaryFuse8::DESCRIPTOR_LEN {
        return true;
    }
    let (descriptor, fingerprints) = filter.split_at(BinaryFuse8::DESCRIPTOR_LEN);
    if !adds_up(descriptor, fingerprints.len()) {
        return true;
    }
    BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&key)
}

/// Whether all places that a descriptor leads to lie among so many fingerprints: seed u64, length of a segment u32, a power of two; its mask
/// u32; length of all segments but two u32.
fn adds_up(descriptor: &[u8], fingerprints: usize) -> bool {
    let number = |at: usize| {
        let bytes = descriptor.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(bytes.map_or(0, u32::from_le_bytes))
    };
    let (segment, mask, all) = (number(8), number(12), number(16));
    segment.is_power_of_two()
        && mask == segment - 1
        && all.is_multiple_of(segment)
        && all + 2 * segment <= (fingerprints as u64).min(u32::MAX.into())
}

#[cfg(test)]
mod tests {
    use model::text::hash_text;

    use super::*;

    #[test]
    fn no_false_negatives() {
        // Guarantees that every key of a set is found, that few others are, and that small sets work too.
        for count in [1usize, 2, 3, 10, 5000] {
            let hashes = |range: std::ops::Range<usize>| range.map(|i| hash_text(&i.to_le_bytes())).collect::<Vec<_>>();
            let filter = build_filter(&mut [hashes(0..count), hashes(0..count)].concat());
            assert!(hashes(0..count).iter().all(|&key| filter_may_contain(&filter, key)));
            let false_hits = hashes(10_000..20_000).iter().filter(|&&key| filter_may_contain(&filter, key)).count();
            assert!(false_hits < 120, "{false_hits} false hits of 10,000 with {count} keys");
        }
        assert!(!filter_may_contain(&build_filter(&mut vec![]), 1));
    }

    #[test]
    fn what_does_not_add_up_may_contain_anything() {
        // Guarantees that a filter whose numbers lead beyond its bytes denies nothing, rather than being read beyond its end.
        let filter = build_filter(&mut (0..100).collect());
        for place in 8..BinaryFuse8::DESCRIPTOR_LEN {
            let mut damaged = filter.clone();
            damaged[place] = 0xff;
            assert!((0..1000).all(|key| filter_may_contain(&damaged, key)), "byte {place}");
        }
        assert!((0..1000).all(|key| filter_may_contain(&filter[..filter.len() - 1], key)));
    }
}

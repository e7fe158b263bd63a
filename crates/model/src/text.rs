//! The table of distinct texts of a batch: each text is stored and hashed once, and named by a small number.
//!
//! Texts are bytes: most are UTF-8 strings, some are the bytes of a `bytes` attribute value. The hashes are xxh3-64 and are
//! carried along when texts move from batch to batch and into the filters on disk, so that no text is hashed twice.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The number of a text in its [`TextTable`]. Number 0 is always the empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TextId(pub u32);

impl TextId {
    /// The empty text, in every table.
    pub const EMPTY: TextId = TextId(0);

    /// The place of the text in the table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Distinct texts, numbered in the order of their first use.
#[derive(Clone)]
pub struct TextTable {
    bytes: Vec<u8>,
    /// Where each text ends in `bytes`.
    ends: Vec<u32>,
    hashes: Vec<u64>,
    slots: HashTable<u32>,
}

impl Default for TextTable {
    fn default() -> Self {
        let mut table = TextTable { bytes: Vec::new(), ends: Vec::new(), hashes: Vec::new(), slots: HashTable::new() };
        table.intern(b"");
        table
    }
}

impl TextTable {
    /// The number of `text`, which is added if it is new.
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> TextId {
        self.intern_hashed(text, hash_text(text))
    }

    /// As [`TextTable::intern`], for a text whose hash is known already.
    pub fn intern_hashed(&mut self, text: &[u8], hash: u64) -> TextId {
        let TextTable { bytes, ends, hashes, slots } = self;
        let same = |&id: &u32| hashes[id as usize] == hash && text_at(bytes, ends, id) == text;
        if let Some(&id) = slots.find(hash, same) {
            return TextId(id);
        }
        let id = u32::try_from(ends.len()).expect("a batch holds fewer than 2^32 texts");
        bytes.extend_from_slice(text);
        ends.push(u32::try_from(bytes.len()).expect("the texts of a batch are smaller than 4 GiB"));
        hashes.push(hash);
        slots.insert_unique(hash, id, |&id| hashes[id as usize]);
        TextId(id)
    }

    /// The number of `text`, if it is in the table.
    pub fn find(&self, text: &[u8]) -> Option<TextId> {
        let hash = hash_text(text);
        let same = |&id: &u32| self.hashes[id as usize] == hash && self.bytes(TextId(id)) == text;
        self.slots.find(hash, same).map(|&id| TextId(id))
    }

    /// The bytes of a text.
    #[inline]
    pub fn bytes(&self, id: TextId) -> &[u8] {
        text_at(&self.bytes, &self.ends, id.0)
    }

    /// The text as a string; empty for the bytes of a `bytes` value that are not UTF-8.
    pub fn str(&self, id: TextId) -> &str {
        std::str::from_utf8(self.bytes(id)).unwrap_or_default()
    }

    /// The hash of a text, see [`hash_text`].
    pub fn hash(&self, id: TextId) -> u64 {
        self.hashes[id.index()]
    }

    /// How many texts there are, the empty one included.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether only the empty text is in the table.
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.hashes.capacity() * 8 + self.slots.allocation_size()
    }

    /// Gives unused memory back.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.hashes.shrink_to_fit();
    }
}

#[inline]
fn text_at<'a>(bytes: &'a [u8], ends: &[u32], id: u32) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &bytes[start..ends[id] as usize]
}

/// The hash of a text everywhere in Longspan, on disk too: xxh3-64 without a seed.
#[inline]
pub fn hash_text(text: &[u8]) -> u64 {
    xxh3_64(text)
}

impl std::fmt::Debug for TextTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = (0..self.len()).map(|i| String::from_utf8_lossy(self.bytes(TextId(i as u32))));
        f.debug_list().entries(texts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number() {
        // Guarantees that equal texts share a number, different ones do not, and the empty text is number 0.
        let mut table = TextTable::default();
        let a = table.intern(b"order");
        let b = table.intern(b"payment");
        assert_eq!(table.intern(b"order"), a);
        assert_ne!(a, b);
        assert_eq!(table.intern(b""), TextId::EMPTY);
        assert_eq!(table.str(b), "payment");
        assert_eq!(table.find(b"order"), Some(a));
        assert_eq!(table.find(b"nothing"), None);
        assert_eq!(table.len(), 3);
    }
}

//! The words of a text, by which logs are searched: what a filter over a block of records knows of them.
//!
//! A word is a run of letters, digits and `_`, in lower case. A search for a text finds records that contain it from border to border
//! of words, whatever the case; so a record that is found has all words of the text, and a block whose filter lacks one of them need
//! not be read. Sealing and searching both take words from here, and nowhere else.

use model::Level;
use model::attributes::pair_hash;
use model::text::hash_text;

/// Of longer words only the beginning is hashed.
const WORD_BYTES_MAX: usize = 64;
/// The key under which the filters know words.
const WORD_KEY: &[u8] = b"\0word";

/// Calls `found` with each word of a text, in order, repeated ones again.
pub fn each_word(text: &str, mut found: impl FnMut(&str)) {
    if text.is_ascii() {
        let mut word = String::with_capacity(WORD_BYTES_MAX);
        for run in text.as_bytes().split(|byte| !is_word_byte(*byte)).filter(|run| !run.is_empty()) {
            word.clear();
            word.extend(run.iter().take(WORD_BYTES_MAX).map(|byte| char::from(byte.to_ascii_lowercase())));
            found(&word);
        }
        return;
    }
    // First to lower case: what a letter becomes may be more than one, and not all of them letters.
    for run in lower_case(text).split(|c: char| !is_word_char(c)).filter(|run| !run.is_empty()) {
        found(&run[..run.floor_char_boundary(WORD_BYTES_MAX)]);
    }
}

/// The hash by which filters know that a record has a word.
pub fn word_hash(word: &str) -> u64 {
    pair_hash(Level::Span, hash_text(WORD_KEY), hash_text(word.as_bytes()))
}

/// The hashes of all words of a text.
pub fn word_hashes(text: &str) -> Vec<u64> {
    let mut hashes = Vec::new();
    each_word(text, |word| hashes.push(word_hash(word)));
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A text to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    lower: String,
    begins_with_word: bool,
    ends_with_word: bool,
}

impl Needle {
    /// Looks for `text`; nothing if there is no word in it, which every record would have.
    pub fn new(text: &str) -> Option<Needle> {
        let lower = lower_case(text.trim());
        let (first, last) = (lower.chars().next()?, lower.chars().next_back()?);
        let needle = Needle { begins_with_word: is_word_char(first), ends_with_word: is_word_char(last), lower };
        needle.lower.chars().any(is_word_char).then_some(needle)
    }

    /// What is looked for, in lower case.
    pub fn text(&self) -> &str {
        &self.lower
    }

    /// Hashes that the filter of every block with such a record has.
    pub fn hashes(&self) -> Vec<u64> {
        word_hashes(&self.lower)
    }

    /// Whether a text contains it from border to border of words.
    pub fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() && self.lower.is_ascii() {
            return self.is_in_ascii(text.as_bytes());
        }
        let lower = lower_case(text);
        let is_border = |(at, found): (usize, &str)| {
            let before = lower[..at].chars().next_back().is_some_and(is_word_char);
            let after = lower[at + found.len()..].chars().next().is_some_and(is_word_char);
            !(self.begins_with_word && before || self.ends_with_word && after)
        };
        lower.match_indices(&self.lower).any(is_border)
    }

    fn is_in_ascii(&self, text: &[u8]) -> bool {
        let (needle, first) = (self.lower.as_bytes(), self.lower.as_bytes()[0]);
        let last = text.len().saturating_sub(needle.len() - 1);
        (0..last).any(|at| {
            text[at].to_ascii_lowercase() == first
                && text[at..at + needle.len()].eq_ignore_ascii_case(needle)
                && !(self.begins_with_word && at > 0 && is_word_byte(text[at - 1]))
                && !(self.ends_with_word && text.get(at + needle.len()).is_some_and(|&byte| is_word_byte(byte)))
        })
    }
}

/// Lower case, letter by letter: as [`each_word`] has it, wherever a letter stands.
fn lower_case(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        // Guarantees what a word is, in any script and case.
        assert_eq!(words("GET /orders/42?id=a_b-C"), ["get", "orders", "42", "id", "a_b", "c"]);
        assert_eq!(words("Größe: 3µm – ÄRGER"), ["größe", "3µm", "ärger"]);
        assert_eq!(words(" .,; "), Vec::<String>::new());
    }

    #[test]
    fn a_text_is_found_between_borders_of_words() {
        // Guarantees that a word is found whole and not inside others, and that a phrase is found with what is between its words.
        let found = |needle: &str, text: &str| Needle::new(needle).is_some_and(|needle| needle.is_in(text));
        assert!(found("timeout", "Read TIMEOUT."));
        assert!(!found("time", "Read timeout."));
        assert!(found("order-17", "order-17 is late") && !found("order-17", "order-170 is late"));
        assert!(found("connection refused", "Connection refused: 10.0.0.1"));
        assert!(found("ärger", "Viel ÄRGER") && !found("ärge", "Viel ÄRGER"));
        assert!(found("a", "aa a") && !found("a", "aa"));
        assert_eq!(Needle::new(" -- "), None);
    }

    proptest! {
        #[test]
        fn what_is_found_has_all_its_words(text in "[a-cA-C_ .ÄäİßΣ-]{0,24}", start in 0usize..24, length in 1usize..9) {
            // Guarantees that filters over words never hide a record that contains the text.
            let part: String = text.chars().skip(start).take(length).collect();
            for part in [part.as_str(), "a", "b c", "Ä"] {
                if let Some(needle) = Needle::new(part) && needle.is_in(&text) {
                    let known = word_hashes(&text);
                    prop_assert!(needle.hashes().iter().all(|hash| known.contains(hash)), "{part:?} in {text:?}");
                }
            }
        }
    }
}

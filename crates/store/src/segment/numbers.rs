//! How a column of integers is encoded: by a dictionary or not.

use hashbrown::HashTable;

use crate::segment::encode::Values;

/// Columns of integers with more distinct values are not worth a dictionary.
const DISTINCT_INTEGERS_MAX: usize = 4096;

/// Something kept for each distinct integer.
#[derive(Debug)]
pub(super) struct Distinct<T> {
    table: HashTable<(i64, T)>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Distinct { table: HashTable::new() }
    }
}

impl<T> Distinct<T> {
    pub(super) fn entry(&mut self, value: i64, new: impl FnOnce() -> T) -> &mut T {
        let hash = |value: i64| (value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let entry = self.table.entry(hash(value), |(known, _)| *known == value, |(known, _)| hash(*known));
        &mut entry.or_insert_with(|| (value, new())).into_mut().1
    }
}

/// Integers by a dictionary if there are few distinct ones, else as streams of their bytes (8 wide) or as they are (4 wide).
pub(super) fn integers(values: Vec<i64>, width: usize) -> Values {
    let mut known: Distinct<u32> = Distinct::default();
    let (mut plain, mut numbers, mut distinct) = (Vec::new(), Vec::with_capacity(values.len()), 0);
    for &value in &values {
        let number = *known.entry(value, || {
            plain.extend_from_slice(&value.to_le_bytes()[..width]);
            distinct += 1;
            distinct as u32 - 1
        });
        numbers.push(number);
        if distinct > DISTINCT_INTEGERS_MAX {
            break;
        }
    }
    if distinct <= DISTINCT_INTEGERS_MAX && (distinct * 2 <= values.len() || distinct <= 64) {
        return Values::Dictionary { numbers, distinct, plain };
    }
    if width == 8 {
        return Values::Split(values);
    }
    Values::Fixed {
        width,
        bytes: values.iter().flat_map(|value| value.to_le_bytes().into_iter().take(width)).collect(),
    }
}

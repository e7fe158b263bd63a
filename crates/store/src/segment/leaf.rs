//! Values of one column for some rows, out of the pages that hold them.

use std::ops::Range;
use std::sync::Arc;

use model::{TextId, TextTable};

use crate::segment::page::{Damage, Levels, Page};

/// Rows of a page, with the dictionary its numbers refer to.
#[derive(Debug, Clone)]
pub(crate) struct PageRows {
    pub(crate) page: Arc<Page>,
    pub(crate) dictionary: Option<Arc<Page>>,
    /// Within the page.
    pub(crate) rows: Range<usize>,
}

const SHORT: Damage = "a page has fewer values than rows";
const NO_DICTIONARY: Damage = "numbers without a dictionary";

impl PageRows {
    fn dictionary(&self) -> Result<&Page, Damage> {
        self.dictionary.as_deref().ok_or(NO_DICTIONARY)
    }

    fn is_empty(&self) -> bool {
        matches!(self.page.levels, Levels::Nothing) || self.page.values_of(&self.rows).is_empty()
    }

    /// Hands out the bytes of each value of the rows.
    pub(crate) fn each_bytes(&self, mut out: impl FnMut(&[u8])) -> Result<(), Damage> {
        let values = self.page.values_of(&self.rows);
        if values.is_empty() {
            return Ok(());
        }
        let mut damage = None;
        let numbers =
            self.page.numbers(&values, |number| match self.dictionary().map(|page| page.bytes(number as usize)) {
                Ok(Some(bytes)) => out(bytes),
                _ => damage = Some(NO_DICTIONARY),
            });
        if let Some(read) = numbers {
            return read.and(damage.map_or(Ok(()), Err));
        }
        for value in values {
            out(self.page.bytes(value).ok_or(SHORT)?);
        }
        Ok(())
    }

    /// Hands out each value of the rows as a number.
    pub(crate) fn each_number(&self, mut out: impl FnMut(i64)) -> Result<(), Damage> {
        let values = self.page.values_of(&self.rows);
        if values.is_empty() {
            return Ok(());
        }
        let mut damage = None;
        let numbers =
            self.page.numbers(&values, |number| match self.dictionary().map(|page| page.number(number as usize)) {
                Ok(Some(value)) => out(value),
                _ => damage = Some(NO_DICTIONARY),
            });
        if let Some(read) = numbers {
            return read.and(damage.map_or(Ok(()), Err));
        }
        for value in values {
            out(self.page.number(value).ok_or(SHORT)?);
        }
        Ok(())
    }

    /// Interns each distinct text of the rows once, and hands out each value's number in `text`.
    pub(crate) fn each_text(&self, text: &mut TextTable, mut out: impl FnMut(TextId)) -> Result<(), Damage> {
        let values = self.page.values_of(&self.rows);
        if values.is_empty() {
            return Ok(());
        }
        let mut numbers = Vec::with_capacity(values.len());
        match self.page.numbers(&values, |number| numbers.push(number)) {
            Some(read) => read?,
            None => return self.each_bytes(|bytes| out(text.intern(bytes))),
        }
        let dictionary = self.dictionary()?;
        let mut known = Known::new(dictionary.rows, numbers.len());
        for number in numbers {
            let id = if let Some(id) = known.get(number) {
                id
            } else {
                let id = text.intern(dictionary.bytes(number as usize).ok_or(NO_DICTIONARY)?);
                known.put(number, id);
                id
            };
            out(id);
        }
        Ok(())
    }
}

/// Which dictionary entries have been interned: a list for a few values, a table for many.
enum Known {
    Few(Vec<(u32, TextId)>),
    Many(Vec<u32>),
}

const FEW: usize = 48;

impl Known {
    fn new(dictionary: usize, values: usize) -> Self {
        if values <= FEW { Known::Few(Vec::new()) } else { Known::Many(vec![u32::MAX; dictionary]) }
    }

    fn get(&self, number: u32) -> Option<TextId> {
        match self {
            Known::Few(list) => list.iter().find(|(known, _)| *known == number).map(|(_, id)| *id),
            Known::Many(table) => table.get(number as usize).filter(|&&id| id != u32::MAX).map(|&id| TextId(id)),
        }
    }

    fn put(&mut self, number: u32, id: TextId) {
        match self {
            Known::Few(list) => list.push((number, id)),
            Known::Many(table) => table[number as usize] = id.0,
        }
    }
}

/// Spreads values over rows: calls `row` with the place of each row that has a value.
fn present_rows(pages: &[PageRows]) -> impl Iterator<Item = usize> {
    let mut base = 0;
    let rows = pages.iter().flat_map(move |pages| {
        let start = base;
        base += pages.rows.len();
        let first = pages.rows.start;
        pages.rows.clone().filter(|&row| pages.page.is_present(row)).map(move |row| start + row - first)
    });
    rows.into_iter()
}

fn row_count(pages: &[PageRows]) -> usize {
    pages.iter().map(|pages| pages.rows.len()).sum()
}

/// A flat text column; `None` if no row has a value.
pub(crate) fn texts(pages: &[PageRows], text: &mut TextTable) -> Result<Option<Vec<Option<TextId>>>, Damage> {
    if pages.iter().all(PageRows::is_empty) {
        return Ok(None);
    }
    let mut out = vec![None; row_count(pages)];
    let mut places = present_rows(pages);
    for page in pages {
        page.each_text(text, |id| {
            if let Some(place) = places.next() {
                out[place] = Some(id);
            }
        })?;
    }
    Ok(Some(out))
}

/// A flat column of numbers; `None` if no row has a value.
pub(crate) fn numbers(pages: &[PageRows]) -> Result<Option<Vec<Option<i64>>>, Damage> {
    if pages.iter().all(PageRows::is_empty) {
        return Ok(None);
    }
    let mut out = vec![None; row_count(pages)];
    let mut places = present_rows(pages);
    for page in pages {
        page.each_number(|number| {
            if let Some(place) = places.next() {
                out[place] = Some(number);
            }
        })?;
    }
    Ok(Some(out))
}

/// A flat column of numbers that every row has.
pub(crate) fn required_numbers(pages: &[PageRows]) -> Result<Vec<i64>, Damage> {
    let mut out = Vec::with_capacity(row_count(pages));
    for page in pages {
        page.each_number(|number| out.push(number))?;
    }
    if out.len() == row_count(pages) { Ok(out) } else { Err(SHORT) }
}

/// A flat column of ids; a row without one has zeros.
pub(crate) fn ids<const N: usize>(pages: &[PageRows]) -> Result<Vec<[u8; N]>, Damage> {
    let mut out = vec![[0; N]; row_count(pages)];
    let mut places = present_rows(pages);
    for page in pages {
        page.each_bytes(|bytes| {
            if let (Some(place), Ok(id)) = (places.next(), bytes.try_into()) {
                out[place] = id;
            }
        })?;
    }
    Ok(out)
}

/// A column within lists: the levels of the rows' entries, and the values that are there.
#[derive(Debug, Default)]
pub(crate) struct NestedLeaf {
    pub(crate) repetition: Vec<u8>,
    pub(crate) definition: Vec<u8>,
    /// Where each row's entries begin; one more than there are rows.
    pub(crate) entry_starts: Vec<u32>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    pub(crate) numbers: Vec<i64>,
}

impl NestedLeaf {
    /// Reads a nested column of texts or ids, or (`as_numbers`) of numbers.
    pub(crate) fn read(pages: &[PageRows], as_numbers: bool) -> Result<NestedLeaf, Damage> {
        let mut leaf = NestedLeaf { entry_starts: vec![0], ..NestedLeaf::default() };
        for page in pages {
            let Levels::Nested { repetition, definition, entry_starts, .. } = &page.page.levels else {
                leaf.push_empty_rows(page.rows.len());
                continue;
            };
            let entries = entry_starts[page.rows.start] as usize..entry_starts[page.rows.end] as usize;
            let offset = leaf.definition.len() as u32;
            leaf.repetition.extend_from_slice(&repetition[entries.clone()]);
            leaf.definition.extend_from_slice(&definition[entries.clone()]);
            let ends = &entry_starts[page.rows.start + 1..=page.rows.end];
            leaf.entry_starts.extend(ends.iter().map(|end| end - entries.start as u32 + offset));
            if as_numbers {
                page.each_number(|number| leaf.numbers.push(number))?;
            } else {
                page.each_bytes(|bytes| {
                    leaf.bytes.extend_from_slice(bytes);
                    leaf.ends.push(leaf.bytes.len() as u32);
                })?;
            }
        }
        Ok(leaf)
    }

    fn push_empty_rows(&mut self, rows: usize) {
        for _ in 0..rows {
            self.repetition.push(0);
            self.definition.push(0);
            self.entry_starts.push(self.definition.len() as u32);
        }
    }

    /// Whether no row has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.numbers.is_empty()
    }

    /// A value's bytes.
    pub(crate) fn value(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)? as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        self.bytes.get(start..end)
    }
}

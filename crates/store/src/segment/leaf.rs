//! Values of one column for some rows, out of the pages that hold them.

use std::ops::Range;
use std::sync::Arc;

use model::{TextId, TextTable};

use crate::segment::page::{Damage, Levels, Page};

/// Rows of a page, with the dictionary if their values refer to it.
#[derive(Debug, Clone)]
pub(crate) struct PageRows {
    pub(crate) page: Arc<Page>,
    pub(crate) dictionary: Option<Arc<Page>>,
    /// Within the page; ascending and disjoint.
    pub(crate) rows: Vec<Range<usize>>,
}

const SHORT: Damage = "a page has fewer values than rows";
const NO_DICTIONARY: Damage = "numbers without a dictionary";

impl PageRows {
    fn dictionary(&self) -> Result<&Page, Damage> {
        self.dictionary.as_deref().ok_or(NO_DICTIONARY)
    }

    fn is_empty(&self) -> bool {
        !self.page.has_values(&self.rows)
    }

    pub(crate) fn row_count(&self) -> usize {
        self.rows.iter().map(Range::len).sum()
    }

    fn values(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().flat_map(|rows| self.page.values_of(rows))
    }

    /// Hands out the bytes of each value of the rows.
    pub(crate) fn each_bytes(&self, mut out: impl FnMut(&[u8])) -> Result<(), Damage> {
        if self.is_empty() {
            return Ok(());
        }
        let mut damage = None;
        let numbers =
            self.page.numbers(&self.rows, |number| match self.dictionary().map(|page| page.bytes(number as usize)) {
                Ok(Some(bytes)) => out(bytes),
                _ => damage = Some(NO_DICTIONARY),
            });
        if let Some(read) = numbers {
            return read.and(damage.map_or(Ok(()), Err));
        }
        for value in self.values() {
            out(self.page.bytes(value).ok_or(SHORT)?);
        }
        Ok(())
    }

    /// Hands out each value of the rows as a number.
    pub(crate) fn each_number(&self, mut out: impl FnMut(i64)) -> Result<(), Damage> {
        if self.is_empty() {
            return Ok(());
        }
        let mut damage = None;
        let numbers =
            self.page.numbers(&self.rows, |number| match self.dictionary().map(|page| page.number(number as usize)) {
                Ok(Some(value)) => out(value),
                _ => damage = Some(NO_DICTIONARY),
            });
        if let Some(read) = numbers {
            return read.and(damage.map_or(Ok(()), Err));
        }
        for value in self.values() {
            out(self.page.number(value).ok_or(SHORT)?);
        }
        Ok(())
    }

    /// For each row, whether its number is one of those; never, if it has none.
    pub(crate) fn numbers_that(&self, holds: impl Fn(i64) -> bool) -> Result<Vec<bool>, Damage> {
        let mut held = Vec::with_capacity(self.row_count());
        self.each_number(|number| held.push(holds(number)))?;
        Ok(self.spread(held))
    }

    /// For each row, whether its bytes are such; never, if it has none.
    pub(crate) fn bytes_that(&self, holds: impl Fn(&[u8]) -> bool) -> Result<Vec<bool>, Damage> {
        let mut held = Vec::with_capacity(self.row_count());
        self.each_bytes(|bytes| held.push(holds(bytes)))?;
        Ok(self.spread(held))
    }

    /// For each row, whether its text is this one; never, if it has none.
    pub(crate) fn texts_that_are(&self, text: &[u8]) -> Result<Vec<bool>, Damage> {
        if self.is_empty() {
            return Ok(vec![false; self.row_count()]);
        }
        let mut held = Vec::with_capacity(self.row_count());
        let wanted =
            self.dictionary.as_deref().and_then(|page| (0..page.rows).find(|&place| page.bytes(place) == Some(text)));
        let wanted = wanted.map(|place| place as u32);
        match self.page.numbers(&self.rows, |number| held.push(Some(number) == wanted)) {
            Some(read) => read?,
            None => self.each_bytes(|bytes| held.push(bytes == text))?,
        }
        Ok(self.spread(held))
    }

    /// For each row, whether it has a list.
    pub(crate) fn rows_with_lists(&self) -> Vec<bool> {
        self.rows.iter().cloned().flatten().map(|row| !self.page.values_of(&(row..row + 1)).is_empty()).collect()
    }

    /// What is known of each value as something known of each row.
    fn spread(&self, held: Vec<bool>) -> Vec<bool> {
        if matches!(self.page.levels, Levels::Required) {
            return held;
        }
        let mut held = held.into_iter();
        let rows = self.rows.iter().cloned().flatten();
        rows.map(|row| self.page.is_present(row) && held.next().unwrap_or(true)).collect()
    }

    /// Interns each distinct text of the rows once, and hands out each value's number in `text`.
    pub(crate) fn each_text(&self, text: &mut TextTable, mut out: impl FnMut(TextId)) -> Result<(), Damage> {
        if self.is_empty() {
            return Ok(());
        }
        let mut numbers = Vec::new();
        match self.page.numbers(&self.rows, |number| numbers.push(number)) {
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

/// The places, among all rows asked for, of those that have a value.
fn present_rows(pages: &[PageRows]) -> impl Iterator<Item = usize> {
    let rows =
        pages.iter().flat_map(|pages| pages.rows.iter().cloned().flatten().map(|row| pages.page.is_present(row)));
    rows.enumerate().filter(|(_, is_present)| *is_present).map(|(place, _)| place)
}

fn row_count(pages: &[PageRows]) -> usize {
    pages.iter().map(PageRows::row_count).sum()
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
            leaf.push_levels(page);
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

    fn push_levels(&mut self, page: &PageRows) {
        for rows in &page.rows {
            let mut next = rows.start;
            if let Levels::Nested(lists) = &page.page.levels {
                lists.each(rows, |row, repetition, definition| {
                    self.push_empty_rows(row - next);
                    self.push_row(repetition, definition);
                    next = row + 1;
                });
            }
            self.push_empty_rows(rows.end - next);
        }
    }

    fn push_row(&mut self, repetition: &[u8], definition: &[u8]) {
        self.repetition.extend_from_slice(repetition);
        self.definition.extend_from_slice(definition);
        self.entry_starts.push(self.definition.len() as u32);
    }

    fn push_empty_rows(&mut self, rows: usize) {
        let entries = self.definition.len();
        self.repetition.resize(entries + rows, 0);
        self.definition.resize(entries + rows, 0);
        self.entry_starts.extend((1..=rows).map(|row| (entries + row) as u32));
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

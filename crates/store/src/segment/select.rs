//! Which rows a [`Selection`] leaves, decided on single columns before any span is put together.
//!
//! Conditions are asked one after the other, those whose columns are small first, each only of the rows that are left. Texts
//! with a dictionary are compared once and their numbers then; a value that cannot be decided from its column stays.

mod logs;

use std::ops::Range;

use model::{SpanKind, StatusCode};

use crate::error::ReadError;
use crate::segment::layout::{ATTRIBUTE_PREFIX, ColumnType};
use crate::segment::leaf::PageRows;
use crate::segment::page::Damage;
use crate::segment::read::RowReader;
use crate::selection::{ANY, Selection};

/// Ascending, disjoint ranges of rows.
pub(crate) type Rows = Vec<Range<usize>>;

impl RowReader<'_> {
    /// Those of the rows that are left when all that certainly lack something are taken away.
    pub(crate) fn select(&self, selection: &Selection) -> Result<Rows, ReadError> {
        let mut left: Rows = self.ranges.to_vec();
        if let Some(service) = &selection.service {
            let of_service = self.scopes_of(service);
            self.keep(&mut left, "scope_id", |page| {
                page.numbers_that(|scope| of_service.get(scope as usize).copied().unwrap_or(true))
            })?;
        }
        if let Some(status) = selection.status {
            self.keep_text(&mut left, "status", &StatusCode(status).to_string())?;
        }
        if let Some(kind) = selection.kind {
            self.keep_text(&mut left, "kind", &SpanKind(kind).to_string())?;
        }
        if let Some(name) = &selection.name {
            self.keep_text(&mut left, "name", name)?;
        }
        if selection.durations != ANY {
            // Negative ones count as none.
            let within = |duration: i64| selection.durations.contains(&(duration.max(0) as u64));
            self.keep(&mut left, "duration_ns", |page| page.numbers_that(within))?;
        }
        if selection.starts != ANY {
            let within = |start: i64| selection.starts.contains(&(start as u64));
            self.keep(&mut left, "start_time", |page| page.numbers_that(within))?;
        }
        if let Some((key, text)) = &selection.attribute {
            self.keep_attribute(&mut left, key, text)?;
        }
        Ok(left)
    }

    /// For each scope of the segment, whether it is of a service.
    fn scopes_of(&self, service: &str) -> Vec<bool> {
        let context = self.context;
        let is_of = |name| context.text.bytes(name) == service.as_bytes();
        context.scopes.iter().map(|scope| is_of(context.resources[scope.resource as usize].service_name)).collect()
    }

    /// Keeps the rows of which a column says so.
    fn keep(
        &self,
        left: &mut Rows,
        column: &str,
        holds: impl Fn(&PageRows) -> Result<Vec<bool>, Damage>,
    ) -> Result<(), ReadError> {
        let mut kept = Rows::new();
        let mut rows = left.iter().cloned().flatten();
        for page in self.spans.pages(column, left)? {
            let held = holds(&page).map_err(|damage| self.spans.damaged(damage))?;
            for (row, holds) in rows.by_ref().zip(held.iter().copied()).take(page.row_count()) {
                if holds {
                    push(&mut kept, row);
                }
            }
        }
        *left = kept;
        Ok(())
    }

    fn keep_text(&self, left: &mut Rows, column: &str, text: &str) -> Result<(), ReadError> {
        self.keep(left, column, |page| page.texts_that_are(text.as_bytes()))
    }

    /// A key's values are in its column, if it has one, and those of other types in the map of the rest.
    fn keep_attribute(&self, left: &mut Rows, key: &str, text: &str) -> Result<(), ReadError> {
        let column = self.columns.iter().find(|column| column.key == key);
        if column.is_some_and(|column| column.column_type != ColumnType::String) {
            return Ok(());
        }
        let mut in_column = Rows::new();
        if column.is_some() {
            in_column.clone_from(left);
            self.keep_text(&mut in_column, &format!("{ATTRIBUTE_PREFIX}{key}"), text)?;
        }
        self.keep(left, "attributes.key_value.key", |page| Ok(page.rows_with_lists()))?;
        *left = union(&in_column, left);
        Ok(())
    }
}

fn push(rows: &mut Rows, row: usize) {
    match rows.last_mut() {
        Some(last) if last.end == row => last.end += 1,
        _ => rows.push(row..row + 1),
    }
}

/// The rows of both.
fn union(a: &[Range<usize>], b: &[Range<usize>]) -> Rows {
    let mut all: Vec<usize> = a.iter().chain(b).cloned().flatten().collect();
    all.sort_unstable();
    all.dedup();
    let mut rows = Rows::new();
    for row in all {
        push(&mut rows, row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_has_the_rows_of_both() {
        // Guarantees ascending, disjoint, joined ranges of exactly the rows of either side.
        assert_eq!(union(&[0..2, 5..7], &[2..3, 6..9]), [0..3, 5..9]);
        assert_eq!(union(&[], &[4..5, 8..9]), [4..5, 8..9]);
        assert_eq!(union(&[], &[]), Rows::new());
    }
}

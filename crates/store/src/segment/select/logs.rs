//! Which rows of log records a [`LogSelection`] leaves, decided on single columns.

use super::Rows;
use crate::error::ReadError;
use crate::logs::part::LogSelection;
use crate::segment::read::RowReader;

impl RowReader<'_> {
    /// Takes rows away that certainly are not wanted.
    pub(crate) fn select_logs(&self, left: &mut Rows, selection: &LogSelection) -> Result<(), ReadError> {
        if selection.times != (0..=u64::MAX) {
            self.keep(left, "time", |page| page.numbers_that(|time| selection.times.contains(&(time as u64))))?;
        }
        if selection.severity_min != i32::MIN {
            let least = i64::from(selection.severity_min);
            self.keep(left, "severity_number", |page| page.numbers_that(|number| number as i32 >= least as i32))?;
        }
        if let Some(service) = &selection.service {
            let of_service = self.scopes_of(service);
            self.keep(left, "scope_id", |page| {
                page.numbers_that(|scope| of_service.get(scope as usize).copied().unwrap_or(true))
            })?;
        }
        if let Some(id) = selection.trace_id {
            self.keep(left, "trace_id", |page| page.bytes_that(|bytes| bytes == id.0))?;
        }
        if let Some(id) = selection.span_id {
            self.keep(left, "span_id", |page| page.bytes_that(|bytes| bytes == id.0))?;
        }
        for needle in &selection.needles {
            let holds = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| needle.is_in(text));
            self.keep(left, "body", |page| page.bytes_that(holds))?;
        }
        Ok(())
    }
}

//! From the columns of `logs.parquet` back to a [`LogBatch`], with as much of each record as a selection needs.

use std::ops::Range;
use std::sync::Arc;

use model::log::body_of;
use model::{LogBatch, LogRow, SpanBatch, SpanId, TextId, TextTable, TraceId};

use super::RowReader;
use crate::error::ReadError;
use crate::logs::part::LogSelection;
use crate::segment::layout::{AttributeColumn, BODY_TYPES};
use crate::segment::parquet_file::ParquetFile;
use crate::snapshot::{Fields, Projection, Wanted};

/// Reads rows of a segment of log records.
#[derive(Debug)]
pub(crate) struct LogReader<'a> {
    pub(crate) logs: &'a ParquetFile,
    /// The segment's resources and scopes.
    pub(crate) context: &'a SpanBatch,
    pub(crate) columns: &'a [AttributeColumn],
    /// Ascending and disjoint.
    pub(crate) ranges: &'a [Range<usize>],
}

impl LogReader<'_> {
    /// The rows as a segment of spans reads them: scopes and attributes are stored alike.
    pub(crate) fn common<'a>(&'a self, projection: &'a Projection) -> RowReader<'a> {
        RowReader { spans: self.logs, context: self.context, columns: self.columns, projection, ranges: self.ranges }
    }

    /// Reads the rows: everything of them with `fields`, else what `selection` looks at, and time and severity.
    pub(crate) fn read(&self, selection: &LogSelection, fields: bool) -> Result<LogBatch, ReadError> {
        let attributes = if fields { Wanted::All } else { wanted_of(selection) };
        let wants_rest = !matches!(attributes, Wanted::None);
        let projection = Projection { fields: Fields::NONE, attributes, ..Projection::default() };
        let reader = self.common(&projection);
        let (mut out, scopes) = reader.scopes()?;
        let mut rows = rows(&reader, &scopes)?;
        if fields || selection.trace_id.is_some() || selection.span_id.is_some() {
            ids(&reader, &mut rows)?;
        }
        if fields {
            rare_fields(&reader, &mut out.text, &mut rows)?;
        }
        if fields || !selection.needles.is_empty() {
            self.bodies(&reader, &mut out.text, &mut rows)?;
        }
        let columns = reader.attribute_columns(&mut out.text)?;
        let rest = if wants_rest { Some(reader.map("attributes", 1)?) } else { None };
        let mut notes = Vec::new();
        if fields {
            notes = reader.required_numbers("notes")?;
        }
        let mut bodies = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            for column in &columns {
                if let Some(value) = column.values[index] {
                    out.attributes.push(column.key, value);
                }
            }
            if let Some(map) = &rest {
                map.read_row(index, &mut out.text, &mut out.attributes).map_err(|damage| self.logs.damaged(damage))?;
            }
            let notes = notes.get(index).map_or(0, |&notes| notes as u8);
            out.push_span(model::SpanRow { notes, ..row.to_span_row() });
            bodies.push(row.body);
        }
        let received = reader.required_numbers("received_time")?.into_iter().map(|time| time as u64).collect();
        let numbers = reader.required_numbers("number")?.into_iter().map(|number| number as u32).collect();
        Ok(LogBatch { rows: Arc::new(out), bodies, received_unix_nano: received, numbers })
    }

    /// Of each row.
    pub(crate) fn times_and_severities(&self) -> Result<Vec<(u64, i32)>, ReadError> {
        let projection = Projection::default();
        let reader = self.common(&projection);
        let (times, severities) = (reader.required_numbers("time")?, reader.required_numbers("severity_number")?);
        Ok(times.into_iter().zip(severities).map(|(time, severity)| (time as u64, severity as i32)).collect())
    }

    fn bodies(&self, reader: &RowReader<'_>, text: &mut TextTable, rows: &mut [LogRow]) -> Result<(), ReadError> {
        let number = |name: &str| BODY_TYPES.iter().position(|known| *known == name).map(|place| place as i32);
        let types = reader.named("body_type", number)?;
        let texts = reader.texts("body", text)?.unwrap_or_else(|| vec![None; rows.len()]);
        for ((row, body), body_type) in rows.iter_mut().zip(texts).zip(types) {
            let Some(body) = body else { continue };
            row.body = body_of(BODY_TYPES[body_type as usize], body, text)
                .ok_or_else(|| self.logs.damaged("a body that is not of its type"))?;
        }
        Ok(())
    }

    /// Those of the rows that are left when all that certainly are not wanted are taken away.
    pub(crate) fn select(&self, selection: &LogSelection) -> Result<Vec<Range<usize>>, ReadError> {
        let projection = Projection::default();
        let reader = self.common(&projection);
        let mut left = self.ranges.to_vec();
        reader.select_logs(&mut left, selection)?;
        Ok(left)
    }
}

/// What every reading needs: time, severity and scope.
fn rows(reader: &RowReader<'_>, scopes: &[u32]) -> Result<Vec<LogRow>, ReadError> {
    let (times, severities) = (reader.required_numbers("time")?, reader.required_numbers("severity_number")?);
    let row = |((&time, &severity), &scope): ((&i64, &i64), &u32)| LogRow {
        time_unix_nano: time as u64,
        severity_number: severity as i32,
        scope,
        ..LogRow::default()
    };
    Ok(times.iter().zip(&severities).zip(scopes).map(row).collect())
}

fn ids(reader: &RowReader<'_>, rows: &mut [LogRow]) -> Result<(), ReadError> {
    let (traces, spans): (Vec<[u8; 16]>, Vec<[u8; 8]>) = (reader.ids("trace_id")?, reader.ids("span_id")?);
    for (row, (trace, span)) in rows.iter_mut().zip(traces.into_iter().zip(spans)) {
        (row.trace_id, row.span_id) = (TraceId(trace), SpanId(span));
    }
    Ok(())
}

fn rare_fields(reader: &RowReader<'_>, text: &mut TextTable, rows: &mut [LogRow]) -> Result<(), ReadError> {
    for (row, time) in rows.iter_mut().zip(reader.required_numbers("observed_time")?) {
        row.observed_unix_nano = time as u64;
    }
    for (name, field) in [
        ("severity", (|row| &mut row.severity_text) as fn(&mut LogRow) -> &mut TextId),
        ("event_name", |row| &mut row.event_name),
    ] {
        for (row, value) in rows.iter_mut().zip(reader.texts(name, text)?.into_iter().flatten()) {
            *field(row) = value.unwrap_or_default();
        }
    }
    for (name, field) in [
        ("flags", (|row| &mut row.flags) as fn(&mut LogRow) -> &mut u32),
        ("dropped_attributes_count", |row| &mut row.dropped_attributes_count),
    ] {
        for (row, value) in rows.iter_mut().zip(reader.required_numbers(name)?) {
            *field(row) = value as u32;
        }
    }
    Ok(())
}

/// The attributes that a selection looks at.
fn wanted_of(selection: &LogSelection) -> Wanted {
    if selection.attributes.is_empty() { Wanted::None } else { Wanted::All }
}

//! Log records of a row group, as columns; and the words that the bodies of each block have.

use std::sync::Arc;

use hashbrown::HashTable;
use model::{LogBatch, SpanRow, TextId, Value};

use super::{GroupBuilder, integers, optional, required};
use crate::logs::words::{each_word, word_hash};
use crate::options::{BLOCK_ROWS, PAGE_ROWS_MAX};
use crate::segment::encode::{Column, Values, put_text};
use crate::segment::layout::BODY_TYPES;
use crate::segment::lists::Blobs;
use crate::segment::source::RowAt;

/// Bodies of a page: a page is what a search unpacks to look at one of them.
const BODY_PAGE_ROWS: usize = PAGE_ROWS_MAX / 4;

impl GroupBuilder<'_> {
    /// The columns of a row group, in the order of the leaves of [`crate::segment::layout::logs_schema`].
    pub(crate) fn build_logs(
        &mut self,
        logs: &[Arc<LogBatch>],
        rows: &[RowAt],
        scope_ids: &[u32],
        scopes: usize,
    ) -> Vec<Column> {
        self.pair_hashes.clear();
        self.pair_hashes.resize(rows.len().div_ceil(BLOCK_ROWS), Vec::new());
        let rest = self.collect_attributes(rows);
        let mut columns = log_times(logs, rows);
        columns.extend(log_ids(rows));
        columns.extend(self.log_texts(rows));
        columns.extend(self.bodies(logs, rows));
        let plain = (0..scopes as u32).flat_map(u32::to_le_bytes).collect();
        let scope_ids = Values::Dictionary { numbers: scope_ids.to_vec(), distinct: scopes, plain };
        columns.push(required(scope_ids, BLOCK_ROWS));
        columns.extend([
            number(rows, |row| row.flags),
            number(rows, |row| row.dropped_attributes_count),
            number(rows, |row| u32::from(row.notes)),
        ]);
        for number in 0..self.attributes.len() {
            columns.push(self.attribute(number, rows.len()));
        }
        columns.extend(self.map(rest));
        columns
    }

    /// Severity by number and by its sender's word, service, name of the event.
    fn log_texts(&mut self, rows: &[RowAt]) -> [Column; 4] {
        let source = self.source;
        let text = |pick: fn(&SpanRow) -> TextId| {
            rows.iter().map(|at| source.text(at.batch, pick(&at.span))).collect::<Vec<TextId>>()
        };
        let service = |at: &RowAt| {
            let batch = source.batch(at);
            source.text(at.batch, batch.resources[batch.scopes[at.span.scope as usize].resource as usize].service_name)
        };
        let services: Vec<TextId> = rows.iter().map(service).collect();
        let (severities, events) = (text(|row| row.status_message), text(|row| row.name));
        let numbers = rows.iter().map(|at| i64::from(at.span.kind)).collect();
        [
            required(integers(numbers, 4), BLOCK_ROWS),
            self.optional_texts(&severities),
            self.required_texts(&services),
            self.optional_texts(&events),
        ]
    }

    /// Bodies as their comparison texts, and of which type they are.
    fn bodies(&mut self, logs: &[Arc<LogBatch>], rows: &[RowAt]) -> [Column; 2] {
        let (mut present, mut blobs, mut types) = (Vec::new(), Blobs::default(), Vec::with_capacity(rows.len()));
        let mut words = Words::default();
        for (block, rows) in rows.chunks(BLOCK_ROWS).enumerate() {
            words.0.clear();
            self.renumbering.begin();
            for (place, at) in rows.iter().enumerate() {
                let batch = &logs[at.batch as usize];
                let body = batch.bodies[at.row as usize];
                types.push(type_number(body));
                if body == Value::Empty {
                    continue;
                }
                let text = body.resolve(&batch.rows.text).comparison_text();
                present.push((block * BLOCK_ROWS + place) as u32);
                blobs.push(text.as_bytes());
                // What was said in this block before has no new words.
                let is_new = match body {
                    Value::Str(text) | Value::Json(text) => self.renumbering.is_new(self.source.text(at.batch, text)),
                    _ => true,
                };
                if is_new {
                    words.add(&text);
                }
            }
            self.pair_hashes[block].extend(words.0.iter());
        }
        let mut plain = Vec::new();
        for name in BODY_TYPES {
            put_text(name.as_bytes(), &mut plain);
        }
        let types = Values::Dictionary { numbers: types, distinct: BODY_TYPES.len(), plain };
        let mut bodies = optional(present, blobs.into_values(), rows.len());
        bodies.page_rows = BODY_PAGE_ROWS;
        [bodies, required(types, BLOCK_ROWS)]
    }
}

/// The hashes of the words of a block.
#[derive(Debug, Default)]
struct Words(HashTable<u64>);

impl Words {
    fn add(&mut self, text: &str) {
        each_word(text, |word| {
            let hash = word_hash(word);
            self.0.entry(hash, |&known| known == hash, |&known| known).or_insert(hash);
        });
    }
}

fn type_number(body: Value) -> u32 {
    match body {
        Value::Empty => 0,
        Value::Str(_) => 1,
        Value::Bool(_) => 2,
        Value::Int(_) => 3,
        Value::Double(_) => 4,
        Value::Bytes(_) => 5,
        Value::Json(_) => 6,
    }
}

fn log_times(logs: &[Arc<LogBatch>], rows: &[RowAt]) -> Vec<Column> {
    let times: Vec<i64> = rows.iter().map(|at| at.span.start_unix_nano as i64).collect();
    let bounds = times.iter().min().zip(times.iter().max()).map(|(&least, &most)| (least, most));
    let observed = rows.iter().map(|at| at.span.end_unix_nano as i64).collect();
    let of_batch = |pick: fn(&LogBatch, usize) -> i64| {
        rows.iter().map(|at| pick(&logs[at.batch as usize], at.row as usize)).collect::<Vec<i64>>()
    };
    let received = of_batch(|batch, row| batch.received_unix_nano[row] as i64);
    let numbers = of_batch(|batch, row| batch.numbers[row].into());
    let delta = |values| required(Values::Delta(values), PAGE_ROWS_MAX);
    vec![Column { bounds, ..delta(times) }, delta(observed), delta(received), delta(numbers)]
}

fn log_ids(rows: &[RowAt]) -> [Column; 2] {
    let (mut traces, mut spans) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for (number, at) in (0..).zip(rows) {
        if !at.span.trace_id.is_zero() {
            traces.0.push(number);
            traces.1.extend_from_slice(&at.span.trace_id.0);
        }
        if !at.span.span_id.is_zero() {
            spans.0.push(number);
            spans.1.extend_from_slice(&at.span.span_id.0);
        }
    }
    let ids =
        |(present, bytes): (Vec<u32>, Vec<u8>), width| optional(present, Values::Fixed { width, bytes }, rows.len());
    [ids(traces, 16), ids(spans, 8)]
}

fn number(rows: &[RowAt], pick: impl Fn(&SpanRow) -> u32) -> Column {
    required(integers(rows.iter().map(|at| i64::from(pick(&at.span))).collect(), 4), BLOCK_ROWS)
}

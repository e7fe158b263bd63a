//! Heat maps and what explains a part of them.

use model::{SpanBatch, StatusCode, TraceId, Value};
use query::explain::{ExplainQuery, explain, explain_within};
use query::spread::{HeatQuery, heat_map, heat_map_within};
use query::{Field, Filter, TimeRange};

use crate::generate;
use crate::memory::Memory;

const MS: u64 = 1_000_000;

/// A span a millisecond; every tenth is slow, fails, and is of version 2.
fn batch(spans: u64) -> SpanBatch {
    let mut batch = generate::batch(&[generate::any_span()]);
    let (row, version, id) = (batch.rows[0], batch.text.intern(b"version"), batch.text.intern(b"order.id"));
    let texts = [batch.text.intern(b"1"), batch.text.intern(b"2")];
    batch.attributes.truncate(0);
    let mut all = SpanBatch { text: batch.text.clone(), ..batch.clone() };
    all.rows.clear();
    all.attribute_ranges.truncate(0);
    all.event_ranges.truncate(0);
    all.link_ranges.truncate(0);
    for number in 0..spans {
        let is_slow = number % 10 == 0;
        let own = all.text.intern(format!("order-{number}").as_bytes());
        all.attributes.push(version, Value::Str(texts[usize::from(is_slow)]));
        all.attributes.push(id, Value::Str(own));
        let start = 1_000_000 * MS + number * MS;
        all.push_span(model::SpanRow {
            trace_id: TraceId(u128::from(number + 1).to_be_bytes()),
            start_unix_nano: start,
            end_unix_nano: start + if is_slow { 800 * MS } else { 2 * MS },
            status_code: if is_slow { StatusCode::ERROR.0 } else { StatusCode::OK.0 },
            ..row
        });
    }
    all
}

fn everything(columns: usize) -> HeatQuery {
    HeatQuery { filter: Filter::All, range: TimeRange::default(), columns }
}

#[test]
fn every_match_is_in_one_cell() {
    // Guarantees that cells add up to the matches, lie within the map, and tell errors.
    let memory = Memory::new(vec![batch(1_000)]);
    let map = heat_map(&memory, &everything(50)).unwrap();
    assert_eq!((map.spans, map.columns), (1_000, 50));
    assert_eq!(map.cells.iter().map(|cell| cell.spans).sum::<u64>(), 1_000);
    assert_eq!(map.cells.iter().map(|cell| cell.errors).sum::<u64>(), 100);
    assert!(map.cells.iter().all(|cell| cell.column < map.columns && cell.row + 1 < map.edges_ns.len()));
    assert!(map.edges_ns.is_sorted() && map.edges_ns[0] <= 2 * MS && *map.edges_ns.last().unwrap() > 800 * MS);
    let slow = map.cells.iter().filter(|cell| cell.errors > 0);
    assert!(slow.clone().all(|cell| map.edges_ns[cell.row] <= 800 * MS && map.edges_ns[cell.row + 1] > 800 * MS));
    assert!(!map.sample.is_partial());
}

#[test]
fn nothing_gives_an_empty_map() {
    // Guarantees that no match is an answer, not an error.
    let memory = Memory::new(vec![batch(10)]);
    let filter = Filter::equals(Field::Service, "nobody").unwrap();
    let map = heat_map(&memory, &HeatQuery { filter, ..everything(50) }).unwrap();
    assert_eq!((map.spans, map.cells.len(), map.edges_ns.len()), (0, 0, 0));
}

#[test]
fn durations_out_of_reach_have_a_row() {
    // Guarantees that spans of no time at all and of weeks are drawn.
    let mut odd = batch(2);
    odd.rows[0].end_unix_nano = odd.rows[0].start_unix_nano;
    odd.rows[1].end_unix_nano = u64::MAX;
    let map = heat_map(&Memory::new(vec![odd]), &everything(10)).unwrap();
    assert_eq!(map.cells.iter().map(|cell| cell.spans).sum::<u64>(), 2);
    assert!(map.edges_ns.len() < 40, "{} rows", map.edges_ns.len());
}

#[test]
fn a_sample_says_that_it_is_one() {
    // Guarantees a bound on what is looked at, that it is spread over all parts, and that the answer says so.
    let parts: Vec<SpanBatch> = (0..8).map(|_| batch(100)).collect();
    let map = heat_map_within(&Memory::new(parts), &everything(50), 200).unwrap();
    assert!(map.sample.is_partial());
    assert_eq!(map.sample.stored, 800);
    assert!(map.sample.looked_at <= 200 && map.spans == map.sample.looked_at, "{:?}", map.sample);
}

#[test]
fn the_difference_explains_the_slow_ones() {
    // Guarantees that what sets the chosen spans apart comes first, and that ids, of which each span has its own, do not come at all.
    let memory = Memory::new(vec![batch(5_000)]);
    let query = ExplainQuery {
        filter: Filter::All,
        range: TimeRange::default(),
        chosen: TimeRange::default(),
        chosen_durations_ns: 100 * MS..=u64::MAX,
        fields_max: 10,
        values_max: 3,
    };
    let explained = explain(&memory, &query).unwrap();
    assert_eq!((explained.chosen, explained.rest), (500, 4_500));
    let fields: Vec<&Field> = explained.fields.iter().map(|shares| &shares.field).collect();
    assert_eq!(fields, [&Field::Status], "the version says the same again, and ids say nothing");
    let first = &explained.fields[0].values[0];
    assert_eq!((first.value.as_str(), first.chosen, first.rest), ("error", 500, 0));
    let failed = ExplainQuery { filter: Filter::equals(Field::Status, "error").unwrap(), ..query.clone() };
    assert_eq!(explain(&memory, &failed).unwrap().rest, 0, "the filter comes before the choice");
    let all = ExplainQuery { chosen_durations_ns: 0..=u64::MAX, ..query.clone() };
    assert_eq!(explain(&memory, &all).unwrap().fields, [], "there is no rest to compare with");
    let several: Vec<SpanBatch> = (0..8).map(|_| batch(100)).collect();
    let sampled = explain_within(&Memory::new(several), &query, 300).unwrap();
    assert!(sampled.sample.is_partial() && sampled.chosen + sampled.rest <= 300);
}

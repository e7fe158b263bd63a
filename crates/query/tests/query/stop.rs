//! Questions that are called off.

use std::sync::atomic::Ordering;

use model::SpanBatch;
use query::stop::Stoppable;
use query::{Field, Filter, QueryError, Search, Stop, TimeRange, ValueQuery, dependencies, links, search, values};

use crate::generate;
use crate::memory::Memory;

type Stored = Stoppable<Memory>;
type Question = fn(&Stored) -> Result<(), QueryError>;

fn all_questions() -> [(&'static str, Question); 4] {
    [
        ("search", |stored| {
            let filter = Filter::equals(Field::Name, "nowhere").expect("a name is a text");
            let filter = Filter::negate(filter);
            let range = TimeRange::default();
            search::search(stored, &Search { filter, range, limit: 10_000, cursor: None }).map(drop)
        }),
        ("values", |stored| {
            let query = ValueQuery { field: Field::Name, prefix: String::new(), limit: 10 };
            values::values(stored, &query).map(drop)
        }),
        ("dependencies", |stored| dependencies::dependencies(stored, TimeRange::default()).map(drop)),
        ("links", |stored| links::links(stored, generate::trace_id(0)).map(drop)),
    ]
}

fn batches() -> Vec<SpanBatch> {
    (0..20).map(|_| generate::batch(&[generate::any_span()])).collect()
}

#[test]
fn a_question_called_off_before_it_begins_reads_nothing() {
    // Guarantees that no question touches the store once nobody waits for it.
    for (name, question) in all_questions() {
        let memory = Memory::new(batches());
        let reads = memory.reads.clone();
        let stop = Stop::default();
        let stored = Stoppable::new(memory, stop.clone());
        assert!(question(&stored).is_ok(), "{name}");
        reads.store(0, Ordering::Relaxed);
        stop.set();
        assert!(matches!(question(&stored), Err(QueryError::Stopped)), "{name}");
        assert_eq!(reads.load(Ordering::Relaxed), 0, "{name}");
    }
}

#[test]
fn a_question_called_off_on_its_way_reads_no_further() {
    // Guarantees that questions which go through parts end at the part after the one during which they were called off.
    for (name, question) in &all_questions()[..3] {
        let stop = Stop::default();
        let mut memory = Memory::new(batches());
        memory.stop_at = Some((7, stop.clone()));
        let reads = memory.reads.clone();
        assert!(matches!(question(&Stoppable::new(memory, stop)), Err(QueryError::Stopped)), "{name}");
        assert_eq!(reads.load(Ordering::Relaxed), 7, "{name}");
    }
}

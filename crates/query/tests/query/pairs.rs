//! Looking spans up by values against the plain reading.

use std::collections::BTreeSet;

use model::{SpanKey, SpanRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use query::pairs::{LookUp, Pair, spans_with};

use crate::memory::Memory;
use crate::{generate, search};

fn pair() -> impl Strategy<Value = Pair> {
    let keys = select(vec!["a", "b.c", "odd \"key\"", "nowhere"]);
    let values = select(vec!["order", "5", "5.0", "true", "-3", "1000", "aGk=", "[1]", "NaN", "", "unheard of"]);
    (keys, values).prop_map(|(key, value)| Pair { key: key.to_owned(), value: value.to_owned() })
}

fn look_up() -> impl Strategy<Value = LookUp> {
    let parts = (vec(pair(), 1..4), vec(pair(), 0..2), search::range(), any::<bool>());
    parts.prop_map(|(one_of, and_one_of, range, any_kind)| LookUp { one_of, and_one_of, range, any_kind })
}

fn has_one(span: SpanRef<'_>, pairs: &[Pair]) -> bool {
    let has = |pair: &Pair| {
        span.attributes().any(|found| found.key == pair.key && found.value.comparison_text() == pair.value)
    };
    pairs.iter().any(has)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn values_find_their_spans(batches in search::batches(), look_ups in vec(look_up(), 1..5)) {
        // Guarantees that every look-up finds exactly the spans (the sending and receiving ones, or all) of which a record that starts in
        // its range carries its values, of any type.
        let records: Vec<_> = batches.iter().map(|spans| generate::batch(spans)).collect();
        let mut want: BTreeSet<(usize, SpanKey)> = BTreeSet::new();
        for (number, LookUp { one_of, and_one_of, range, any_kind }) in look_ups.iter().enumerate() {
            let spans = records.iter().flat_map(model::SpanBatch::spans).filter(|span| *any_kind || [3, 4, 5].contains(&span.kind().0));
            let spans = spans.filter(|span| range.contains(span.start_unix_nano()));
            let meant = spans.filter(|&span| has_one(span, one_of) && (and_one_of.is_empty() || has_one(span, and_one_of)));
            want.extend(meant.map(|span| (number, span.key())));
        }
        let found = spans_with(&Memory::new(records), &look_ups, usize::MAX).unwrap();
        prop_assert_eq!(found, want.into_iter().collect::<Vec<_>>());
    }
}

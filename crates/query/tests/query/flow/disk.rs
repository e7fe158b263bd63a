//! Flows of a real store: the same from sealed segments, from memory, and across both.

use std::sync::Arc;
use std::time::Duration;

use query::flow::{FlowLimits, FlowQuery};
use query::{LocalStore, SpanStore};
use store::{Durability, Store, StoreOptions};
use testkit::story;

use super::show::{open, show};
use crate::local::{NoReplay, append};
use crate::memory::Memory;

const STORY: &str = r#"
    A1        shop    server    "POST /order"      0..20
    A2 in A1  shop    producer  "send orders"      5..8        op=send to=kafka:orders partition=1 offset=7
    A3 in A1  shop    producer  "send mails"       9..10       op=send to=rabbitmq:mails id=m1
    B1        pay     consumer  "process orders"   108..200    op=process to=kafka:orders group=pay link=A2
    C1        mail    consumer  "process mails"    508..600    op=process to=rabbitmq:mails id=m1
    C2 in C1  mail    producer  "send sent"        590..595    op=send to=kafka:sent order.id=17
    D1        stats   consumer  "process orders"   900..950    op=process to=kafka:orders group=stats count=2 link=A2 link=Z9
    E1        audit   consumer  "process sent"     2h..7200010 op=process to=kafka:sent group=audit order.id=17
"#;

#[test]
fn the_disk_gives_the_same_flow() {
    // Guarantees that links, lost contexts of every kind and what has not arrived are found wherever the spans lie: whole in memory,
    // whole in segments, and with the border at every place between.
    let batches = story::spans(STORY);
    let want = show(&open(&Memory::new(batches.clone()), "A1", &["order.id"]));
    assert!(
        want.contains("by message_id") && want.contains("by business_key") && want.contains("not received Z9"),
        "{want}"
    );
    for sealed in 0..=batches.len() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions { durability: Durability::Async, ..StoreOptions::new(directory.path()) };
        let store = Arc::new(Store::open(options, &NoReplay).expect("the directory is empty"));
        for (number, batch) in batches.iter().enumerate() {
            if number == sealed {
                assert!(store.seal(Duration::from_mins(1)));
            }
            append(&store, batch.clone());
        }
        let local = LocalStore::new(store);
        for opened in ["A1", "B1", "C2", "E1"] {
            let (trace_id, span_id) = story::ids(opened);
            let (correlate, limits) = (vec!["order.id".to_owned()], FlowLimits::default());
            let query = FlowQuery { trace_id, span_id: Some(span_id), correlate, limits, bindings: Arc::default() };
            let found = local.flow(&query).expect("the disk can be read").expect("the span is stored");
            assert_eq!(show(&found), want, "opened at {opened}, {sealed} sealed");
        }
    }
}

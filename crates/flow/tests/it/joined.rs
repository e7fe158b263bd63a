//! The hops of the recorded scenes: each message that was really sent, received, retried and given up on is seen as such.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use flow::cone::{Cone, Node};
use flow::destination::Bindings;
use flow::hop::{Hop, HopEnd, Hops};
use flow::tree::Tree;
use model::{BatchMerger, Source, SpanBatch, TraceId};
use proptest::prelude::*;

use crate::recorded::recorded;
use crate::show::Page;

/// All traces of a recording with all their spans.
fn cone(batch: &SpanBatch) -> Cone {
    cone_in_order(batch, &(0..batch.len()).collect::<Vec<_>>(), false)
}

/// The same from spans, and traces, in another order of arrival.
fn cone_in_order(batch: &SpanBatch, rows: &[usize], last_trace_first: bool) -> Cone {
    let mut traces: BTreeMap<TraceId, (BatchMerger, Source<'_>)> = BTreeMap::new();
    for &row in rows {
        let trace = traces.entry(batch.span(row).trace_id());
        let (spans, source) = trace.or_insert_with(|| (BatchMerger::default(), Source::new(batch)));
        spans.push(source, row);
    }
    let mut cone = Cone::new(usize::MAX);
    let mut trees: Vec<Tree> = traces.into_iter().map(|(id, (spans, _))| Tree::new(id, spans.finish())).collect();
    if last_trace_first {
        trees.reverse();
    }
    for tree in trees {
        cone.add(tree);
    }
    for tree in 0..cone.trees().len() as u32 {
        for row in 0..cone.trees()[tree as usize].spans.len() as u32 {
            cone.join(Node { tree, row });
        }
    }
    cone
}

/// Guarantees the hops between the spans of a library's recording.
fn check(name: &str) {
    let batch = recorded(name);
    let page = Page::new(&batch);
    let hops = Hops::of(&cone(&batch), &HashSet::new(), &Bindings::default());
    let mut out = String::new();
    for hop in &hops.hops {
        writeln!(out, "{}", line(&page, hop)).expect("writing to a string");
    }
    insta::assert_snapshot!(format!("{name}_hops"), out);
}

fn line(page: &Page<'_>, hop: &Hop) -> String {
    let end = |end: &HopEnd| page.place(end.span_id);
    let to = hop.to.as_ref().map_or("nobody".to_owned(), end);
    let evidence = hop.evidence.map_or("nothing", |evidence| evidence.name());
    let mut line = format!("{} → {to} by {evidence} at {}", end(&hop.from), hop.destination);
    for (name, value) in [("group", &hop.consumer_group), ("id", &hop.message_id)] {
        if let Some(value) = value {
            write!(line, " {name}={value}").expect("writing to a string");
        }
    }
    let wait = hop.wait_source.map_or(String::new(), |source| format!(" waited by {}", source.name()));
    let retry = if hop.is_retry { " retry" } else { "" };
    let skew = if hop.clock_skew { " skew" } else { "" };
    format!("{line} attempt {} {}{retry}{wait}{skew}", hop.attempt, hop.state.name())
}

/// Recordings with links, batches, retries and several instrumentations.
const NAMES: [&str; 6] = ["pika", "celery", "aiokafka", "boto3sqs", "java_kafka_stable", "java_rabbitmq_stable"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_arrival_makes_no_difference(
        (name, rows) in prop::sample::select(&NAMES[..]).prop_flat_map(|name| {
            let rows: Vec<usize> = (0..recorded(name).len()).collect();
            (Just(name), Just(rows).prop_shuffle())
        }),
        last_trace_first in any::<bool>(),
    ) {
        // Guarantees the same hops whichever spans and traces arrive first.
        let batch = recorded(name);
        let expected = Hops::of(&cone(&batch), &HashSet::new(), &Bindings::default()).hops;
        let shuffled = Hops::of(&cone_in_order(&batch, &rows, last_trace_first), &HashSet::new(), &Bindings::default()).hops;
        prop_assert_eq!(expected, shuffled);
    }
}

every_recording!(check);

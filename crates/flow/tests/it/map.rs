//! The service map: the same for the same work, however the instrumentations join their spans.

use flow::engine::report::MapNode;
use flow::engine::{Engine, EngineOptions};
use testkit::story::{START_UNIX_NANO, spans};

const SECOND: u64 = 1_000_000_000;

/// The edges of the map of a story, each with its counts and the longest time.
fn edges(story: &str) -> Vec<String> {
    let mut engine = Engine::new(EngineOptions::default());
    for batch in spans(story) {
        engine.apply(&batch, START_UNIX_NANO + SECOND);
    }
    // Calls wait a minute or two for whoever was called to tell of it.
    for minute in 1..4 {
        engine.advance(START_UNIX_NANO + minute * 61 * SECOND);
    }
    let node = |node: &MapNode| match node {
        MapNode::Service(name) => name.clone(),
        MapNode::Destination(key) => key.to_string(),
        MapNode::Peer(kind, name) => format!("{kind:?} {name}"),
    };
    let edges = engine.map(START_UNIX_NANO, START_UNIX_NANO + 600 * SECOND);
    let shown = edges.iter().map(|edge| {
        let (from, to) = (node(&edge.from), node(&edge.to));
        format!("{from} > {to} {}/{} {:?}", edge.errors, edge.count, edge.durations.quantile_ns(0.5))
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    shown
}

#[test]
fn links_are_drawn_as_parents_are() {
    // Guarantees the same nodes, edges, counts, errors and times for consumers that continue the trace, that link to the message from a
    // trace of their own, and that link to it from within a batch.
    let story = |mail: &str, bill: &str| {
        let lines = [
            r#"A1 shop server "POST /order" 0..20"#,
            r#"A2 in A1 shop producer "orders send" 5..6 op=send to=kafka:orders"#,
            r#"A3 in A1 shop producer "orders send" 7..8 op=send to=kafka:orders"#,
            &format!(r#"{mail} mail consumer "orders process" 106..120 op=process to=kafka:orders group=mail {bill}"#),
        ];
        lines.join("\n")
    };
    let by_parent = edges(&story("A4 in A2", ""));
    assert_eq!(by_parent.len(), 2, "{by_parent:?}");
    assert!(by_parent[0].starts_with("kafka:orders > mail 0/1 Some("), "{by_parent:?}");
    assert_eq!(edges(&story("B1", "link=A2")), by_parent);
    let in_batch = edges(&story("B1", "link=A2 link=A3 count=2"));
    assert!(in_batch[0].starts_with("kafka:orders > mail 0/2 "), "{in_batch:?}");
    assert_eq!(in_batch[1], by_parent[1]);
}

#[test]
fn what_sends_no_spans_is_drawn_from_its_clients() {
    // Guarantees that databases, caches and hosts of others are nodes of their kind, with calls and errors, and that a host that turns
    // out to be a service is that service.
    let found = edges(
        r#"
        A1       shop server "POST /order" 0..90
        A2 in A1 shop client "SELECT orders" 1..5 db.system=postgresql server.address=db1
        A3 in A1 shop client "GET" 6..7 db.system=redis server.address=cache1
        A4 in A1 shop client "POST" 8..60 server.address=api.bank.example http.request.method=POST error
        A5 in A1 shop client "GET /stock" 61..80 server.address=stock.internal http.request.method=GET
        A6 in A5 stock server "GET /stock" 62..79
        "#,
    );
    let names: Vec<String> = found.iter().map(|edge| edge.rsplit_once(' ').expect("a time").0.to_owned()).collect();
    let wanted = [
        "shop > Cache redis@cache1 0/1",
        "shop > Database postgresql@db1 0/1",
        "shop > Host api.bank.example 1/1",
        "shop > stock 0/1",
    ];
    assert_eq!(names, wanted);
}

//! Heat maps, what explains a part of them, and why messages were given up on, over HTTP.

use serde_json::json;

use crate::server::TestServer;

#[test]
fn a_heat_map_counts_what_a_search_finds() {
    // Guarantees that the same conditions mean the same spans, and that cells add up.
    let server = TestServer::start();
    server.send_fixture();
    let map = server.get("api", "/api/search/heatmap?service=shop&columns=20").json();
    let cells = map["cells"].as_array().unwrap();
    let spans: u64 = cells.iter().map(|cell| cell["spans"].as_u64().unwrap()).sum();
    assert!(spans > 0 && map["spans"] == json!(spans), "{map}");
    assert_eq!((&map["columns"], &map["sampled"]), (&json!(20), &json!(false)));
    assert_eq!(server.get("api", "/api/search/heatmap?service=nobody").json()["spans"], 0);
}

#[test]
fn a_choice_is_explained() {
    // Guarantees that chosen and other spans are all that match, and that what differs names itself as the language writes it.
    let server = TestServer::start();
    server.send_fixture();
    let all = server.get("api", "/api/search/heatmap").json()["spans"].as_u64().unwrap();
    let explained = server.get("api", "/api/search/explain?chosen_min_duration=1us").json();
    assert_eq!(explained["chosen"].as_u64().unwrap() + explained["rest"].as_u64().unwrap(), all);
    for item in explained["items"].as_array().unwrap() {
        let field = item["field"].as_str().unwrap();
        assert!(query::parse(&format!("{field} exists")).is_ok(), "{field}");
    }
}

#[test]
fn unreadable_choices_are_refused() {
    // Guarantees the one shape of a refusal, with the place in the query.
    let server = TestServer::start();
    for path in ["heatmap?q=a%20%3D", "explain?q=a%20%3D"] {
        let refused = server.get("api", &format!("/api/search/{path}"));
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["error"]["code"], "bad_query");
    }
    for path in
        ["search/heatmap?columns=0", "search/heatmap?color=red", "search/explain?chosen_start=x", "dead-letters"]
    {
        let refused = server.get("api", &format!("/api/{path}"));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("bad_parameter")), "{path}");
    }
}

#[test]
fn dead_letters_of_a_destination_without_any_are_none() {
    // Guarantees that a destination nobody has given up anything at is an empty list.
    let server = TestServer::start();
    server.send_fixture();
    let none = server.get("api", "/api/dead-letters?destination=kafka:nothing").json();
    assert_eq!(none, json!({"items": [], "messages": 0, "truncated": false}));
}

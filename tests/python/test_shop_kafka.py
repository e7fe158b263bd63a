"""A shop on a real Kafka broker: Flask, kafka-python and confluent-kafka with OpenTelemetry's auto-instrumentation, kafkajs in Node,
one by one and in batches. Asked through the API only."""

import pytest

from shops import ShopUnderTest, consumed, hop, ways

SHIPPED = [
    ("order", "orders", "payment"), ("order", "orders", "stock"), ("payment", "payments", "ledger"),
    ("payment", "payments", "shipping"),
]
STUCK = [
    *consumed(*SHIPPED[:3]), *[("payment", "payments", "shipping", attempt, "dead_lettered") for attempt in (1, 2, 3)],
    ("shipping", "payments.DLT", "support", 1, "consumed"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with ShopUnderTest("kafka", tmp_path_factory.mktemp("kafka")) as running:
        yield running


def test_an_order_is_one_flow_over_all_services(shop):
    # By parent where the library continues the trace, by link where it does not: one flow, each hop once, each with a wait.
    flow = shop.flow(shop.order(id="1"), lambda flow: ways(flow) == consumed(*SHIPPED))
    assert {service["name"] for service in flow["services"]} == {"order", "payment", "stock", "shipping", "ledger"}
    assert all(each["queue_wait_ns"] > 0 and not each["clock_skew"] for each in flow["hops"])
    evidence = {to: hop(flow, sender, to)["evidence"] for sender, _, to in SHIPPED}
    assert evidence == {"payment": "link", "stock": "parent", "ledger": "link", "shipping": "parent"}
    assert len(flow["traces"]) == 3 and not flow["not_received"]


def test_each_destination_is_one_entity(shop):
    # One entry for each topic, with those who read it.
    shop.flow(shop.order(id="2"), lambda flow: ways(flow) == consumed(*SHIPPED))
    found = {item["key"]: item for item in shop.get("/api/destinations")["items"]}
    readers = {key: {group["name"] for group in item["groups"]} for key, item in found.items() if "DLT" not in key}
    assert readers == {"kafka:orders": {"payment", "stock"}, "kafka:payments": {"ledger", "shipping"}}


def test_the_map_draws_links_as_it_draws_parents(shop):
    # Readers that link and readers that continue the trace: services and topics as nodes, edges with counts and waits alike.
    shop.flow(shop.order(id="mapped"), lambda flow: ways(flow) == consumed(*SHIPPED))
    answer = shop.get("/api/map")
    edges = {(edge["from"]["name"], edge["to"]["name"]): edge for edge in answer["edges"]}
    for sender, topic, receiver in SHIPPED:
        assert edges[sender, f"kafka:{topic}"]["count"] > 0
        received = edges[f"kafka:{topic}", receiver]
        assert received["count"] > 0 and received["duration"]["p50_ns"] > 0 and not received["errors"]
    kinds = {(node["kind"], node["name"]) for node in answer["nodes"]}
    assert {("service", "ledger"), ("service", "shipping"), ("destination", "kafka:payments")} <= kinds


def test_links_are_told_in_both_directions(shop):
    # The trace of the order names who links to it, payment's names what it links to, with both ends.
    flow = shop.flow(shop.order(id="linked"), lambda flow: ways(flow) == consumed(*SHIPPED))
    found = hop(flow, "order", "payment")
    ends = lambda link: (link["from"]["span_id"], link["to"]["span_id"])  # noqa: E731
    wanted = (found["from"]["span_id"], found["to"]["span_id"])
    incoming = shop.get(f"/api/traces/{found['from']['trace_id']}/links")["incoming"]
    outgoing = shop.get(f"/api/traces/{found['to']['trace_id']}/links")["outgoing"]
    (link,) = [link for link in incoming if ends(link) == wanted]
    assert (link["from"]["service"], link["to"]["service"]) == ("order", "payment")
    assert link["from"]["received"] and link["to"]["received"]
    assert wanted in map(ends, outgoing)


def test_messages_that_waited_for_a_batch_listener_are_taken_together(shop):
    # Ten orders while the ledger is down: afterwards each is in its own flow, and the batch drags in none of the others'.
    shop.services.stop("ledger")
    traces = [shop.order(id=f"batch-{number}") for number in range(10)]
    for trace_id in traces:
        shop.flow(trace_id, lambda flow: hop_to(flow, "shipping"))
    shop.services.start("ledger")
    for trace_id in traces:
        flow = shop.flow(trace_id, lambda flow: ways(flow) == consumed(*SHIPPED))
        assert hop(flow, "payment", "ledger")["evidence"] == "link"
        assert sum(service["spans"] for service in flow["services"] if service["name"] == "order") == 2


def hop_to(flow, service):
    return any(each["to"] and each["to"]["service"] == service for each in flow["hops"])


def test_messages_of_a_stopped_consumer_turn_late_then_lost_and_recover(shop):
    # Declared to be received within a second: late, then lost; consumed when it is back.
    shop.expect("stock consumes orders within 1s")
    shop.services.stop("stock")
    trace_id = shop.order(id="late")
    for state in ("late", "lost"):
        flow = shop.flow(trace_id, lambda flow: ("order", "orders", None, 1, state) in ways(flow))
        assert [hop["consumer_group"] for hop in flow["hops"] if hop["state"] == state] == ["stock"]
    sent = hop(flow, "order", "payment")["from"]
    path = f"/api/messages/{sent['trace_id']}-{sent['span_id']}"
    assert shop.get(path)["missing_groups"] == ["stock"]
    shop.services.start("stock")
    shop.flow(trace_id, lambda flow: ways(flow) == consumed(*SHIPPED))
    assert shop.get(path)["state"] == "consumed"
    shop.expect()


def test_a_message_that_is_put_aside_is_one_lineage_with_its_death(shop):
    # Three attempts, then the consumer itself sends it to its dead-letter topic.
    trace_id = shop.order(id="stuck", address="unknown")
    flow = shop.flow(trace_id, lambda flow: ways(flow) == sorted(STUCK, key=str))
    sent = [each for each in flow["hops"] if each["destination"]["name"] == "payments"][0]["from"]
    message = shop.get(f"/api/messages/{sent['trace_id']}-{sent['span_id']}")
    deliveries = {delivery["group"]: delivery for delivery in message["deliveries"]}
    assert message["state"] == "dead_lettered"
    assert deliveries["shipping"]["attempts"] == 3 and deliveries["ledger"]["attempts"] == 1
    first, dead = message["lineage"]
    tried = [attempt for attempt in first["attempts"] if attempt["service"] == "shipping"]
    assert [attempt["failed"] for attempt in tried] == [True, True, False]
    assert "nobody knows where to send order stuck" in tried[1]["exception"]["message"]
    assert (dead["how"], dead["of"], dead["destination"]) == ("dead_letter", first["id"], "kafka:payments.DLT")
    assert [attempt["service"] for attempt in dead["attempts"]] == ["support"]


def test_a_mended_message_is_sent_again_in_the_same_flow(shop):
    # Support sends the dead letter to its topic once more; both readers get it, in the same flow.
    again = consumed(("support", "payments", "shipping"), ("support", "payments", "ledger"))
    wanted = sorted([*STUCK, *again], key=str)
    flow = shop.flow(shop.order(id="moved", address="old"), lambda flow: ways(flow) == wanted)
    again = hop(flow, "support", "shipping")["from"]
    lineage = shop.get(f"/api/messages/{again['trace_id']}-{again['span_id']}")["lineage"]
    assert [step["how"] for step in lineage] == ["sent", "dead_letter", "sent_again"]


def test_a_lost_context_is_found_again_by_a_business_key(shop):
    # Neither side says an offset that both know; what both carry is the order's id, which is declared to tell.
    shop.services.stop("payment")
    shop.services.start("payment", OTEL_PROPAGATORS="none")
    flow = shop.flow(shop.order(id="keyed"), lambda flow: hop_to(flow, "payment"))
    found = hop(flow, "order", "payment")
    assert found["evidence"] == "business_key" and found["state"] == "consumed"
    assert found["to"]["trace_id"] != found["from"]["trace_id"]
    shop.services.stop("payment")
    shop.services.start("payment")

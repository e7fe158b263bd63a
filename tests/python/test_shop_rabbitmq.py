"""A shop on a real RabbitMQ: Flask and pika with OpenTelemetry's auto-instrumentation, amqplib in Node. Asked through the API only."""

import pytest

from shops import ShopUnderTest, consumed, hop, ways

PAID = [
    ("order", "orders", "payment"), ("order", "orders", "stock"), ("payment", "payments", "shipping"),
    ("shipping", "emails", "email"),
]
REFUSED = [
    ("order", "orders", "payment", 1, "dead_lettered"), ("order", "orders", "payment", 2, "dead_lettered"),
    ("order", "orders", "payment", 3, "dead_lettered"), ("order", "orders", "stock", 1, "consumed"),
    ("order", "dead-letters", "support", 1, "consumed"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with ShopUnderTest("rabbitmq", tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


def test_an_order_is_one_flow_over_all_services(shop):
    # From the answer to the last email: every hop once, each with a wait, the critical path through them, nothing missing.
    flow = shop.flow(shop.order(id="1"), lambda flow: ways(flow) == consumed(*PAID))
    assert flow["root"]["service"] == "order" and flow["root"]["name"] == "POST /order"
    assert {service["name"] for service in flow["services"]} == {"order", "payment", "stock", "shipping", "email"}
    for each in flow["hops"]:
        assert each["queue_wait_ns"] > 0 and each["wait_source"] == "spans" and not each["clock_skew"]
        assert each["evidence"] == "parent" and each["message_id"]
    assert int(flow["last_effect_unix_nano"]) > int(flow["answered_unix_nano"])
    assert sum(part["kind"] == "waiting" for part in flow["critical_path"]) == 3
    assert not flow["not_received"] and not flow["truncated"]


def test_each_destination_is_one_entity(shop):
    # However pika and amqplib spell exchange and queue: one entry for each, with those who read it.
    shop.flow(shop.order(id="2"), lambda flow: ways(flow) == consumed(*PAID))
    found = {item["key"]: item for item in shop.get("/api/destinations")["items"]}
    readers = {key: {group["name"] for group in item["groups"]} for key, item in found.items()}
    wanted = {
        "rabbitmq:orders": {"payment", "stock"}, "rabbitmq:payments": {"shipping"}, "rabbitmq:emails": {"email"},
    }
    assert {key: readers[key] for key in wanted} == wanted
    assert {key for key in readers if "dead" not in key} == set(wanted)
    assert found["rabbitmq:payments"]["figures"]["queue_wait"]["p50_ns"] > 0


def test_messages_of_a_stopped_consumer_turn_late_then_lost_and_recover(shop):
    # Declared to be received within a second: late, then lost, in messages, flows and destinations; consumed when it is back.
    shop.expect("stock consumes orders within 1s")
    shop.services.stop("stock")
    trace_id = shop.order(id="3")
    for state in ("late", "lost"):
        message = shop.message("orders", lambda message: message["state"] == state, message_id="order-3")
        assert message["missing_groups"] == ["stock"] and message["message_id"] == "order-3"
    missing = ("order", "orders", None, 1, "lost")
    flow = shop.flow(trace_id, lambda flow: missing in ways(flow))
    assert [hop["consumer_group"] for hop in flow["hops"] if hop["state"] == "lost"] == ["stock"]
    shop.services.start("stock")
    shop.message("orders", lambda message: message["state"] == "consumed", message_id="order-3")
    shop.flow(trace_id, lambda flow: ways(flow) == consumed(*PAID))
    shop.expect()


def test_a_refused_message_is_one_lineage_with_its_death(shop):
    # Three attempts, each with the exception, then the dead letter and who found it.
    trace_id = shop.order(id="4", card="declined")
    shop.flow(trace_id, lambda flow: ways(flow) == sorted(REFUSED, key=str))
    message = shop.message("orders", lambda message: message["state"] == "dead_lettered", message_id="order-4")
    message = shop.get(f"/api/messages/{message['id']}")
    deliveries = {delivery["group"]: delivery for delivery in message["deliveries"]}
    assert deliveries["payment"]["attempts"] == deliveries["payment"]["failed"] == 3
    assert deliveries["stock"]["attempts"] == 1 and deliveries["stock"]["failed"] == 0
    assert message["message_id"] == "order-4"
    (step,) = message["lineage"]
    tried = [attempt for attempt in step["attempts"] if attempt["service"] == "payment"]
    assert [attempt["attempt"] for attempt in tried] == [1, 2, 3] and all(attempt["failed"] for attempt in tried)
    for attempt in tried:
        exception = attempt["exception"]
        assert exception["type"].endswith("CardRefused") and exception["message"] == "the card is declined"
        assert exception["span_id"] == attempt["span_id"]
    assert [attempt["destination"] for attempt in step["attempts"] if attempt["service"] == "support"] == ["rabbitmq:dead-letters"]


def test_a_mended_message_is_sent_again_in_the_same_flow(shop):
    # Support sends the dead letter to payment's queue once more; the new message is consumed, the old one stays dead.
    again = [("support", "payment", "payment"), ("payment", "payments", "shipping"), ("shipping", "emails", "email")]
    wanted = sorted(REFUSED + consumed(*again), key=str)
    shop.flow(shop.order(id="5", card="expired"), lambda flow: ways(flow) == wanted)
    message = shop.message("orders", lambda message: message["state"] == "dead_lettered", message_id="order-5")
    assert {delivery["group"] for delivery in message["deliveries"]} == {"payment", "stock"}
    first, again = shop.get(f"/api/messages/{message['id']}")["lineage"]
    assert (first["how"], again["how"], again["of"]) == ("sent", "sent_again", message["id"])
    assert [(attempt["service"], attempt["failed"]) for attempt in again["attempts"]] == [("payment", False)]


def test_a_lost_context_is_found_again_by_the_messages_id(shop):
    # A consumer that reads no context begins a trace of its own; its message id leads back to the order.
    shop.services.stop("stock")
    shop.services.start("stock", OTEL_PROPAGATORS="none")
    flow = shop.flow(shop.order(id="6"), lambda flow: ways(flow) == consumed(*PAID))
    found = hop(flow, "order", "stock")
    assert found["evidence"] == "message_id" and found["message_id"] == "order-6"
    assert found["to"]["trace_id"] != found["from"]["trace_id"]
    shop.services.stop("stock")
    shop.services.start("stock")


def test_a_flow_is_the_same_from_whichever_span_it_is_opened(shop):
    # Every span of every service leads to the same flow.
    trace_id = shop.order(id="7")
    flow = shop.flow(trace_id, lambda flow: ways(flow) == consumed(*PAID))
    spans = shop.get(f"/api/flows/{trace_id}/spans")["items"]
    assert len(spans) == sum(service["spans"] for service in flow["services"])
    for span in spans:
        assert shop.get(f"/api/flows/{span['trace_id']}", span_id=span["span_id"])["flow_id"] == flow["flow_id"]

"""pika: an exchange with a bound queue, the default exchange, a rejected message that is dead-lettered, request and reply."""

import pika
from opentelemetry.instrumentation.pika import PikaInstrumentor

from scene import BROKER, recording


def drain(connection, handled, count):
    """Handles deliveries until `handled` has `count` entries; at most 10 s."""
    for _ in range(100):
        if len(handled) >= count:
            return
        connection.process_data_events(time_limit=0.1)
    raise SystemExit("messages did not arrive")


def main(tracer):
    host, port = BROKER.split(":")
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
    channel = connection.channel()
    channel.exchange_declare("orders", "topic")
    channel.exchange_declare("dead", "fanout")
    channel.queue_declare("payment", arguments={"x-dead-letter-exchange": "dead"})
    channel.queue_bind("payment", "orders", "order.*")
    channel.queue_declare("payment.dead")
    channel.queue_bind("payment.dead", "dead", "")
    channel.queue_declare("emails")
    replies = channel.queue_declare("", exclusive=True).method.queue
    handled = []

    def on_payment(channel, method, properties, body):
        if method.redelivered:
            channel.basic_nack(method.delivery_tag, requeue=False)
        else:
            channel.basic_nack(method.delivery_tag, requeue=True)
        handled.append(body)

    def on_message(channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        if properties.reply_to:
            reply = pika.BasicProperties(correlation_id=properties.correlation_id, message_id="reply-1")
            channel.basic_publish("", properties.reply_to, b"sent", reply)
        handled.append(body)

    channel.basic_consume("payment", on_payment)
    for queue in ("payment.dead", "emails", replies):
        channel.basic_consume(queue, on_message)
    with tracer.start_as_current_span("POST /order"):
        properties = pika.BasicProperties(message_id="order-1", correlation_id="conversation-1")
        channel.basic_publish("orders", "order.created", b"poison", properties)
        properties = pika.BasicProperties(message_id="email-1", correlation_id="conversation-1", reply_to=replies)
        channel.basic_publish("", "emails", b"hello", properties)
    drain(connection, handled, 5)
    connection.close()


if __name__ == "__main__":
    PikaInstrumentor().instrument()
    with recording("pika") as tracer:
        main(tracer)

"""aio-pika: an exchange with a bound queue, and the default exchange."""

import asyncio

import aio_pika
from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor

from scene import BROKER, recording


async def main(tracer):
    connection = await aio_pika.connect_robust(f"amqp://guest:guest@{BROKER}/")
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("aio.orders", aio_pika.ExchangeType.TOPIC)
        payment = await channel.declare_queue("aio.payment")
        await payment.bind(exchange, "order.*")
        emails = await channel.declare_queue("aio.emails")
        handled = asyncio.Queue()

        async def on_message(message):
            async with message.process():
                await handled.put(message.body)

        await payment.consume(on_message)
        await emails.consume(on_message)
        with tracer.start_as_current_span("POST /order"):
            order = aio_pika.Message(b"order", message_id="order-1", correlation_id="conversation-1")
            await exchange.publish(order, routing_key="order.created")
            email = aio_pika.Message(b"hello", message_id="email-1", correlation_id="conversation-1")
            await channel.default_exchange.publish(email, routing_key="aio.emails")
        for _ in range(2):
            await asyncio.wait_for(handled.get(), 10)


if __name__ == "__main__":
    AioPikaInstrumentor().instrument()
    with recording("aio-pika") as tracer:
        asyncio.run(main(tracer))

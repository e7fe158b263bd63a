"""aiokafka: one record by getone, two by getmany."""

import asyncio

import aiokafka
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor

from scene import BROKER, recording


async def main(tracer):
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=BROKER)
    await producer.start()
    with tracer.start_as_current_span("POST /order"):
        for number in range(3):
            await producer.send_and_wait("ak.orders", b"order", key=b"order-%d" % number, partition=1)
    consumer = aiokafka.AIOKafkaConsumer(
        "ak.orders", bootstrap_servers=BROKER, group_id="payment", auto_offset_reset="earliest")
    await consumer.start()
    await asyncio.wait_for(consumer.getone(), 20)
    await asyncio.wait_for(consumer.getmany(timeout_ms=5000), 20)
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    AIOKafkaInstrumentor().instrument()
    with recording("aiokafka") as tracer:
        asyncio.run(main(tracer))

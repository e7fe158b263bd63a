// shipping: sends paid orders out, one by one. What fails three times is put aside.

const kafkajs = require('kafkajs');

const ATTEMPTS_MAX = 3;
const kafka = new kafkajs.Kafka({ clientId: 'shipping', brokers: [process.env.KAFKA_BROKERS], logLevel: kafkajs.logLevel.NOTHING });
const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
const consumer = kafka.consumer({ groupId: 'shipping', retry: { initialRetryTime: 50, retries: ATTEMPTS_MAX } });
const failures = new Map();

function ship({ id, address }) {
  if (address === 'unknown' || address === 'old') throw new Error(`nobody knows where to send order ${id}`);
}

async function putAside({ topic, partition, message }) {
  const headers = { 'x-original-topic': topic, 'x-original-partition': `${partition}`, 'x-original-offset': message.offset };
  await producer.send({ topic: `${topic}.DLT`, messages: [{ key: message.key, value: message.value, headers }] });
}

async function eachMessage(delivery) {
  const place = `${delivery.partition}/${delivery.message.offset}`;
  const count = (failures.get(place) ?? 0) + 1;
  try {
    ship(JSON.parse(delivery.message.value));
  } catch (error) {
    failures.set(place, count);
    if (count < ATTEMPTS_MAX) throw error;
    await putAside(delivery);
  }
}

async function main() {
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topic: 'payments', fromBeginning: true });
  consumer.on(consumer.events.GROUP_JOIN, () => console.log(JSON.stringify({ ready: true })));
  await consumer.run({ eachMessage });
  process.once('SIGTERM', () => consumer.disconnect());
}

main();

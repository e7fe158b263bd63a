// ledger: writes payments down, as many at once as there are.

const kafkajs = require('kafkajs');

const kafka = new kafkajs.Kafka({ clientId: 'ledger', brokers: [process.env.KAFKA_BROKERS], logLevel: kafkajs.logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: 'ledger' });
const lines = [];

async function main() {
  await consumer.connect();
  await consumer.subscribe({ topic: 'payments', fromBeginning: true });
  consumer.on(consumer.events.GROUP_JOIN, () => console.log(JSON.stringify({ ready: true })));
  await consumer.run({ eachBatch: async ({ batch }) => { lines.push(...batch.messages.map((message) => message.offset)); } });
  process.once('SIGTERM', () => consumer.disconnect());
}

main();

// kafkajs: records handled one by one, then another topic handled as a batch.

import { KafkaJsInstrumentation } from '@opentelemetry/instrumentation-kafkajs';
import { BROKER, arrivals, load, recording } from './scene.js';

async function scene(tracer) {
  const { Kafka, logLevel, Partitioners } = load('kafkajs');
  const kafka = new Kafka({ clientId: 'shop', brokers: [BROKER], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: ['js.orders', 'js.bulk'].map((topic) => ({ topic, numPartitions: 2 })), waitForLeaders: true });
  await admin.disconnect();
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await tracer.startActiveSpan('POST /order', async (span) => {
    for (const topic of ['js.orders', 'js.bulk']) {
      const messages = [1, 2].map((number) => ({ key: `order-${number}`, value: 'order', partition: 1 }));
      await producer.send({ topic, messages });
    }
    span.end();
  });
  const { all, arrived } = arrivals(4);
  const one = kafka.consumer({ groupId: 'payment' });
  await one.connect();
  await one.subscribe({ topic: 'js.orders', fromBeginning: true });
  await one.run({ eachMessage: async () => arrived() });
  const many = kafka.consumer({ groupId: 'ledger' });
  await many.connect();
  await many.subscribe({ topic: 'js.bulk', fromBeginning: true });
  await many.run({ eachBatch: async ({ batch }) => batch.messages.forEach(arrived) });
  await all;
  await one.disconnect();
  await many.disconnect();
  await producer.disconnect();
}

await recording('kafkajs', [new KafkaJsInstrumentation()], scene);

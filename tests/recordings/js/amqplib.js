// amqplib: an exchange with a bound queue, the default exchange, and a message that is rejected into a dead-letter queue.

import { AmqplibInstrumentation } from '@opentelemetry/instrumentation-amqplib';
import { BROKER, arrivals, load, recording } from './scene.js';

async function scene(tracer) {
  const connection = await load('amqplib').connect(`amqp://guest:guest@${BROKER}`);
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('js.orders', 'topic');
  await channel.assertExchange('js.dead', 'fanout');
  await channel.assertQueue('js.payment', { arguments: { 'x-dead-letter-exchange': 'js.dead' } });
  await channel.bindQueue('js.payment', 'js.orders', 'order.*');
  await channel.assertQueue('js.payment.dead');
  await channel.bindQueue('js.payment.dead', 'js.dead', '');
  await channel.assertQueue('js.emails');
  const { all, arrived } = arrivals(3);
  await channel.consume('js.payment', (message) => { channel.nack(message, false, false); arrived(); });
  for (const queue of ['js.payment.dead', 'js.emails']) {
    await channel.consume(queue, (message) => { channel.ack(message); arrived(); });
  }
  tracer.startActiveSpan('POST /order', (span) => {
    channel.publish('js.orders', 'order.created', Buffer.from('poison'), { messageId: 'order-1', correlationId: 'conversation-1' });
    channel.sendToQueue('js.emails', Buffer.from('hello'), { messageId: 'email-1', correlationId: 'conversation-1' });
    span.end();
  });
  await channel.waitForConfirms();
  await all;
  await channel.close();
  await connection.close();
}

await recording('amqplib', [new AmqplibInstrumentation()], scene);

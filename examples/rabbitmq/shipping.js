// shipping: sends paid orders out, and has the customer told.

const amqp = require('amqplib');

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertExchange('payments', 'topic', { durable: true });
  await channel.assertQueue('shipping', { durable: true });
  await channel.bindQueue('shipping', 'payments', 'payment.settled');
  await channel.assertQueue('emails', { durable: true });
  await channel.consume('shipping', (message) => {
    const { id } = JSON.parse(message.content);
    channel.sendToQueue('emails', message.content, { messageId: `email-${id}`, persistent: true });
    channel.ack(message);
  });
  console.log(JSON.stringify({ ready: true }));
}

main();

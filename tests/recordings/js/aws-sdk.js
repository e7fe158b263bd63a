// The AWS SDK, version 3, against a stand-in of AWS: SQS one by one and in batches, SNS.

import { AwsInstrumentation } from '@opentelemetry/instrumentation-aws-sdk';
import { BROKER, load, recording } from './scene.js';

async function scene(tracer) {
  const options = { region: 'eu-west-1', endpoint: `http://${BROKER}`, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
  const { SQS } = load('@aws-sdk/client-sqs');
  const { SNS } = load('@aws-sdk/client-sns');
  const [sqs, sns] = [new SQS(options), new SNS(options)];
  const { QueueUrl } = await sqs.createQueue({ QueueName: 'payments' });
  const { TopicArn } = await sns.createTopic({ Name: 'orders' });
  await tracer.startActiveSpan('POST /order', async (span) => {
    await sqs.sendMessage({ QueueUrl, MessageBody: 'order 1' });
    await sqs.sendMessageBatch({ QueueUrl, Entries: ['2', '3'].map((Id) => ({ Id, MessageBody: `order ${Id}` })) });
    await sns.publish({ TopicArn, Message: 'order 4' });
    span.end();
  });
  const { Messages } = await sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 10, AttributeNames: ['All'], MessageAttributeNames: ['All'] });
  for (const { ReceiptHandle } of Messages) {
    await sqs.deleteMessage({ QueueUrl, ReceiptHandle });
  }
}

await recording('aws-sdk', [new AwsInstrumentation()], scene);

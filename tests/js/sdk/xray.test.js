// AWS's own X-Ray SDK for Node: what it sends in datagrams, in one document and in several, is read back span by span.

import AWSXRay from 'aws-xray-sdk-core';
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Server } from '../server.js';

// Nothing answers a datagram: what was sent is looked for until it is there.
const ARRIVAL_LIMIT_MS = 20_000;

/** A trace of so many spans, by span name. */
async function arrived(server, traceId, count) {
  const deadline = Date.now() + ARRIVAL_LIMIT_MS;
  for (;;) {
    const answer = await fetch(server.url('api', `/api/traces/${traceId.slice(2).replace('-', '')}`));
    const body = await answer.json();
    if (answer.ok && body.spans.length >= count) {
      assert.equal(body.spans.length, count);
      return { body, spans: Object.fromEntries(body.spans.map((span) => [span.name, span])) };
    }
    assert.ok(Date.now() < deadline, JSON.stringify(body));
    await pause(20);
  }
}

const plain = (attributes) => Object.fromEntries(attributes.map(({ key, value }) => [key, value]));

describe('the X-Ray SDK', () => {
  let server;
  before(async () => {
    server = await Server.start();
    AWSXRay.setDaemonAddress(server.address('xray'));
    AWSXRay.middleware.disableCentralizedSampling();
    AWSXRay.setContextMissingStrategy('IGNORE_ERROR');
  });
  after(() => server.stop());

  test('a segment with everything', async () => {
    const segment = new AWSXRay.Segment('node-shop');
    segment.setUser('u-7');
    segment.addAnnotation('order_id', 42);
    segment.addAnnotation('vip', true);
    segment.addMetadata('cart', { items: [1, 2] }, 'shop');
    const call = segment.addNewSubsegment('bank');
    call.namespace = 'remote';
    call.addError(new Error('card declined'));
    call.close();
    const sent = segment.addNewSubsegment('SQS');
    sent.namespace = 'aws';
    sent.addAttribute('aws', { operation: 'sendMessage', queue_url: 'https://sqs.eu-west-1.amazonaws.com/1/orders', message_id: 'm-1' });
    sent.close();
    segment.close();
    const { body, spans } = await arrived(server, segment.trace_id, 3);
    const [root, bank, sqs] = [spans['node-shop'], spans.bank, spans.SQS];
    assert.deepEqual([root.kind, bank.kind, sqs.kind], ['server', 'client', 'producer']);
    assert.deepEqual([root.span_id, bank.parent_span_id, sqs.parent_span_id], [segment.id, segment.id, segment.id]);
    assert.equal(root.service, 'node-shop');
    const attributes = plain(root.attributes);
    assert.deepEqual([attributes['enduser.id'], attributes.order_id, attributes.vip], ['u-7', '42', true]);
    assert.deepEqual(attributes['aws.xray.metadata.shop'], { cart: { items: [1, 2] } });
    assert.deepEqual(bank.status, { code: 'error', message: 'card declined' });
    assert.equal(bank.events[0].name, 'exception');
    assert.equal(plain(bank.events[0].attributes)['exception.type'], 'Error');
    const message = plain(sqs.attributes);
    const wanted = { 'messaging.system': 'aws_sqs', 'messaging.destination.name': 'orders', 'messaging.message.id': 'm-1' };
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((key) => [key, message[key]])), wanted);
    assert.match(plain(body.resources[0].attributes)['telemetry.sdk.name'], /X-Ray for Node/);
  });

  test('subsegments that are sent before their segment', async () => {
    AWSXRay.setStreamingThreshold(2);
    const segment = new AWSXRay.Segment('streaming');
    for (let number = 0; number < 5; number += 1) segment.addNewSubsegment(`step ${number}`).close();
    segment.close();
    const { spans } = await arrived(server, segment.trace_id, 6);
    for (let number = 0; number < 5; number += 1) assert.equal(spans[`step ${number}`].parent_span_id, segment.id);
  });
});

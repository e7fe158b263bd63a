// The fixed shop of the views' tests: a topic with two groups, one of which misses messages; a queue whose mails are tried three
// times and given up; calls to a database; and a destination whose name is hostile.

const MS = 1_000_000n;
const SECOND = 1_000n * MS;
const NOW = BigInt(Date.now()) * MS;
/** Long enough ago that what is missing is lost, inside the hour that the views show. */
const LONG_AGO = NOW - 1_500n * SECOND;

export const RULE = 'ledger consumes orders within 1s';
export const ORDERS = 'kafka:orders';
export const MAILS = 'rabbitmq:mails';
export const HOSTILE_NAME = '<img src=x onerror="window.hacked=1">';
export const MESSAGES = 12;
/** Of these the ledger receives the first nine; what it misses is lost some seconds after it was heard of. */
export const LEDGERED = 9;

const hex = (number, length) => number.toString(16).padStart(length, '0');
export const traceOf = (number) => `5${hex(number, 31)}`;
export const publishOf = (number) => hex(0x1000 + number * 16, 16);
export const idOf = (number) => `${traceOf(number)}-${publishOf(number)}`;
export const MAIL = 40;

const text = (attributes) => Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));
const from = (service, spans) => ({ resource: { attributes: text({ 'service.name': service, 'host.name': `${service}-1` }) }, scopeSpans: [{ spans }] });
const message = (system, destination, operation, more = {}) =>
  text({ 'messaging.system': system, 'messaging.destination.name': destination, 'messaging.operation.type': operation, 'messaging.operation.name': operation, ...more });

function span(number, own, parent, name, start, lasts, more = {}) {
  const parentSpanId = parent === null ? {} : { parentSpanId: parent };
  return { traceId: traceOf(number), spanId: own, ...parentSpanId, name, startTimeUnixNano: `${start}`, endTimeUnixNano: `${start + lasts}`, ...more };
}

/** One order: the request, its message, billing at once, the ledger seconds later or never. */
function order(number) {
  const start = LONG_AGO + BigInt(number) * 20n * SECOND;
  const publish = publishOf(number);
  const own = (step) => hex(0x1000 + number * 16 + step, 16);
  const keys = { 'messaging.message.id': `m-${number}`, 'order.id': `o-${number}` };
  const received = (group, step, after, lasts) =>
    span(number, own(step), publish, 'process orders', start + after, lasts, {
      kind: 5,
      attributes: message('kafka', 'orders', 'process', { 'messaging.consumer.group.name': group, 'messaging.destination.partition.id': '0', ...keys }),
    });
  const ledger = number < LEDGERED ? [from('ledger', [received('ledger', 4, 3n * SECOND, 80n * MS)])] : [];
  const slow = number % 4 === 0;
  return [
    from('shop', [
      span(number, own(1), null, 'POST /orders', start, 30n * MS, { kind: 2, attributes: text({ 'customer.tier': slow ? 'gold' : 'basic' }) }),
      span(number, publish, own(1), 'publish orders', start + 5n * MS, 4n * MS, { kind: 4, attributes: message('kafka', 'orders', 'send', keys) }),
    ]),
    from('billing', [
      received('billing', 2, 200n * MS, slow ? 900n * MS : 40n * MS),
      span(number, own(3), own(2), 'SELECT accounts', start + 210n * MS, 6n * MS, { kind: 3, attributes: text({ 'db.system': 'postgresql', 'server.address': 'db.example' }) }),
    ]),
    ...ledger,
  ];
}

/** A mail that is refused three times and then given up. */
function mail(number) {
  const start = LONG_AGO + 60n * SECOND;
  const publish = publishOf(number);
  const keys = { 'messaging.message.id': `m-${number}` };
  const failed = { status: { code: 2, message: 'mailbox unknown' } };
  const events = (at) => [{ timeUnixNano: `${at}`, name: 'exception', attributes: text({ 'exception.type': 'MailboxUnknown', 'exception.message': '550 no such user' }) }];
  const attempts = [0, 1, 2].map((attempt) => {
    const at = start + BigInt(1 + attempt * 4) * SECOND;
    return span(number, hex(0x9000 + number * 16 + attempt, 16), publish, 'process mails', at, 50n * MS, { kind: 5, attributes: message('rabbitmq', 'mails', 'process', keys), events: events(at), ...failed });
  });
  // The queue of what was given up hands it to the people who look after such.
  const buried = span(number, hex(0x9000 + number * 16 + 8, 16), publish, 'process mails.dlq', start + 12n * SECOND, 9n * MS, { kind: 5, attributes: message('rabbitmq', 'mails.dlq', 'process', keys) });
  return [
    from('billing', [span(number, publish, null, 'publish mails', start, 3n * MS, { kind: 4, attributes: message('rabbitmq', 'mails', 'send', keys) })]),
    from('mailer', attempts),
    from('support', [buried]),
  ];
}

function hostile(number) {
  const at = LONG_AGO + 90n * SECOND;
  return [from(HOSTILE_NAME, [span(number, publishOf(number), null, HOSTILE_NAME, at, MS, { kind: 4, attributes: message('kafka', HOSTILE_NAME, 'send', { [HOSTILE_NAME]: HOSTILE_NAME }) })])];
}

export const SHOP = {
  resourceSpans: [...Array.from({ length: MESSAGES }, (_, number) => order(number)).flat(), ...mail(MAIL), ...hostile(50)],
};

// The fixed flow of the browser tests: an order whose payment needs three attempts, a message that nobody takes, a batch with
// messages of others, a sender that never arrives, lost context, and hostile text. And a second one to compare it with.

const MS = 1_000_000n;
/** Two minutes ago: inside every range that the page offers, and nothing is waited for any more. */
const START = (BigInt(Date.now()) - 120_000n) * MS;

const trace = (letter) => `${letter}`.repeat(8).padEnd(32, '0');
export const ORDER = trace('1a');
export const OTHER_ORDER = trace('2b');
export const MAIL = trace('3c');
export const BATCH = trace('4d');
export const ELSEWHERE = trace('5e');
export const HOSTILE_FLOW = trace('6f');
const NEVER = trace('70');
const span_id = (number) => number.toString(16).padStart(16, '0');
export const SPANS = Object.fromEntries(['root', 'publish', 'pay1', 'pay2', 'pay3', 'captured', 'batch', 'mail', 'audit', 'orphan', 'charge'].map((name, at) => [name, span_id(0x100 + at)]));

export const HOSTILE = {
  service: '<img src=x onerror="window.hacked=1">',
  name: '</script><script>window.hacked=1</script>\u202eevil\u202c 🚚 שלום',
  key: '<b onmouseover="window.hacked=1">key</b>',
  destination: '"><svg onload="window.hacked=1">',
  group: '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
  large: 'x'.repeat(60_000),
};

const text = (attributes) => Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));

function span(traceId, spanId, parentSpanId, name, [after, lasts], more = {}) {
  const start = START + BigInt(after) * MS;
  return { traceId, spanId, parentSpanId, name, kind: 1, startTimeUnixNano: `${start}`, endTimeUnixNano: `${start + BigInt(lasts) * MS}`, ...more };
}

const message = (operation, destination, more = {}) => text({ 'messaging.system': 'kafka', 'messaging.destination.name': destination, 'messaging.operation.type': operation, ...more });
const from = (service, spans) => ({ resource: { attributes: text({ 'service.name': service }) }, scopeSpans: [{ spans }] });
const FAILED = { status: { code: 2, message: 'card declined' } };
const stack = 'java.lang.IllegalStateException: declined\n\tat shop.Payments.charge(Payments.java:42)';

/** One order; `late` is how much longer its payment waits. */
function order(traceId, base, late) {
  const id = (name) => span_id(parseInt(SPANS[name], 16) + base);
  const group = { 'messaging.consumer.group.name': 'payments' };
  const attempt = (name, at, lasts, more = {}) =>
    span(traceId, id(name), id('publish'), 'orders process', [at, lasts], { kind: 5, attributes: message('process', 'orders', { ...group, 'messaging.message.id': `m-${base}` }), ...more });
  const events = [{ timeUnixNano: `${START + 700n * MS}`, name: 'exception', attributes: text({ 'exception.type': 'Declined', 'exception.stacktrace': stack }) }];
  return [
    from('web-shop', [
      span(traceId, id('root'), '', 'POST /checkout', [0, 40], { kind: 2 }),
      span(traceId, id('publish'), id('root'), 'orders publish', [10, 20], { kind: 4, attributes: message('send', 'orders', { 'messaging.message.id': `m-${base}` }) }),
      span(traceId, id('audit'), id('root'), 'audit publish', [32, 4], { kind: 4, attributes: message('send', 'audit.trail') }),
    ]),
    from('payments', [
      attempt('pay1', 500 + late, 300, { ...FAILED, events }),
      attempt('pay2', 3_000 + late, 300, FAILED),
      attempt('pay3', 9_000 + late, 250),
      span(traceId, id('charge'), id('pay3'), 'charge card', [9_020 + late, 180], { kind: 3, attributes: text({ 'order.id': `order-${base}` }) }),
      span(traceId, id('captured'), id('pay3'), 'captured publish', [9_210 + late, 20], { kind: 4, attributes: message('send', 'payments.captured') }),
    ]),
  ];
}

export const FLOW = {
  resourceSpans: [
    ...order(ORDER, 0, 0),
    from('analytics', [
      span(BATCH, SPANS.batch, '', 'captured process', [12_000, 90], {
        kind: 5,
        attributes: message('process', 'payments.captured', { 'messaging.consumer.group.name': 'analytics' }),
        links: [{ traceId: ORDER, spanId: SPANS.captured }, { traceId: ELSEWHERE, spanId: span_id(0x901) }, { traceId: ELSEWHERE, spanId: span_id(0x902) }],
      }),
    ]),
    from('mailer', [
      span(MAIL, SPANS.mail, '', 'captured process', [9_400, 400], {
        kind: 5,
        attributes: message('process', 'payments.captured', { 'messaging.consumer.group.name': 'mailer' }),
        links: [{ traceId: ORDER, spanId: SPANS.captured }],
      }),
      span(MAIL, SPANS.orphan, span_id(0x999), 'render', [9_450, 40]),
    ]),
    from('elsewhere', [
      span(ELSEWHERE, span_id(0x901), '', 'captured publish', [8_000, 5], { kind: 4, attributes: message('send', 'payments.captured') }),
      span(ELSEWHERE, span_id(0x902), '', 'captured publish', [8_010, 5], { kind: 4, attributes: message('send', 'payments.captured') }),
    ]),
    ...order(OTHER_ORDER, 0x1000, 4_000),
    from(HOSTILE.service, [
      span(HOSTILE_FLOW, SPANS.root, '', HOSTILE.name, [0, 40], { kind: 2, attributes: text({ [HOSTILE.key]: HOSTILE.name, large: HOSTILE.large }), links: [{ traceId: NEVER, spanId: span_id(0x777) }] }),
      span(HOSTILE_FLOW, SPANS.publish, SPANS.root, HOSTILE.name, [10, 20], { kind: 4, attributes: message('send', HOSTILE.destination) }),
      span(HOSTILE_FLOW, SPANS.pay1, SPANS.publish, HOSTILE.name, [900, 50], { kind: 5, attributes: message('process', HOSTILE.destination, { 'messaging.consumer.group.name': HOSTILE.group }), ...FAILED }),
    ]),
  ],
};

const record = (body, severityNumber, after, more = {}) => ({ timeUnixNano: `${START + BigInt(after) * MS}`, severityNumber, body: { stringValue: body }, ...more });

/** What was logged in the order: within a span, within the trace only, and by another service that knows nothing but the message's id. */
export const LOGS = {
  resourceLogs: [
    {
      resource: { attributes: text({ 'service.name': 'payments' }) },
      scopeLogs: [{
        logRecords: [
          record('card declined, trying again', 13, 700, { traceId: ORDER, spanId: SPANS.pay1, attributes: text({ 'order.id': 'order-0' }) }),
          record('captured <img src=x onerror="window.hacked=1">', 9, 9_200, { traceId: ORDER, spanId: SPANS.pay3 }),
        ],
      }],
    },
    { resource: { attributes: text({ 'service.name': 'web-shop' }) }, scopeLogs: [{ logRecords: [record('order taken', 9, 5, { traceId: ORDER })] }] },
  ],
};

// The fixed data set of the browser tests: a request whose effect comes later over a link, a failure, and hostile text.

const SECOND_NS = 1_000_000_000n;
/** Two minutes ago: inside every range that the page offers. */
const START = (BigInt(Date.now()) - 120_000n) * 1_000_000n;

export const REQUEST_TRACE = 'a0000000000000000000000000000001';
export const EFFECT_TRACE = 'b0000000000000000000000000000002';
export const HOSTILE_TRACE = 'c0000000000000000000000000000003';
export const MISSING_TRACE = 'd0000000000000000000000000000004';
export const ROOT_SPAN = '00000000000000a1';
export const PUBLISH_SPAN = '00000000000000a2';
export const CHARGE_SPAN = '00000000000000a3';
export const PROCESS_SPAN = '00000000000000b1';
export const HOSTILE_SPAN = '00000000000000c1';

/** Markup in every place where a sender chooses the text; any of it that runs sets `window.hacked`. */
export const HOSTILE = {
  service: '<img src=x onerror="window.hacked=1">',
  name: '</script><script>window.hacked=1</script>',
  key: '<b onmouseover="window.hacked=1">key</b>',
  value: '"><svg onload="window.hacked=1">',
  event: '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
  url: 'javascript:window.hacked=1',
};

const text = (attributes) => Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));

function span(traceId, spanId, name, { after = 0n, lasts = SECOND_NS / 50n, ...more } = {}) {
  const start = START + after;
  return { traceId, spanId, name, startTimeUnixNano: `${start}`, endTimeUnixNano: `${start + lasts}`, ...more };
}

function from(service, spans) {
  return { resource: { attributes: text({ 'service.name': service, 'host.name': `${service}-1` }) }, scopeSpans: [{ spans }] };
}

export const REQUEST = {
  resourceSpans: [
    from('web-shop', [
      span(REQUEST_TRACE, ROOT_SPAN, 'POST /checkout', { kind: 2, attributes: text({ 'user.id': 'u-17' }) }),
      span(REQUEST_TRACE, PUBLISH_SPAN, 'orders publish', {
        kind: 4,
        parentSpanId: ROOT_SPAN,
        after: SECOND_NS / 100n,
        lasts: SECOND_NS / 200n,
        attributes: text({ 'messaging.system': 'kafka', 'messaging.destination.name': 'orders' }),
      }),
    ]),
    from('payments', [
      span(REQUEST_TRACE, CHARGE_SPAN, 'charge card', {
        parentSpanId: ROOT_SPAN,
        kind: 3,
        status: { code: 2, message: 'card declined' },
        events: [{ timeUnixNano: `${START}`, name: 'exception', attributes: text({ 'exception.type': 'Declined' }) }],
      }),
    ]),
    from('billing', [
      span(EFFECT_TRACE, PROCESS_SPAN, 'orders process', {
        kind: 5,
        after: 40n * SECOND_NS,
        links: [
          { traceId: REQUEST_TRACE, spanId: PUBLISH_SPAN, attributes: text({ 'messaging.message.id': 'm-1' }) },
          { traceId: MISSING_TRACE, spanId: '00000000000000d1', attributes: [] },
        ],
      }),
    ]),
    from(HOSTILE.service, [
      span(HOSTILE_TRACE, HOSTILE_SPAN, HOSTILE.name, {
        attributes: text({ [HOSTILE.key]: HOSTILE.value, url: HOSTILE.url }),
        status: { code: 2, message: HOSTILE.value },
        events: [{ timeUnixNano: `${START}`, name: HOSTILE.event, attributes: text({ [HOSTILE.key]: HOSTILE.value }) }],
        links: [{ traceId: MISSING_TRACE, spanId: '00000000000000d1', attributes: text({ [HOSTILE.key]: HOSTILE.value }) }],
      }),
    ]),
  ],
};

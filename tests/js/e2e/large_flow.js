// A flow of many spans over many traces, written as OTLP, for the test of how the page holds up. The same every time.

const SECOND_NS = 1_000_000_000n;
const MS_NS = 1_000_000n;
export const LARGE_TRACE = 'e0000000000000000000000000000001';
const DESTINATIONS = ['orders.placed', 'payments.captured', 'mail.outbox', 'shipments.dispatched'];
const SERVICES = ['billing', 'mailer', 'shipping', 'ledger', 'search-index', 'loyalty', 'fraud-check'];

const hex = (number, width) => number.toString(16).padStart(width, '0');
const text = (attributes) => Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));
const from = (service, spans) => ({ resource: { attributes: text({ 'service.name': service }) }, scopeSpans: [{ spans }] });

function span(traceId, id, parentSpanId, name, kind, startNs, lastsNs, attributes, more = {}) {
  return {
    traceId, spanId: hex(id, 16), parentSpanId, name, kind,
    startTimeUnixNano: `${startNs}`, endTimeUnixNano: `${startNs + lastsNs}`, attributes: text(attributes), ...more,
  };
}

/** Requests that together are one flow: a root sends `messages`, each is worked on by `perMessage` spans in a trace of its own. */
export function* largeFlow(startNs, { messages = 200, perMessage = 498 } = {}) {
  const root = hex(1, 16);
  const sends = [span(LARGE_TRACE, 1, '', 'POST /import', 2, startNs, 3n * SECOND_NS, { 'http.request.method': 'POST', 'http.route': '/import' })];
  for (let message = 0; message < messages; message += 1) {
    const destination = DESTINATIONS[message % DESTINATIONS.length];
    const at = startNs + BigInt(message) * 10n * MS_NS;
    const attributes = { 'messaging.system': 'kafka', 'messaging.destination.name': destination, 'messaging.operation.type': 'send', 'messaging.message.id': `m-${message}` };
    sends.push(span(LARGE_TRACE, 2 + message, root, `${destination} publish`, 4, at, 4n * MS_NS, attributes));
  }
  yield { resourceSpans: [from('importer', sends)] };
  for (let message = 0; message < messages; message += 1) yield { resourceSpans: [from(SERVICES[message % SERVICES.length], worked(startNs, message, perMessage))] };
}

function worked(startNs, message, count) {
  const traceId = hex(0xf0000000 + message, 32);
  const first = 1_000_000 + message * 1_000;
  const destination = DESTINATIONS[message % DESTINATIONS.length];
  const began = startNs + BigInt(message) * 10n * MS_NS + (1n + BigInt(message % 17)) * SECOND_NS;
  const attributes = { 'messaging.system': 'kafka', 'messaging.destination.name': destination, 'messaging.operation.type': 'process', 'messaging.message.id': `m-${message}` };
  const links = [{ traceId: LARGE_TRACE, spanId: hex(2 + message, 16) }];
  const spans = [span(traceId, first, '', `${destination} process`, 5, began, 2n * SECOND_NS, attributes, { links })];
  for (let child = 1; child < count; child += 1) {
    const parent = hex(first + (child % 7 === 0 ? child - 1 : child - (child % 7)), 16);
    const at = began + BigInt(child) * 4n * MS_NS;
    const failed = child % 211 === 0 ? { status: { code: 2, message: 'gave up' } } : {};
    spans.push(span(traceId, first + child, child < 7 ? hex(first, 16) : parent, `step ${child % 23}`, 1, at, 3n * MS_NS, { 'item.id': `i-${message}-${child}`, 'db.query.text': 'UPDATE stock SET held = held - $2 WHERE id = $1' }, failed));
  }
  return spans;
}

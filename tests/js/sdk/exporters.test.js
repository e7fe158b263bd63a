// The JavaScript SDK's three OTLP exporters: what was sent is read back attribute by attribute through every API.

import { SpanKind, SpanStatusCode, TraceFlags, context, createTraceState } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from './context.js';
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server } from '../server.js';

context.setGlobalContextManager(new AsyncLocalStorageContextManager());

const SERVICE = 'js ünïcode';
const RESOURCE = { 'service.name': SERVICE, 'host.cores': 8, 'host.virtual': true, 'process.args': ['a', 'b'] };
const EVERY_TYPE = {
  string: 'text',
  'string empty': '',
  'string hostile': '<img src=x onerror=alert(1)> \u{1f69a} "quoted" \\ \n\t',
  bool: true,
  'bool false': false,
  int: 42,
  'int zero': 0,
  'int largest safe': Number.MAX_SAFE_INTEGER,
  'int negative': -7,
  double: 2.5,
  'double tiny': 5e-324,
  strings: ['a', 'b', ''],
  numbers: [1, 2.5, -3],
  bools: [true, false],
  'array empty': [],
};
const LINKED = {
  traceId: '0123456789abcdef0123456789abcdef',
  spanId: '1122334455667788',
  traceFlags: TraceFlags.SAMPLED,
  traceState: createTraceState('vendor=linked'),
};
const KINDS = ['internal', 'server', 'client', 'producer', 'consumer'];
const STATUSES = ['unset', 'ok', 'error'];

const EXPORTERS = {
  'http json': (server) => new JsonExporter({ url: server.url('otlp_http', '/v1/traces') }),
  'http json gzip': (server) => new JsonExporter({ url: server.url('otlp_http', '/v1/traces'), compression: 'gzip' }),
  'http protobuf': (server) => new ProtoExporter({ url: server.url('otlp_http', '/v1/traces') }),
  'http protobuf gzip': (server) => new ProtoExporter({ url: server.url('otlp_http', '/v1/traces'), compression: 'gzip' }),
  grpc: (server) => new GrpcExporter({ url: server.url('otlp_grpc', '') }),
  'grpc gzip': (server) => new GrpcExporter({ url: server.url('otlp_grpc', ''), compression: 'gzip' }),
};

/** Makes a trace with one of everything and sends it through the exporter; the SDK's own finished spans. */
async function send(exporter) {
  const memory = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(RESOURCE),
    spanProcessors: [new SimpleSpanProcessor(memory)],
  });
  const tracer = provider.getTracer('shop.orders', '0.9.1', { schemaUrl: 'https://example.com/scope/2' });
  tracer.startActiveSpan('POST /orders', { kind: SpanKind.SERVER, attributes: EVERY_TYPE }, (root) => {
    root.addEvent('validated', { items: 3, ok: true, names: ['x', 'y'] });
    tracer.startActiveSpan('charge', { kind: SpanKind.CLIENT }, (failing) => {
      failing.setStatus({ code: SpanStatusCode.ERROR, message: 'card declined' });
      failing.recordException(new Error('no money'));
      failing.end();
    });
    tracer.startSpan('orders publish', { kind: SpanKind.PRODUCER }).setStatus({ code: SpanStatusCode.OK }).end();
    const links = [{ context: LINKED, attributes: { why: 'caused by', index: 4 } }, { context: root.spanContext() }];
    tracer.startSpan('orders process', { kind: SpanKind.CONSUMER, links }).end();
    root.end();
  });
  const spans = memory.getFinishedSpans();
  for (const span of spans) {
    const result = await new Promise((resolve) => exporter.export([span], resolve));
    assert.equal(result.code, 0, String(result.error));
  }
  await exporter.shutdown();
  return spans;
}

const nano = ([seconds, nanos]) => BigInt(seconds) * 1_000_000_000n + BigInt(nanos);

/** A JavaScript attribute value as our own API shows it. */
function typed(value) {
  if (Array.isArray(value)) return ['array', value];
  if (typeof value === 'number') return Number.isInteger(value) ? ['int', String(value)] : ['double', value];
  return [typeof value === 'boolean' ? 'bool' : 'string', value];
}

const typedAll = (attributes) => Object.fromEntries(Object.entries(attributes ?? {}).map(([key, value]) => [key, typed(value)]));
const own = (owner) => Object.fromEntries(owner.attributes.map(({ key, type, value }) => [key, [type, value]]));

/** A span of `GET /api/traces/{id}` against the SDK's span. */
function assertOwnSpan(found, sent, answer) {
  assert.equal(found.name, sent.name);
  assert.equal(found.kind, KINDS[sent.kind]);
  assert.equal(found.parent_span_id, sent.parentSpanContext?.spanId ?? null);
  assert.equal(found.start_unix_nano, nano(sent.startTime).toString());
  assert.equal(found.duration_ns, Number(nano(sent.endTime) - nano(sent.startTime)));
  assert.deepEqual([found.status.code, found.status.message || ''], [STATUSES[sent.status.code], sent.status.message ?? '']);
  assert.deepEqual(own(found), typedAll(sent.attributes));
  assert.deepEqual(
    found.events.map((event) => [event.time_unix_nano, event.name, own(event)]),
    sent.events.map((event) => [nano(event.time).toString(), event.name, typedAll(event.attributes)]),
  );
  assert.deepEqual(
    found.links.map((link) => [link.trace_id, link.span_id, link.trace_state || '', own(link)]),
    sent.links.map(({ context, attributes }) => [
      context.traceId,
      context.spanId,
      context.traceState?.serialize() ?? '',
      typedAll(attributes),
    ]),
  );
  const scope = answer.scopes[found.scope];
  assert.deepEqual([scope.name, scope.version, scope.schema_url], ['shop.orders', '0.9.1', 'https://example.com/scope/2']);
  const resource = own(answer.resources[scope.resource]);
  for (const [key, value] of Object.entries(RESOURCE)) assert.deepEqual(resource[key], typed(value));
}

/** A span of Jaeger's v3 answer: plain OTLP. */
function assertOtlpSpan(found, sent) {
  assert.equal(found.kind, sent.kind + 1);
  assert.equal(found.startTimeUnixNano, nano(sent.startTime).toString());
  const attributes = found.attributes ?? [];
  const keys = attributes.map(({ key }) => key);
  assert.deepEqual(keys.toSorted(), Object.keys(sent.attributes).toSorted());
  const values = Object.fromEntries(attributes.map(({ key, value }) => [key, value]));
  if (sent.name !== 'POST /orders') return;
  assert.deepEqual(values.string, { stringValue: 'text' });
  assert.deepEqual(values['int largest safe'], { intValue: String(Number.MAX_SAFE_INTEGER) });
  assert.deepEqual(values.double, { doubleValue: 2.5 });
  assert.deepEqual(values['bool false'], { boolValue: false });
  assert.deepEqual(values.strings.arrayValue.values, ['a', 'b', ''].map((stringValue) => ({ stringValue })));
}

/** A span of Jaeger's legacy answer: typed tags, logs, references. */
function assertLegacySpan(found, sent) {
  const tags = Object.fromEntries(found.tags.map(({ key, type, value }) => [key, [type, value]]));
  for (const [key, value] of Object.entries(sent.attributes)) {
    const [type, plain] = typed(value);
    const wanted = { string: ['string', plain], bool: ['bool', plain], int: ['int64', value], double: ['float64', plain] }[type];
    if (wanted) assert.deepEqual(tags[key], wanted, key);
    else assert.deepEqual(JSON.parse(tags[key][1]), value, key);
  }
  assert.equal(found.logs.length, sent.events.length);
  const links = found.references.filter(({ refType }) => refType === 'FOLLOWS_FROM').map(({ spanID }) => spanID);
  assert.deepEqual(links, sent.links.map(({ context }) => context.spanId));
}

/** A span of Zipkin's answer: text tags and annotations. */
function assertZipkinSpan(found, sent) {
  assert.equal(found.kind ?? 'INTERNAL', KINDS[sent.kind].toUpperCase());
  for (const [key, value] of Object.entries(sent.attributes)) {
    const text = found.tags[key];
    if (Array.isArray(value)) assert.deepEqual(JSON.parse(text), value, key);
    else if (typeof value === 'number' && !Number.isInteger(value)) assert.equal(Number(text), value, key);
    else assert.equal(text, String(value), key);
  }
  assert.equal(found.annotations?.length ?? 0, sent.events.length);
}

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

for (const [name, exporter] of Object.entries(EXPORTERS)) {
  describe(name, () => {
    let spans;
    let id;
    before(async () => {
      spans = await send(exporter(server));
      id = spans[0].spanContext().traceId;
    });
    const pairs = (found, idOf) => {
      assert.equal(found.length, spans.length);
      return spans.map((sent) => [found.find((span) => idOf(span) === sent.spanContext().spanId), sent]);
    };

    test('our own API shows everything that was sent', async () => {
      // Every field and every attribute with its type, at span, event, link, scope and resource level.
      const answer = await server.get(`/api/traces/${id}`);
      for (const [found, sent] of pairs(answer.spans, (span) => span.span_id)) assertOwnSpan(found, sent, answer);
    });

    test("Jaeger's APIs show every attribute", async () => {
      // The legacy form with typed tags, and v3, which is OTLP.
      const legacy = (await server.get(`/jaeger/api/traces/${id}`)).data[0].spans;
      for (const [found, sent] of pairs(legacy, (span) => span.spanID)) assertLegacySpan(found, sent);
      const { result } = await server.get(`/jaeger/api/v3/traces/${id}`);
      const all = result.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
      for (const [found, sent] of pairs(all, (span) => span.spanId)) assertOtlpSpan(found, sent);
    });

    test("Zipkin's API shows every attribute", async () => {
      // Text tags, kinds and annotations on Zipkin's port.
      const found = await server.get(`/api/v2/trace/${id}`, 'zipkin');
      for (const [span, sent] of pairs(found, (span) => span.id)) assertZipkinSpan(span, sent);
    });
  });
}

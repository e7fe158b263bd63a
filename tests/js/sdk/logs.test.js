// The JavaScript SDK's three OTLP log exporters: what a program logs is found with everything it has.

import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as JsonExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtoExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import { ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server } from '../server.js';

const EXPORTERS = {
  'http json': (server) => new JsonExporter({ url: server.url('otlp_http', '/v1/logs') }),
  'http json gzip': (server) => new JsonExporter({ url: server.url('otlp_http', '/v1/logs'), compression: 'gzip' }),
  'http protobuf': (server) => new ProtoExporter({ url: server.url('otlp_http', '/v1/logs') }),
  grpc: (server) => new GrpcExporter({ url: server.url('otlp_grpc', '') }),
};

describe('logs', () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(async () => {
    await server.stop();
  });

  for (const [number, [name, make]] of Object.entries(EXPORTERS).entries()) {
    test(`${name}: a record is found by its trace with all it has`, async () => {
      // A record within a span keeps its ids, severity, body, attributes and service.
      const traceId = `0af7651916cd43dd8448eb211c80310${number}`;
      const spanId = 'b7ad6b7169203331';
      const resource = resourceFromAttributes({ 'service.name': `js ${name}` });
      const processor = new SimpleLogRecordProcessor({ exporter: make(server) });
      const provider = new LoggerProvider({ resource, processors: [processor] });
      const context = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED });
      provider.getLogger('shop.orders', '1.0').emit({
        severityNumber: SeverityNumber.WARN,
        severityText: 'warn',
        body: 'payment refused: ünïcode',
        attributes: { 'order.id': 42, list: ['a', 'b'] },
        eventName: 'payment.refused',
        context,
      });
      await provider.forceFlush();
      await provider.shutdown();
      const { items } = await server.get(`/api/logs?trace_id=${traceId}`);
      assert.equal(items.length, 1);
      const [found] = items;
      assert.equal(found.body, 'payment refused: ünïcode');
      assert.deepEqual([found.severity, found.severity_number, found.severity_text], ['warn', 13, 'warn']);
      assert.deepEqual([found.trace_id, found.span_id, found.service], [traceId, spanId, `js ${name}`]);
      assert.deepEqual([found.event_name, found.scope], ['payment.refused', 'shop.orders']);
      const value = (key) => found.attributes.find((pair) => pair.key === key)?.value;
      assert.deepEqual([value('order.id'), value('list')], ['42', ['a', 'b']]);
    });
  }
});

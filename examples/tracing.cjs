// Preloaded by every Node service (`node --require ./tracing.cjs`): instruments amqplib and kafkajs and sends spans to
// OTEL_EXPORTER_OTLP_ENDPOINT. The services themselves know nothing of tracing.

const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { AmqplibInstrumentation } = require('@opentelemetry/instrumentation-amqplib');
const { KafkaJsInstrumentation } = require('@opentelemetry/instrumentation-kafkajs');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
registerInstrumentations({ instrumentations: [new AmqplibInstrumentation(), new KafkaJsInstrumentation()] });
process.once('SIGTERM', () => provider.shutdown().finally(() => process.exit(0)));

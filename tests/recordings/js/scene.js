// What every recorded scene begins with: a tracer whose spans go to the sink that record.py opened, as a service of its own.

import { createRequire } from 'node:module';
import { trace } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

export const BROKER = process.env.RECORDING_BROKER;
// Instrumentations patch what `require` loads, so the libraries are loaded that way, after them.
export const load = createRequire(import.meta.url);

/** Runs `scene(tracer)` with these instrumentations; all spans are exported before it returns. */
export async function recording(library, instrumentations, scene) {
  const exporter = new OTLPTraceExporter({ url: process.env.RECORDING_SINK });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': library }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  provider.register();
  registerInstrumentations({ instrumentations });
  await scene(trace.getTracer('scene'));
  await provider.shutdown();
}

/** A promise of the count-th call of `arrived`; fails after 20 s. */
export function arrivals(count) {
  let seen = 0;
  let resolve;
  const all = new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error('messages did not arrive')), 20_000);
    resolve = () => { clearTimeout(timer); done(); };
  });
  return { all, arrived: () => { seen += 1; if (seen === count) resolve(); } };
}

// The small picture of a service: its steps on a regular grid, silence as zero. Pure.
import type { Service } from "../api/messaging";

const STEPS_MOST = 400;

export function seriesOf(service: Service, startNs: bigint, endNs: bigint): { requests: number[]; errors: number[] } {
  const step = BigInt(Math.max(1, service.step_ns));
  const first = startNs - (startNs % step);
  const length = Math.min(STEPS_MOST, Math.max(2, Number((endNs - first) / step) + 1));
  const requests = Array<number>(length).fill(0);
  const errors = Array<number>(length).fill(0);
  for (const point of service.series) {
    const place = Number((BigInt(point.start_unix_nano) - first) / step);
    if (place < 0 || place >= length) continue;
    requests[place] = (requests[place] ?? 0) + point.requests;
    errors[place] = (errors[place] ?? 0) + point.errors;
  }
  return { requests, errors };
}

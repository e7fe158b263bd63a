// Whether the server answers. While it does not, asks again until it does; views reload when `epoch` changes.
import { api, listen } from "./client";
import type { Status } from "./types";

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 5_000;

interface Connection {
  /** Why the server is away; `null` while it answers. */
  gone: string | null;
  /** Rises each time the server comes back. */
  epoch: number;
  status: Status | null;
}

export const connection: Connection = $state({ gone: null, epoch: 0, status: null });

let timer: ReturnType<typeof setTimeout> | undefined;
let waitMs = RETRY_FIRST_MS;

function schedule(): void {
  if (timer !== undefined) return;
  timer = setTimeout(() => {
    timer = undefined;
    void refreshStatus();
  }, waitMs);
  waitMs = Math.min(waitMs * 1.5, RETRY_MOST_MS);
}

listen((reason) => {
  if (reason !== null) {
    connection.gone = reason;
    schedule();
    return;
  }
  if (connection.gone === null) return;
  clearTimeout(timer);
  timer = undefined;
  waitMs = RETRY_FIRST_MS;
  connection.gone = null;
  connection.epoch += 1;
});

/** Asks for /api/status; failures show in `connection.gone` and are asked again from here. */
export async function refreshStatus(): Promise<void> {
  try {
    connection.status = await api.status();
  } catch {
    // The listener above has recorded it, or the server has answered with a refusal that leaves the old status standing.
  }
}

/** Keeps the status fresh while the document is visible. Returns the way to stop. */
export function pollStatus(everyMs: number): () => void {
  void refreshStatus();
  const interval = setInterval(() => {
    if (!document.hidden && connection.gone === null) void refreshStatus();
  }, everyMs);
  return () => clearInterval(interval);
}

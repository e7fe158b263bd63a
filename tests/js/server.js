// Starts the real binary on free ports and a directory of its own, and reads back from it. LONGSPAN_BIN names the binary.

import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 10_000;
const FLAGS = ['--otlp-grpc', '--otlp-http', '--api', '--zipkin', '--jaeger', '--jaeger-http', '--jaeger-grpc', '--jaeger-compact',
  '--jaeger-binary', '--jaeger-sampling', '--opencensus', '--xray',
  '--elasticsearch'];
const BUILT = fileURLToPath(new URL('../../target/debug/longspan', import.meta.url));

export class Server {
  /** @type {Record<string, string>} */
  #listening = {};
  #folder = mkdtempSync(join(tmpdir(), 'longspan-test-'));
  #process;

  static async start() {
    const server = new Server();
    await server.#untilReady();
    return server;
  }

  constructor() {
    const flags = FLAGS.flatMap((flag) => [flag, '127.0.0.1:0']);
    const stderr = openSync(join(this.#folder, 'stderr.txt'), 'w');
    const command = ['serve', '--data', join(this.#folder, 'data'), ...flags];
    this.#process = spawn(process.env.LONGSPAN_BIN || BUILT, command, { stdio: ['ignore', stderr, stderr] });
    closeSync(stderr);
  }

  stderr() {
    return readFileSync(join(this.#folder, 'stderr.txt'), 'utf8');
  }

  async #untilReady() {
    const file = join(this.#folder, 'data', 'listening.json');
    const deadline = Date.now() + START_LIMIT_MS;
    const ready = async () => {
      if (!existsSync(file)) return false;
      this.#listening = JSON.parse(readFileSync(file, 'utf8'));
      return (await fetch(this.url('api', '/readyz'))).status === 200;
    };
    while (!(await ready())) {
      if (this.#process.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the server did not start:\n${this.stderr()}`);
      }
      await pause(10);
    }
  }

  address(port) {
    return this.#listening[port];
  }

  url(port, path) {
    return `http://${this.address(port)}${path}`;
  }

  /** The JSON of a GET that must succeed. */
  async get(path, port = 'api') {
    const answer = await fetch(this.url(port, path));
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Sends OTLP as JSON; must succeed in full. */
  async send(request) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(this.url('otlp_http', '/v1/traces'), { method: 'POST', headers, body: JSON.stringify(request) });
    const text = await answer.text();
    if (answer.status !== 200 || text !== '{}') throw new Error(`refused: ${answer.status} ${text}`);
  }

  /** SIGTERM; the server must end with 0 in time and without a panic. */
  async stop() {
    const ended = new Promise((resolve) => this.#process.once('exit', (code) => resolve(code)));
    this.#process.kill('SIGTERM');
    const limit = new AbortController();
    const code = await Promise.race([ended, pause(STOP_LIMIT_MS, 'late', { signal: limit.signal })]);
    limit.abort();
    const stderr = this.stderr();
    if (code === 'late') this.#process.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
    if (code !== 0 || stderr.includes('panicked')) throw new Error(`ended with ${code}:\n${stderr}`);
  }
}

// The system's Chromium with a page that fails the test on any error, refused request, or request to elsewhere.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const PICTURES = fileURLToPath(new URL('../../../.test-env/pictures/', import.meta.url));
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch() {
  const executablePath = process.env.LONGSPAN_CHROMIUM || '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: FLAGS, timeout: 60_000 });
}

/** Runs `work` with a fresh page of the server; a picture is kept when it fails. */
export async function withPage(browser, server, name, work, { colorScheme = 'light', failing = [] } = {}) {
  const context = await browser.newContext({ baseURL: server.url('api', ''), colorScheme, viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = listen(page, server, failing);
  try {
    await work(page);
    assert.deepEqual(complaints, []);
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'text of a span was run as a program');
  } catch (error) {
    mkdirSync(PICTURES, { recursive: true });
    const path = `${PICTURES}${name.replaceAll(/\W+/g, '-')}.png`;
    await page.screenshot({ path }).catch(() => {});
    error.message += `\n  complaints: ${JSON.stringify(complaints)}\n  picture: ${path}`;
    throw error;
  } finally {
    await context.close();
  }
}

/** What a page may not do. `failing` names the statuses, or the browser's names of failures, that the test provokes. */
function listen(page, server, failing) {
  const complaints = [];
  const own = server.url('api', '/');
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    const provoked = failing.some((status) => message.text().includes(`status of ${status}`) || message.text().includes(`net::${status}`));
    if (message.type() === 'error' && !provoked) complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(own) && !url.startsWith('data:') && !url.startsWith('blob:')) complaints.push(`request to ${url}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400 && !failing.includes(response.status())) complaints.push(`${response.status()} ${response.url()}`);
  });
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return complaints;
}

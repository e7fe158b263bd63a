// Takes the pictures of the flow view for docs/images from a running demo: node pictures.js http://127.0.0.1:4319 TRACE_ID [OTHER_TRACE_ID]
// TRACE_ID is "an order whose payment needed retries", OTHER_TRACE_ID "an order that went through"; the demo says which.

import { fileURLToPath } from 'node:url';
import { launch } from './e2e/browser.js';

const [server, traceId, otherId] = process.argv.slice(2);
if (!server || !traceId) throw new Error('usage: node pictures.js URL TRACE_ID [OTHER_TRACE_ID]');
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const VIEWS = [
  ['flow', '?path=1', 'span-row'],
  ['flow-services', '?lanes=1', 'lane-row'],
  ['flow-graph', '?tab=graph', 'graph-node'],
  ['flow-table', '?tab=table', 'hop-row'],
  ...(otherId ? [['flow-compare', `?with=${otherId}`, 'compare-step']] : []),
];

const browser = await launch();
for (const colorScheme of ['light', 'dark']) {
  const context = await browser.newContext({ baseURL: server, colorScheme, viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  for (const [name, address, ready] of VIEWS) {
    await page.goto(`/flow/${traceId}${address}`);
    await page.getByTestId(ready).first().waitFor();
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: `${IMAGES}${name}${colorScheme === 'dark' ? '-dark' : ''}.png` });
  }
  await context.close();
}
await browser.close();

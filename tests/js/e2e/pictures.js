// Takes the pictures of docs/images from a running demo, every view but the flow in both themes. Run by hand: node e2e/pictures.js http://127.0.0.1:4319

import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.js';

const FOLDER = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const address = process.argv[2] ?? 'http://127.0.0.1:4319';
const data = process.argv[3] ?? address;

async function ask(path) {
  const answer = await fetch(data + path);
  if (!answer.ok) throw new Error(`GET ${path}: ${answer.status}`);
  return answer.json();
}

/** Drags over the slow part of the heat map and waits for what explains it. */
async function choose(page) {
  const box = await page.getByRole('application', { name: /Spans by start/ }).boundingBox();
  await page.mouse.move(box.x + box.width * 0.52, box.y + 3);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.86, box.y + box.height * 0.22, { steps: 4 });
  await page.mouse.up();
  await page.getByTestId('explain-field').first().waitFor();
  await page.mouse.move(box.x, 5);
}

/** The views, what is to be seen of each before the picture, and what is done first. */
async function views() {
  const dead = (await ask('/api/messages?state=dead_lettered&limit=1')).items[0];
  return {
    overview: ['/', 'service-row'],
    explore: ['/search', 'heatmap', choose],
    destinations: ['/destinations', 'destination-row'],
    destination: ['/destinations/kafka%3Aorders.placed', 'dead-letter-cause'],
    messages: ['/messages?destination=rabbitmq%3Afulfilment', 'message-row'],
    message: [`/messages/${dead.id}`, 'delivery'],
    map: ['/map', 'graph-node'],
    send: ['/send?with=python', 'send-light'],
  };
}

const browser = await launch();
mkdirSync(FOLDER, { recursive: true });
for (const [name, [path, ready, act]] of Object.entries(await views())) {
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ baseURL: address, colorScheme, viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    await page.goto(path);
    await page.getByTestId(ready).first().waitFor();
    await act?.(page);
    await page.waitForLoadState('networkidle');
    // Small pictures of lists are asked for as they come into sight.
    await page.waitForTimeout(1_500);
    await page.screenshot({ path: `${FOLDER}${name}${colorScheme === 'dark' ? '-dark' : ''}.png` });
    await context.close();
  }
}
await browser.close();

// Every view but the flow in the real page on the real binary: what it shows of a fixed shop, where it leads, that its state is in the
// address, that it can be used by everyone in both themes, and how it looks when there is nothing, or no server.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server } from '../server.js';
import { assertAccessible } from './accessible.js';
import { launch, withPage } from './browser.js';
import { HOSTILE_NAME, idOf, LEDGERED, MAIL, MAILS, MESSAGES, ORDERS, RULE, SHOP, traceOf } from './views_data.js';

const LOST = MESSAGES - LEDGERED;
const LOST_LIMIT_MS = 30_000;
const THEMES = ['light', 'dark'];
const destination = (key) => `/destinations/${encodeURIComponent(key)}`;

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const part = (page, name) => page.getByTestId(name);
const browsing = (name, work, options) => test(name, () => withPage(browser, server, name, work, options));

/** What is to be seen of each view before it is judged. */
const VIEWS = {
  overview: ['/', 'service-row'],
  explore: ['/search', 'heatmap'],
  destinations: ['/destinations', 'destination-row'],
  destination: [destination(ORDERS), 'destination-charts'],
  'dead letters': [destination(MAILS), 'dead-letter-cause'],
  messages: ['/messages', 'message-row'],
  message: [`/messages/${idOf(LEDGERED)}`, 'missing-group'],
  map: ['/map', 'graph-node'],
  send: ['/send', 'send-light'],
};

describe('before anything was received', () => {
  for (const address of ['/', '/search', '/destinations', '/messages', '/map']) {
    browsing(`${address} of an empty server says what to do`, async (page) => {
      // A first visit is led to sending data, from every view.
      await page.goto(address);
      await part(page, 'empty-state').waitFor();
      await part(page, 'empty-state').getByRole('link', { name: 'Send data' }).click();
      await part(page, 'send-light').waitFor();
    });
  }
});

describe('with a shop', () => {
  before(async () => {
    const rules = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ rules: [RULE] }) };
    const declared = await fetch(server.url('api', '/api/expectations'), rules);
    assert.equal(declared.status, 200, await declared.text());
    await server.send(SHOP);
    const deadline = Date.now() + LOST_LIMIT_MS;
    let lost = 0;
    // Time itself is what is waited for: the rule is broken a while after the messages were heard of.
    while (lost < LOST && Date.now() < deadline) {
      const list = await server.get('/api/messages?state=lost');
      lost = list.items.length;
      if (lost < LOST) await new Promise((go) => setTimeout(go, 250));
    }
    assert.equal(lost, LOST);
  });

  browsing('the overview says what is wrong and leads there', async (page) => {
    // One glance: lost messages, where, whose, and the way to each.
    await page.goto('/');
    await page.locator('[data-testid="verdict"][data-health="bad"]').waitFor();
    assert.match(await part(page, 'verdict').innerText(), /3\s+messages are lost[\s\S]*orders/);
    const row = page.locator(`[data-testid="destination-row"][data-key="${ORDERS}"]`);
    assert.match(await row.innerText(), /orders/);
    assert.equal(await page.locator('[data-testid="service-row"]').count(), 6);
    await part(page, 'overview-messages').getByTestId('message-row').first().click();
    await part(page, 'lineage').waitFor();
    await page.goBack();
    await part(page, 'verdict').waitFor();
    await row.getByRole('link').click();
    await part(page, 'destination-charts').waitFor();
    assert.ok(page.url().endsWith(destination(ORDERS)), page.url());
  });

  browsing('the overview follows live', async (page) => {
    // What arrives shows without a click, and the mode is part of the address.
    await page.goto('/');
    await part(page, 'verdict').waitFor();
    await part(page, 'live').click();
    assert.match(page.url(), /live=1/);
    const asked = page.waitForRequest((request) => request.url().includes('/api/destinations'));
    await asked;
  });

  browsing('destinations are found, sorted and opened', async (page) => {
    // The list can be narrowed to a name and ordered by any figure, and both stay in the address.
    await page.goto('/destinations');
    const rows = part(page, 'destination-row');
    await rows.first().waitFor();
    assert.equal(await rows.first().getAttribute('data-key'), ORDERS, 'what lost messages comes first');
    assert.equal(await rows.count(), 4);
    await page.getByLabel('Find by name').fill('mails.d');
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="destination-row"]').length === 1);
    assert.match(page.url(), /find=mails.d/);
    await page.goto('/destinations?sort=name');
    await rows.first().waitFor();
    const names = await rows.evaluateAll((list) => list.map((row) => row.dataset.key));
    assert.deepEqual(names, [`kafka:${HOSTILE_NAME}`, MAILS, `${MAILS}.dlq`, ORDERS]);
  });

  browsing('a destination shows its groups, its peers and its messages by state', async (page) => {
    // Both groups with what each misses; who sends and who receives; lost messages under their own filter.
    await page.goto(destination(ORDERS));
    const groups = part(page, 'destination-groups');
    await groups.getByRole('row', { name: /ledger/ }).waitFor();
    assert.match(await groups.getByRole('row', { name: /ledger/ }).innerText(), /3/);
    assert.match(await part(page, 'destination-senders').innerText(), /shop/);
    assert.match(await part(page, 'destination-receivers').innerText(), /billing[\s\S]*ledger|ledger[\s\S]*billing/);
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="destination-charts"] canvas').length === 3);
    await part(page, 'destination-messages').getByRole('button', { name: /Lost/ }).click();
    assert.match(page.url(), /state=lost/);
    await page.waitForFunction((wanted) => document.querySelectorAll('[data-testid="destination-messages"] [data-testid="message-row"]').length === wanted, LOST);
  });

  browsing('dead letters say why and lead to the span that failed', async (page) => {
    // From the cause to the failing attempt in one click.
    await page.goto(destination(MAILS));
    const cause = part(page, 'dead-letter-cause');
    await cause.waitFor();
    assert.match(await cause.innerText(), /MailboxUnknown[\s\S]*550 no such user/);
    await cause.getByRole('link', { name: /550/ }).click();
    await page.waitForURL(new RegExp(`/(trace|flow)/${traceOf(MAIL)}`));
  });

  browsing('messages are found by id, by state and by destination', async (page) => {
    // One field takes an id; filters add up and are part of the address; one message tells its lineage.
    await page.goto('/messages');
    await part(page, 'message-find').fill('m-3');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="message-row"]').length === 1);
    assert.equal(await part(page, 'message-row').getAttribute('data-message-id'), idOf(3));
    await part(page, 'message-row').click();
    await part(page, 'lineage').waitFor();
    assert.equal(await part(page, 'delivery').count(), 2);
    await page.goto('/messages?state=lost');
    await part(page, 'message-row').first().waitFor();
    assert.equal(await part(page, 'message-row').count(), LOST);
    await page.goto('/messages?find=nothing');
    await part(page, 'empty-state').waitFor();
  });

  browsing('a dead-lettered message shows its attempts, a lost one who misses it', async (page) => {
    // The lineage of what went wrong is complete.
    await page.goto(`/messages/${idOf(MAIL)}`);
    await part(page, 'delivery').waitFor();
    assert.match(await part(page, 'delivery').innerText(), /3\s+attempts[\s\S]*dead-lettered/);
    await page.goto(`/messages/${idOf(LEDGERED)}`);
    await part(page, 'missing-group').waitFor();
    assert.match(await part(page, 'missing-group').innerText(), /ledger[\s\S]*never received it/);
    await page.getByRole('link', { name: 'Open the flow' }).click();
    await page.waitForURL(new RegExp(`/(trace|flow)/${traceOf(LEDGERED)}`));
  });

  browsing(
    'a message that is not known says so',
    async (page) => {
      // A link into the past ends in a clear message with a way on.
      await page.goto(`/messages/${traceOf(99)}-00000000000000aa`);
      await part(page, 'empty-state').waitFor();
      assert.match(await part(page, 'empty-state').innerText(), /not in memory/);
    },
    { failing: [404] },
  );

  browsing('a destination that nobody has used says so', async (page) => {
    // A mistyped address ends in a clear message, not in an exception.
    await page.goto(destination('kafka:nothing'));
    await part(page, 'empty-state').waitFor();
    assert.match(await part(page, 'empty-state').innerText(), /not known/);
  });

  browsing('the map joins services and destinations', async (page) => {
    // Boxes for all of them; choosing one shows its neighbours, with the keyboard alone, and the choice is in the address.
    await page.goto('/map');
    const node = (id) => page.locator(`[data-testid="graph-node"][data-node="${id}"]`);
    await node(`destination:${ORDERS}`).waitFor();
    await node('service:billing').focus();
    await page.keyboard.press('Enter');
    await part(page, 'map-panel').waitFor();
    assert.match(page.url(), /focus=service%3Abilling/);
    await part(page, 'map-panel').getByRole('link', { name: /^orders|kafka:orders/ }).first().click();
    await page.waitForURL(/focus=destination%3Akafka%3Aorders/);
    await part(page, 'map-panel').getByRole('button', { name: 'Neighbours only' }).click();
    await node('service:mailer').waitFor({ state: 'detached' });
    await part(page, 'map-panel').getByRole('link', { name: 'Open destination' }).click();
    await part(page, 'destination-charts').waitFor();
    await page.goBack();
    await part(page, 'map-panel').waitFor();
  });

  browsing('a part of the heat map is explained and can be taken back', async (page) => {
    // Dragging over the slow spans names what sets them apart; the choice narrows the list and is part of the address.
    await page.goto('/search?q=' + encodeURIComponent('name = "process orders" and service = billing'));
    await page.locator(`[data-testid="heatmap"][data-spans="${MESSAGES}"]`).waitFor();
    const plot = page.getByRole('application', { name: /Spans by start/ });
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + 2, box.y + 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 2, box.y + box.height / 3, { steps: 4 });
    await page.mouse.up();
    await part(page, 'heat-selection').waitFor();
    assert.match(page.url(), /sel=/);
    await part(page, 'explain').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="result"]').length === 3);
    await page.reload();
    await part(page, 'heat-selection').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="result"]').length === 3);
    await page.getByRole('button', { name: /Take back: chosen/ }).click();
    await page.waitForFunction((wanted) => document.querySelectorAll('[data-testid="result"]').length === wanted, MESSAGES);
  });

  browsing('the heat map works with the keyboard', async (page) => {
    // Arrows with Shift choose, Enter takes, Escape gives up.
    await page.goto('/search');
    await part(page, 'heatmap').waitFor();
    await page.getByRole('application', { name: /Spans by start/ }).focus();
    for (const key of ['ArrowRight', 'Shift+ArrowRight', 'Shift+ArrowUp', 'Enter']) await page.keyboard.press(key);
    await part(page, 'heat-selection').waitFor();
    assert.match(page.url(), /sel=/);
    await page.keyboard.press('Escape');
    await part(page, 'heat-selection').waitFor({ state: 'detached' });
  });

  browsing('what differs can become a condition', async (page) => {
    // Chips show every condition, and each can be taken back by itself.
    await page.goto('/search?service=shop&q=' + encodeURIComponent('customer.tier = gold and kind = server'));
    await part(page, 'result').first().waitFor();
    const chips = page.getByRole('list', { name: 'Filters in force' });
    assert.match(await chips.innerText(), /customer\.tier = gold[\s\S]*kind = server[\s\S]*service shop/);
    const gold = await part(page, 'result').count();
    await chips.getByRole('button', { name: 'Take back: customer.tier = gold' }).click();
    await page.waitForFunction((before) => document.querySelectorAll('[data-testid="result"]').length > before, gold);
    assert.match(page.url(), /q=kind/);
  });

  browsing('the light of "Send data" turns green with the first span', async (page) => {
    // Every sender has its snippet, and what arrives is seen at once.
    await page.goto('/send');
    await page.locator('[data-testid="send-light"][data-state="waiting"]').waitFor();
    const senders = await page.getByRole('navigation', { name: 'Senders' }).getByRole('link').allInnerTexts();
    for (const sender of ['Python', 'Node.js', 'Java', 'Go', 'Rust', '.NET', 'Collector', 'Zipkin', 'Jaeger']) assert.ok(senders.includes(sender), sender);
    await server.send({ resourceSpans: SHOP.resourceSpans.slice(0, 1) });
    await page.locator('[data-testid="send-light"][data-state="receiving"]').waitFor();
  });

  browsing('every view is two keys away', async (page) => {
    // `g` and a letter; `?` tells which.
    await page.goto('/');
    await part(page, 'verdict').waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    for (const [key, path] of [['d', '/destinations'], ['m', '/messages'], ['p', '/map'], ['e', '/search'], ['s', '/send'], ['o', '/']]) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL((url) => url.pathname === path);
    }
  });

  browsing('names that are markup stay text in every view', async (page) => {
    // A destination, a service and keys that try to run are shown as they were sent.
    for (const [address, ready] of [VIEWS.overview, VIEWS.destinations, VIEWS.messages, VIEWS.map, VIEWS.explore]) {
      await page.goto(address);
      await part(page, ready).first().waitFor();
      await page.getByText(HOSTILE_NAME).first().waitFor({ state: 'attached' });
      assert.equal(await page.locator('img[src="x"]').count(), 0, address);
    }
    await page.goto(destination(`kafka:${HOSTILE_NAME}`));
    await page.getByRole('heading', { name: HOSTILE_NAME }).waitFor();
  });

  browsing(
    'a server that went away is said, and what was loaded stays',
    async (page) => {
      // No blank page, no endless spinner: the notice, the data from before, and a recovery by itself.
      await page.goto('/destinations');
      await part(page, 'destination-row').first().waitFor();
      await page.route('**/api/**', (route) => route.abort());
      await page.getByRole('button', { name: '24 h' }).click();
      await part(page, 'server-gone').waitFor();
      assert.ok((await part(page, 'destination-row').count()) > 0);
      await page.unroute('**/api/**');
      await part(page, 'server-gone').getByRole('button', { name: 'Try now' }).click();
      await part(page, 'server-gone').waitFor({ state: 'detached' });
    },
    { failing: ['ERR_FAILED'] },
  );

  for (const colorScheme of THEMES) {
    browsing(
      `every view can be used by everyone in the ${colorScheme} theme`,
      async (page) => {
        // Contrast, names, roles and order of headings, as axe-core judges them.
        for (const [name, [address, ready]] of Object.entries(VIEWS)) {
          await page.goto(address);
          await part(page, ready).first().waitFor();
          await page.waitForLoadState('networkidle');
          await assertAccessible(page, `${name} in the ${colorScheme} theme`);
        }
      },
      { colorScheme },
    );
  }

  browsing('nothing is wider than a telephone', async (page) => {
    // No view scrolls sideways at 390 pixels.
    await page.setViewportSize({ width: 390, height: 844 });
    for (const [name, [address, ready]] of Object.entries(VIEWS)) {
      await page.goto(address);
      await part(page, ready).first().waitFor();
      const width = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('.scroller')].map((one) => one.scrollWidth)));
      assert.ok(width <= 390, `${name} is ${width} px wide`);
    }
  });

  browsing('pictures of every view are taken', async (page) => {
    // What a person would look at, kept for the failed run's report; not compared.
    const folder = fileURLToPath(new URL('../../../.test-env/pictures/views/', import.meta.url));
    mkdirSync(folder, { recursive: true });
    for (const [name, [address, ready]] of Object.entries(VIEWS)) {
      await page.goto(address);
      await part(page, ready).first().waitFor();
      await page.waitForLoadState('networkidle');
      await page.screenshot({ path: `${folder}${name.replace(' ', '-')}.png` });
    }
  });
});

// A flow in the real page: one time line over its traces, its graph, table and comparison, keys, hostile text, both themes.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server } from '../server.js';
import { assertAccessible } from './accessible.js';
import { launch, withPage } from './browser.js';
import { BATCH, ELSEWHERE, FLOW, HOSTILE, HOSTILE_FLOW, LOGS, MAIL, ORDER, OTHER_ORDER, SPANS } from './flow_data.js';

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
  await server.send(FLOW);
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(server.url('otlp_http', '/v1/logs'), { method: 'POST', headers, body: JSON.stringify(LOGS) });
  assert.equal(answer.status, 200, await answer.text());
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const part = (page, name) => page.getByTestId(name);
const row = (page, spanId) => page.locator(`[data-testid="span-row"][data-span-id="${spanId}"]`);
const names = (page) => part(page, 'waterfall').locator('[role="treeitem"]').evaluateAll((rows) => rows.map((one) => one.dataset.spanId ?? one.dataset.testid));

function browsing(name, work, options) {
  test(name, () => withPage(browser, server, name, work, options));
}

async function open(page, address) {
  await page.goto(address);
  await part(page, 'flow-header').waitFor();
}

describe('the time line', () => {
  browsing('shows all traces of the flow below what caused them', async (page) => {
    // Whoever opens the request sees what it led to: attempts below the sender, other traces inline, and rows for what did not arrive.
    await open(page, `/flow/${ORDER}`);
    await row(page, SPANS.mail).waitFor();
    const { root, publish, pay1, pay2, pay3, charge, captured, mail, orphan, batch, audit } = SPANS;
    assert.deepEqual(await names(page), [root, publish, pay1, pay2, pay3, charge, captured, mail, '0000000000000999', orphan, batch, 'siblings-row', audit, 'message-row']);
    assert.deepEqual(await page.locator('[data-attempt]').evaluateAll((rows) => rows.map((one) => one.dataset.attempt)), ['1', '2', '3']);
    assert.match(await part(page, 'siblings-row').innerText(), /2.other messages in this batch/);
    assert.match(await part(page, 'message-row').innerText(), /audit\.trail/);
    const header = await part(page, 'flow-header').innerText();
    assert.match(header, /Answer\s+40.ms/);
    assert.match(header, /\+ 2.retries/);
  });

  browsing('is the same from its last effect', async (page) => {
    // A link to the mail opens the flow of the order, with the mail chosen, and says how the message came to it.
    await open(page, `/flow/${MAIL}?span=${SPANS.mail}`);
    await part(page, 'span-details').waitFor();
    await row(page, SPANS.root).waitFor();
    const details = await part(page, 'span-details').innerText();
    assert.match(details, /payments\.captured/);
    assert.match(details, /The receiver links to the sender/);
    await part(page, 'hop-from').click();
    await page.waitForURL(new RegExp(`span=${SPANS.captured}`));
    assert.equal(await part(page, 'span-details').getAttribute('data-span-id'), SPANS.captured);
    await page.goBack();
    await page.waitForURL(new RegExp(`span=${SPANS.mail}`));
  });

  browsing('tells what became of every message', async (page) => {
    // A message that nobody took, and the other messages of a batch, are chosen and have an address like spans; a sibling opens its own flow.
    await open(page, `/flow/${ORDER}`);
    await part(page, 'message-row').click();
    assert.match(await part(page, 'row-details').innerText(), /audit\.trail/);
    const address = page.url();
    await part(page, 'siblings-row').click();
    assert.equal(await part(page, 'sibling').count(), 2);
    await page.goto(address);
    await part(page, 'row-details').waitFor();
    assert.equal(await part(page, 'row-details').getAttribute('data-kind'), 'message');
    await part(page, 'siblings-row').click();
    await part(page, 'sibling').first().click();
    await page.waitForURL(new RegExp(`/flow/${ELSEWHERE}`));
    await part(page, 'flow-header').waitFor();
    assert.match(await part(page, 'flow-header').innerText(), /captured publish/);
  });

  browsing('an exception shows its stack, an attribute leads to what else has it', async (page) => {
    // From a failed attempt to all flows with the same value.
    await open(page, `/flow/${ORDER}?span=${SPANS.pay1}`);
    assert.match(await part(page, 'span-details').innerText(), /Payments\.java:42/);
    await row(page, SPANS.charge).click();
    const attribute = page.locator('[data-testid="attr-row"][data-key="order.id"]');
    await attribute.hover();
    await attribute.getByRole('link', { name: 'Filter by order.id' }).click();
    await page.waitForURL(/order\.id/);
    await page.locator('[data-testid="result"]').first().waitFor();
  });

  browsing('keys are enough', async (page) => {
    // Walk, close, re-root, group by service, fold, search and leave without a pointer.
    await open(page, `/flow/${ORDER}`);
    await row(page, SPANS.root).waitFor();
    const count = () => part(page, 'waterfall').locator('[role="treeitem"]').count();
    await page.keyboard.press('Home');
    await page.keyboard.press('j');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await count(), 4);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('r');
    assert.equal(await count(), 11);
    await part(page, 'reroot').waitFor();
    await page.keyboard.press('u');
    assert.equal(await count(), 14);
    await page.keyboard.press('c');
    assert.ok((await count()) < 14);
    await page.waitForURL(/path=1/);
    await page.reload();
    await row(page, SPANS.pay3).waitFor();
    assert.equal(await part(page, 'message-row').count(), 0);
    await page.keyboard.press('c');
    assert.equal(await count(), 14);
    await page.keyboard.press('l');
    assert.equal(await part(page, 'lane-row').count(), 4);
    await page.waitForURL(/lanes=1/);
    await page.keyboard.press('l');
    await page.keyboard.press('i');
    await page.waitForURL(/axis=linear/);
    await page.keyboard.press('/');
    await page.keyboard.type('charge card');
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('[role="treeitem"][aria-selected="true"]').getAttribute('data-span-id'), SPANS.charge);
    await page.keyboard.press('Escape');
    await page.keyboard.press('e');
    await part(page, 'span-details').waitFor();
    await page.keyboard.press('2');
    await page.waitForURL(/tab=graph/);
  });

  browsing('rows have names for those who listen', async (page) => {
    // What the canvas draws is said as well: kind, error, duration, wait, attempt.
    await open(page, `/flow/${ORDER}`);
    await row(page, SPANS.pay2).waitFor();
    const spoken = (await row(page, SPANS.pay2).innerText()).replaceAll(/\s+/g, ' ');
    assert.match(spoken, /orders process.*consumer, error, 300 ms, starts at 3 s, after 2\.2 s in orders, attempt 2 of 3/);
  });
});

describe('the other ways to look at it', () => {
  browsing('the graph has services and destinations', async (page) => {
    // A box leads to the messages that went through it, and from there to the spans.
    await open(page, `/flow/${ORDER}?tab=graph`);
    await page.locator('[data-testid="graph"][data-laid="true"]').waitFor();
    const boxes = await part(page, 'graph-node').evaluateAll((nodes) => nodes.map((node) => node.dataset.node));
    for (const box of ['service web-shop', 'service payments', 'destination kafka:orders', 'destination kafka:audit.trail']) assert.ok(boxes.includes(box), `${box} in ${boxes}`);
    await page.locator('[data-node="destination kafka:orders"]').click();
    assert.equal(await part(page, 'graph-hops').locator('[data-testid="hop-row"]').count(), 3);
  });

  browsing('the table has every hop and is sorted by its heads', async (page) => {
    // State, wait, evidence and attempt of each; the address keeps the order.
    await open(page, `/flow/${ORDER}?tab=table`);
    assert.equal(await part(page, 'hop-row').count(), 6);
    await page.getByRole('button', { name: 'Queue wait' }).click();
    await page.waitForURL(/sort=-wait/);
    assert.match(await part(page, 'hop-row').first().innerText(), /5\.7.s/);
    await part(page, 'hop-row').first().getByRole('link', { name: 'payments' }).click();
    await page.waitForURL(new RegExp(`span=${SPANS.pay3}`));
    await part(page, 'span-details').waitFor();
  });

  browsing('logs stand beside the flow and its spans', async (page) => {
    // What was logged in the flow is one list in order of time, found by words, each record leading to its span; a span has its own.
    await open(page, `/flow/${ORDER}?tab=logs`);
    await part(page, 'log-record').first().waitFor();
    const bodies = async () => (await part(page, 'log-record').allInnerTexts()).map((one) => one.replaceAll(/\s+/g, ' '));
    assert.match((await bodies())[0], /\+5 ms info web-shop order taken/);
    assert.equal(await part(page, 'log-record').count(), 3);
    await page.getByRole('textbox', { name: 'Find in the logs' }).fill('declined');
    await page.waitForURL(/log=declined/);
    await page.locator('[data-testid="log-list"] > li:only-child').waitFor();
    await part(page, 'log-record').getByRole('button').click();
    await page.getByRole('link', { name: 'Go to its span' }).click();
    await page.waitForURL(new RegExp(`span=${SPANS.pay1}`));
    await part(page, 'span-details').getByTestId('log-record').waitFor();
    assert.match(await part(page, 'span-details').getByTestId('log-record').innerText(), /card declined, trying again/);
  });

  browsing('another flow is put beside it', async (page) => {
    // Where did this one wait longer? The greatest difference is first.
    await open(page, `/flow/${OTHER_ORDER}?tab=compare`);
    await part(page, 'compare-with').first().waitFor();
    await page.goto(`/flow/${OTHER_ORDER}?with=${ORDER}`);
    await part(page, 'compare-step').first().waitFor();
    const steps = (await part(page, 'compare-step').allInnerTexts()).map((step) => step.replaceAll(/\s+/g, ' '));
    assert.match(steps[0], /wait in orders for payments .*\+4 s/);
    assert.ok(steps.some((step) => /only there/.test(step)), steps.join('\n'));
  });

  browsing('a flow that is not there opens when it comes', async (page) => {
    // A link may be quicker than the spans.
    const late = 'ab'.repeat(16);
    await page.goto(`/flow/${late}`);
    await part(page, 'empty-state').waitFor();
    const start = BigInt(Date.now()) * 1_000_000n;
    const span = { traceId: late, spanId: 'ab00000000000001', name: 'late one', kind: 2, startTimeUnixNano: `${start}`, endTimeUnixNano: `${start + 5_000_000n}` };
    await server.send({ resourceSpans: [{ resource: {}, scopeSpans: [{ spans: [span] }] }] });
    await row(page, 'ab00000000000001').waitFor();
  }, { failing: [404] });
});

describe('hostile text', () => {
  for (const tab of ['time', 'graph', 'table']) {
    browsing(`is text: ${tab}`, async (page) => {
      // Markup in service names, attribute keys, destinations and groups is shown, never run; long values are cut, and whole on request.
      await open(page, `/flow/${HOSTILE_FLOW}?${tab === 'time' ? `span=${SPANS.root}` : `tab=${tab}`}`);
      const shown = { time: 'span-details', graph: 'graph-node', table: 'hop-table' }[tab];
      await part(page, shown).first().waitFor();
      const texts = (await part(page, shown).allInnerTexts()).join(' ');
      assert.ok(texts.includes(tab === 'time' ? HOSTILE.service : HOSTILE.destination.slice(0, 20)) || texts.includes(HOSTILE.service), texts.slice(0, 400));
      assert.equal(await page.locator('main img, main svg[onload], main iframe, main script').count(), 0);
      if (tab !== 'time') return;
      await page.getByRole('button', { name: /show all \(60/ }).click();
      assert.ok((await part(page, 'span-details').innerText()).length > 60_000);
    });
  }
});

describe('in both themes', () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const [tab, address] of [['time', `?span=${SPANS.pay2}`], ['path', '?path=1'], ['lanes', '?lanes=1'], ['graph', '?tab=graph'], ['table', '?tab=table'], ['logs', '?tab=logs'], ['compare', `?with=${OTHER_ORDER}`]]) {
      browsing(`${tab} is accessible in ${colorScheme}`, async (page) => {
        // Contrast, names and roles hold what WCAG AA asks for.
        await open(page, `/flow/${ORDER}${address}`);
        const ready = { time: 'span-details', path: 'span-row', lanes: 'lane-row', graph: 'graph-node', table: 'hop-row', logs: 'log-record', compare: 'compare-step' }[tab];
        await part(page, ready).first().waitFor();
        await assertAccessible(page, `${tab} in ${colorScheme}`);
      }, { colorScheme });
    }
  }
});

test('the batch opens a flow of its own', () =>
  withPage(browser, server, 'batch', async (page) => {
    // A span that took messages of several flows belongs to each; opened by itself it is still there, with what it took.
    await open(page, `/flow/${BATCH}?span=${SPANS.batch}`);
    await part(page, 'span-details').waitFor();
    assert.equal(await part(page, 'link-out').count(), 3);
  }));

// The real page in a real browser: search, open a trace, open a span, follow a link there and back; text stays text.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server } from '../server.js';
import { launch, withPage } from './browser.js';
import {
  CHARGE_SPAN,
  EFFECT_TRACE,
  HOSTILE,
  HOSTILE_SPAN,
  HOSTILE_TRACE,
  MISSING_TRACE,
  PROCESS_SPAN,
  PUBLISH_SPAN,
  REQUEST,
  REQUEST_TRACE,
  ROOT_SPAN,
} from './data.js';

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
const row = (page, spanId) => page.locator(`[data-testid="span-row"][data-span-id="${spanId}"]`);
const result = (page, traceId) => page.locator(`[data-testid="result"][data-trace-id="${traceId}"]`);

/** Types a query and submits it, as a person does. */
async function search(page, query) {
  await part(page, 'search-input').fill(query);
  await page.keyboard.press('Escape');
  await part(page, 'search-submit').click();
}

function browsing(name, work, options) {
  test(name, () => withPage(browser, server, name, work, options));
}

describe('before anything was received', () => {
  browsing('an empty server says what to do', async (page) => {
    // No broken state: the first visit explains how spans get here.
    await page.goto('/search');
    await part(page, 'empty-state').waitFor();
    assert.match(await part(page, 'empty-state').innerText(), /\w/);
  });
});

describe('with traces', () => {
  before(() => server.send(REQUEST));

  browsing('search, open a trace, open a span, follow a link there and back', async (page) => {
    // The whole way of a person who wonders what a request has caused.
    await page.goto('/search');
    await result(page, EFFECT_TRACE).waitFor();
    await search(page, 'service = web-shop and span.user.id = u-17');
    await result(page, EFFECT_TRACE).waitFor({ state: 'detached' });
    assert.equal(await part(page, 'result').count(), 1);

    await result(page, REQUEST_TRACE).click();
    await part(page, 'flow-header').waitFor();
    await part(page, 'waterfall').waitFor();
    // The request's three spans, and the effect in a trace of its own.
    assert.equal(await part(page, 'span-row').count(), 4);
    assert.ok(page.url().includes(REQUEST_TRACE), page.url());

    await row(page, PUBLISH_SPAN).click();
    await part(page, 'span-details').waitFor();
    const destination = page.locator('[data-testid="attr-row"][data-key="messaging.destination.name"]');
    assert.match(await destination.innerText(), /orders/);

    const there = part(page, 'link-in');
    assert.equal(await there.getAttribute('data-trace-id'), EFFECT_TRACE);
    assert.equal(await there.getAttribute('data-span-id'), PROCESS_SPAN);
    await there.click();
    await row(page, PROCESS_SPAN).waitFor();
    assert.ok(page.url().includes(EFFECT_TRACE), page.url());

    const back = page.locator(`[data-testid="link-out"][data-trace-id="${REQUEST_TRACE}"]`);
    assert.equal(await back.getAttribute('data-span-id'), PUBLISH_SPAN);
    await back.click();
    await row(page, PUBLISH_SPAN).waitFor();
    assert.ok(page.url().includes(REQUEST_TRACE), page.url());
  });

  browsing('every view has an address', async (page) => {
    // An address opens the same view for somebody else; back and forward work.
    await page.goto(`/trace/${REQUEST_TRACE}?span=${CHARGE_SPAN}`);
    await part(page, 'span-details').waitFor();
    assert.match(await part(page, 'span-details').innerText(), /card declined/);
    await page.goto('/search?q=' + encodeURIComponent('name = "orders process"'));
    await result(page, EFFECT_TRACE).waitFor();
    assert.equal(await part(page, 'result').count(), 1);
    await result(page, EFFECT_TRACE).click();
    await part(page, 'waterfall').waitFor();
    await page.goBack();
    await result(page, EFFECT_TRACE).waitFor();
    await page.goForward();
    await part(page, 'waterfall').waitFor();
  });

  browsing('the keyboard is enough', async (page) => {
    // From the query to the span without a pointer.
    await page.goto('/search');
    await result(page, REQUEST_TRACE).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('service = payments');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Enter');
    await result(page, EFFECT_TRACE).waitFor({ state: 'detached' });
    await result(page, REQUEST_TRACE).focus();
    await page.keyboard.press('Enter');
    await row(page, ROOT_SPAN).waitFor();
    await part(page, 'waterfall').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await part(page, 'span-details').waitFor();
    assert.equal(await part(page, 'span-details').getAttribute('data-span-id'), ROOT_SPAN);
    await page.keyboard.press('Escape');
    await part(page, 'span-details').waitFor({ state: 'detached' });
  });

  browsing('a search without results says so', async (page) => {
    // Nothing found is a state of its own, not a blank page.
    await page.goto('/search');
    await search(page, 'service = nobody');
    await part(page, 'empty-state').waitFor();
    assert.equal(await part(page, 'result').count(), 0);
  });

  browsing(
    'a query that cannot be read is explained',
    async (page) => {
      // The server's objection is shown where the query is; the page goes on working.
      await page.goto('/search');
      await search(page, 'service =');
      await part(page, 'search-error').waitFor();
      assert.match(await part(page, 'search-error').innerText(), /\w{3}/);
      await search(page, 'service = billing');
      await result(page, EFFECT_TRACE).waitFor();
      await part(page, 'search-error').waitFor({ state: 'detached' });
    },
    { failing: [400] },
  );

  browsing(
    'a trace that was never received says so',
    async (page) => {
      // A link into the unknown ends in a clear message.
      await page.goto(`/trace/${MISSING_TRACE}`);
      await part(page, 'empty-state').waitFor();
      assert.match(await part(page, 'empty-state').innerText(), /not been received/i);
    },
    { failing: [404] },
  );

  browsing('hostile names stay text', async (page) => {
    // Markup in service, name, attribute keys and values, events, links and status is shown, never run.
    await page.goto('/search');
    await result(page, HOSTILE_TRACE).waitFor();
    assert.ok((await result(page, HOSTILE_TRACE).innerText()).includes(HOSTILE.service));
    await page.goto(`/trace/${HOSTILE_TRACE}?span=${HOSTILE_SPAN}`);
    const details = part(page, 'span-details');
    await details.waitFor();
    const shown = await details.innerText();
    for (const [place, text] of Object.entries(HOSTILE)) assert.ok(shown.includes(text), `${place} is not shown as text`);
    for (const element of await details.locator('*').all()) await element.hover({ timeout: 200, force: true }).catch(() => {});
    const dangerous = 'img[src="x"], iframe, svg[onload], b[onmouseover], a[href^="javascript:"], script:not([src])';
    assert.equal(await page.locator('body').locator(dangerous).count(), 0);
  });

  browsing('the completion offers what is stored', async (page) => {
    // Services and attribute keys of received spans are offered while typing, hostile ones as text.
    await page.goto('/search');
    await result(page, REQUEST_TRACE).waitFor();
    await part(page, 'search-input').click();
    await part(page, 'search-input').pressSequentially('service = web');
    await page.getByRole('option', { name: /web-shop/ }).first().waitFor();
  });

  for (const colorScheme of ['light', 'dark']) {
    browsing(
      `the ${colorScheme} theme is complete and can be left`,
      async (page) => {
        // Follows the system, toggles, is remembered; text stands out from its background in both.
        const other = colorScheme === 'light' ? 'dark' : 'light';
        await page.goto(`/trace/${REQUEST_TRACE}?span=${CHARGE_SPAN}`);
        await part(page, 'span-details').waitFor();
        await assertTheme(page, colorScheme);
        await part(page, 'theme-toggle').click();
        await assertTheme(page, other);
        await page.reload();
        await part(page, 'span-details').waitFor();
        await assertTheme(page, other);
      },
      { colorScheme },
    );
  }

  browsing('the page is served so that it cannot be abused', async (page) => {
    // Headers that stop inline script and framing; assets are cached for good because their names change with their content.
    const answer = await page.goto('/search');
    const policy = answer.headers()['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'self'|script-src 'self'/);
    assert.doesNotMatch(policy, /script-src[^;]*'unsafe-inline'/);
    assert.equal(answer.headers()['x-content-type-options'], 'nosniff');
    const sources = await page.locator('script[src]').evaluateAll((scripts) => scripts.map((script) => script.src));
    assert.ok(sources.length > 0);
    for (const source of sources) {
      const script = await page.request.get(source);
      assert.match(script.headers()['cache-control'] ?? '', /immutable|max-age=\d{5,}/);
    }
  });
});

/** The theme is applied, and the brightness of text and background differ clearly. */
async function assertTheme(page, wanted) {
  await page.locator(`html[data-theme="${wanted}"]`).waitFor();
  const { text, ground } = await page.evaluate(() => {
    const style = getComputedStyle(document.body);
    const painted = [document.body, document.documentElement].map((element) => getComputedStyle(element).backgroundColor);
    const groundColour = painted.find((colour) => colour !== 'rgba(0, 0, 0, 0)');
    const canvas = document.createElement('canvas').getContext('2d');
    const brightness = (colour) => {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
      return (red * 299 + green * 587 + blue * 114) / 255_000;
    };
    return { text: brightness(style.color), ground: brightness(groundColour) };
  });
  assert.ok(wanted === 'dark' ? ground < 0.3 : ground > 0.8, `${wanted}: the ground has brightness ${ground}`);
  assert.ok(Math.abs(text - ground) > 0.5, `${wanted}: text ${text} on ${ground}`);
}

// The lab's page in Chromium, on both ports of a running program.
//
//   WELLSPRING_HTTP   base URL of the plain port, which browsers speak HTTP/1.1 to
//   WELLSPRING_HTTPS  base URL of the TLS port, HTTP/2; its certificate may be of a local CA
//   CHROMIUM          the browser, /usr/bin/chromium by default
//   SCREENSHOTS       a folder for a picture of each step, if somebody wants to look
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { chromium } from 'playwright-core';

const DEADLINE = 15_000;

const PORTS = [
  { variable: 'WELLSPRING_HTTP', other: 'WELLSPRING_HTTPS', protocol: 'HTTP/1.1', places: 6 },
  { variable: 'WELLSPRING_HTTPS', other: 'WELLSPRING_HTTP', protocol: 'HTTP/2', places: 256 },
];

for (const { variable, other, protocol, places } of PORTS) {
  describe(`the lab over ${protocol}`, () => {
    const base = process.env[variable];
    let browser;
    let page;
    let complaints;

    before(async () => {
      assert.ok(base, `${variable} names the program's address`);
      browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
      });
    });

    after(() => browser?.close());

    beforeEach(async () => {
      page = await browser.newPage({ ignoreHTTPSErrors: true });
      page.setDefaultTimeout(DEADLINE);
      complaints = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) complaints.push(message.text());
      });
      await page.goto(`${base}/lab`);
    });

    afterEach(async () => {
      await page.close();
      assert.deepEqual(complaints, [], 'scripts throw nothing and the policy refuses nothing');
    });

    test('as many streams live as there are places, and the others wait', async () => {
      await open(page, 8);
      await settled(page, Math.min(8, places), Math.max(0, 8 - places));
      assert.equal(await page.textContent(hook('protocol')), protocol);
      const names = await page.locator(hook('stream')).evaluateAll((tiles) => tiles.map((tile) => tile.ariaLabel));
      const state = (number) => (number <= places ? 'live' : 'waiting');
      assert.deepEqual(names, [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `Stream ${number}, ${state(number)}: close it`));
      await picture(page, `${protocol.replace('/', '')}-8`);
    });

    test('an ordinary request goes through when there is a place for it', async () => {
      await open(page, 8);
      await settled(page, Math.min(8, places), Math.max(0, 8 - places));
      await page.click(hook('send-event'));
      let live = 8;
      if (places < 8) {
        // Two wait before it: each stream that closes lets one of them in.
        for (const waiting of [1, 0]) {
          await press(page, 0);
          await settled(page, places, waiting);
          assert.match(await page.textContent(hook('request')), /^waiting /);
        }
        await press(page, 0);
        live = 5;
      }
      await page.waitForFunction(
        (selector) => /^\d+ ms$/.test(document.querySelector(selector).textContent),
        hook('request'),
      );
      await reached(page, 'received', String(live));
      await reached(page, 'tabs-shown', String(live));
    });

    test('the slider closes what it opened', async () => {
      await open(page, 9);
      await page.press(hook('tabs'), 'Home');
      await settled(page, 0, 0);
      assert.equal(await page.locator(hook('stream')).count(), 0);
      await open(page, 3);
      await settled(page, 3, 0);
    });

    test('a link leads to the same page over the other protocol', async () => {
      await page.click(hook('other'));
      await page.waitForURL(`${process.env[other]}/lab`);
      const expected = PORTS.find(({ variable }) => variable === other).protocol;
      await reached(page, 'protocol', expected);
    });
  });
}

test('over HTTP/2 there is an end at 256, which the page shows', async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
  });
  try {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    page.setDefaultTimeout(DEADLINE);
    await page.goto(`${process.env.WELLSPRING_HTTPS}/lab`);
    await page.press(hook('tabs'), 'End');
    await settled(page, 256, 44);
    await picture(page, 'HTTP2-300');
  } finally {
    await browser.close();
  }
});

const hook = (name) => `[data-test="${name}"]`;

/** Moves the slider, as a keyboard does. */
async function open(page, count) {
  for (let key = 0; key < count; key += 1) await page.press(hook('tabs'), 'ArrowRight');
}

/** Closes the stream at `index` by the keyboard. */
async function press(page, index) {
  await page.locator(hook('stream')).nth(index).press('Enter');
}

async function settled(page, live, waiting) {
  await reached(page, 'live', String(live));
  await reached(page, 'waiting', String(waiting));
}

/** Waits until the output `name` shows exactly `text`. */
async function reached(page, name, text) {
  const selector = hook(name);
  await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent === text, [
    selector,
    text,
  ]);
}

async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `lab-${name}.png`), fullPage: true });
}

// A page of the program's in Chromium, on both ports of a running program.
//
//   WELLSPRING_HTTP   base URL of the plain port, which browsers speak HTTP/1.1 to
//   WELLSPRING_HTTPS  base URL of the TLS port, HTTP/2; its certificate may be of a local CA
//   CHROMIUM          the browser, /usr/bin/chromium by default
//   SCREENSHOTS       a folder for pictures, if somebody wants to look
//
// Nothing on it waits for a time: each step waits for a state that the page shows, with a deadline.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe } from 'node:test';
import { chromium } from 'playwright-core';

const DEADLINE = 15_000;

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const PORTS = [
  { variable: 'WELLSPRING_HTTP', protocol: 'HTTP/1.1' },
  { variable: 'WELLSPRING_HTTPS', protocol: 'HTTP/2' },
];

/** Describes `what` over each protocol, by tests that find `{ base, protocol, context, page, visit }` on their stage. */
export function describeOnBothPorts(what, tests) {
  for (const { variable, protocol } of PORTS) {
    describe(`${what} over ${protocol}`, () => {
      const stage = new Stage(process.env[variable]?.replace(/\/$/, ''), protocol);
      before(() => {
        assert.ok(stage.base, `${variable} names the program's address`);
        return stage.open();
      });
      after(() => stage.close());
      beforeEach(() => stage.begin());
      afterEach(() => stage.end());
      tests(stage);
    });
  }
}

class Stage {
  base;
  protocol;
  /** What a browser remembers, it remembers within one test. */
  context;
  page;
  #browser;
  #complaints = [];

  constructor(base, protocol) {
    this.base = base;
    this.protocol = protocol;
  }

  async open() {
    this.#browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      args: ARGUMENTS,
    });
  }

  close() {
    return this.#browser?.close();
  }

  async begin() {
    this.#complaints = [];
    this.context = await this.visit();
    this.page = await this.context.newPage();
  }

  async end() {
    for (const context of this.#browser.contexts()) await context.close();
    assert.deepEqual(this.#complaints, [], 'scripts throw nothing and the policy refuses nothing');
  }

  /** Somebody with a browser of their own. */
  async visit() {
    const context = await this.#browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(DEADLINE);
    context.on('page', (page) => {
      page.on('pageerror', (error) => this.#complaints.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) this.#complaints.push(message.text());
      });
    });
    return context;
  }
}

export const hook = (name) => `[data-test="${name}"]`;

export const shown = (page, name) => page.textContent(hook(name));

/** Waits until the output `name` shows exactly `text`. */
export async function reached(page, name, text) {
  const selector = hook(name);
  await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent === text, [
    selector,
    text,
  ]);
}

/** The number in an id. */
export const sequence = (id) => Number(/-(\d+)$/.exec(id)?.[1] ?? NaN);

/** The requests of this page's EventSources, as they are made. */
export async function recordStreams(page) {
  const requests = [];
  page.on('request', (request) => {
    if (request.resourceType() === 'eventsource') requests.push(request);
  });
  return requests;
}

export const lastEventId = async (request) => (await request.allHeaders())['last-event-id'];

export async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
}

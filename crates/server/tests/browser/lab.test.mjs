// The lab's model against real browsers: what `wellspring-load lab` says must be what they do.
//
//   WELLSPRING_LAB   the model's trials, as JSON: [{ name, base, tabs, browsers, expected }]
//   CHROMIUM         the browser, /usr/bin/chromium by default
//   FIREFOX          the other one
//
// A trial's `base` is a running program; `expected` is what the model saw there.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { Firefox } from './marionette.mjs';

// The model's certificates are of a local authority.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

/** What is not there after this time never comes: on loopback everything else takes some milliseconds. */
const PATIENCE = 2_000;

const trials = JSON.parse(process.env.WELLSPRING_LAB ?? '[]');

/** Each way to a page: `goto(url)`, `evaluate(function, argument)`, `close()`. */
const BROWSERS = {
  chromium: async () => {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
    });
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    return {
      goto: (url) => page.goto(url),
      evaluate: (body, argument) => page.evaluate(body, argument),
      close: () => browser.close(),
    };
  },
  ...(process.env.FIREFOX && { firefox: () => Firefox.launch(process.env.FIREFOX) }),
};

for (const [name, launch] of Object.entries(BROWSERS)) {
  describe(name, () => {
    let browser;
    before(async () => {
      browser = await launch();
    });
    after(() => browser?.close());

    for (const trial of trials.filter(({ browsers }) => browsers.includes(name))) {
      test(trial.name, async () => {
        const path = `/topics/lab-${process.pid}-${Date.now()}`;
        const published = await fetch(trial.base + path, { method: 'POST', body: 'an event' });
        assert.ok(published.ok, `${published.status}`);
        await browser.goto(`${trial.base}/healthz`);
        const seen = await browser.evaluate(experiment, {
          path: `${path}?last_event_id=earliest`,
          tabs: trial.tabs,
          patience: PATIENCE,
        });
        assert.deepEqual(seen, trial.expected);
      });
    }
  });
}

/** Runs in the page: opens the streams, asks for something small beside them, closes one, and looks each time. */
async function experiment({ path, tabs, patience }) {
  const comes = async (condition) => {
    for (const end = performance.now() + patience; performance.now() < end && !condition(); ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return condition();
  };
  const streams = Array.from({ length: tabs }, () => {
    const stream = { source: new EventSource(path), live: false };
    stream.source.onmessage = () => (stream.live = true);
    return stream;
  });
  const live = () => streams.filter((stream) => stream.live).length;
  await comes(() => live() === tabs);

  let answered = false;
  fetch('/healthz', { cache: 'no-store' })
    .then((answer) => answer.text())
    .then(() => (answered = true));
  const seen = {
    fetched: await comes(() => answered),
    live: live(),
    waiting: streams.filter(({ source }) => source.readyState === EventSource.CONNECTING).length,
    nextAfterClose: null,
    fetchedAfterClose: null,
  };
  if (!seen.fetched) {
    const next = streams.find((stream) => !stream.live);
    streams[0].source.close();
    if (next) seen.nextAfterClose = await comes(() => next.live);
    seen.fetchedAfterClose = await comes(() => answered);
  }
  for (const { source } of streams) source.close();
  return seen;
}

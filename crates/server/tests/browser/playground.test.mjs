// The playground in a real browser, on both ports of a running program.
//
//   WELLSPRING_HTTP   base URL of the plain port, which browsers speak HTTP/1.1 to
//   WELLSPRING_HTTPS  base URL of the TLS port, HTTP/2; its certificate may be of a local CA
//   CHROMIUM          the browser, /usr/bin/chromium by default
//
// Nothing here waits for a time: each step waits for a state that the page shows, with a deadline.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { chromium } from 'playwright-core';

/** An answer takes some seconds at a model's pace; a busy machine takes longer. */
const ANSWER_DEADLINE = 60_000;
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

for (const { variable, protocol } of PORTS) {
  describe(`the playground over ${protocol}`, () => {
    const base = process.env[variable]?.replace(/\/$/, '');
    let profile;
    let context;
    let page;
    let complaints;

    before(async () => {
      assert.ok(base, `${variable} names the program's address`);
      profile = await mkdtemp(join(tmpdir(), 'wellspring-browser-'));
      context = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        headless: true,
        ignoreHTTPSErrors: true,
        args: ARGUMENTS,
      });
    });

    after(async () => {
      await context?.close();
      if (profile) await rm(profile, { recursive: true, force: true });
    });

    beforeEach(async () => {
      page = await context.newPage();
      page.setDefaultTimeout(DEADLINE);
      complaints = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) complaints.push(message.text());
      });
    });

    afterEach(async () => {
      await page.close();
      assert.deepEqual(complaints, [], 'scripts throw nothing and the policy refuses nothing');
    });

    test('the page says over which protocol it came', async () => {
      await page.goto(`${base}/`);
      assert.equal(await shown(page, 'protocol'), protocol);
    });

    test('tokens appear one by one', async () => {
      // With reduced motion the page shows each event's text at once and types nothing out: what grows step by step
      // then grows with what arrives.
      await page.emulateMedia({ reducedMotion: 'reduce' });
      await page.goto(`${base}/`);
      await page.evaluate(() => {
        const seen = (globalThis.seen = []);
        new MutationObserver(() => {
          const length = document.querySelector('[data-test="answer"]')?.textContent.length ?? 0;
          if (length > 0 && length !== seen.at(-1)?.length) seen.push({ length, at: performance.now() });
        }).observe(document.body, { subtree: true, childList: true, characterData: true });
      });
      await ask(page, 'What is a spring?');
      const { text } = await finished(page);
      const seen = await page.evaluate(() => globalThis.seen);

      assert.ok(seen.length >= 40, `${seen.length} states`);
      const steps = seen.map(({ length }, index) => length - (seen[index - 1]?.length ?? 0));
      assert.ok(steps.every((step) => step > 0), 'the text only grows');
      assert.ok(Math.max(...steps) <= text.length / 4, `a step of ${Math.max(...steps)} of ${text.length}`);
      const between = seen.at(-1).at - seen[0].at;
      assert.ok(between >= 1000, `the first and the last state are ${between} ms apart`);
      assert.match(await shown(page, 'first-token'), /^\d+ ms$/);
      assert.ok(Number(await shown(page, 'tokens-per-second')) > 0);
      await assertIsWhole(page, text);
    });

    test('an answer that is cut goes on with nothing lost and nothing doubled', async () => {
      const requests = await recordStreams(page);
      await page.goto(`${base}/`);
      await ask(page, 'Tell me about patience');
      const lengths = [];
      for (const cut of [1, 2]) {
        lengths.push(await grown(page, (lengths.at(-1) ?? 0) + 80));
        await page.click(hook('cut-chat'));
        await reached(page, 'resumes', String(cut));
      }
      const { text } = await finished(page);

      assert.ok(text.length > lengths.at(-1), 'the cuts were in the middle of the answer');
      assert.equal(await shown(page, 'resumes'), '2');
      const sent = await Promise.all(requests.map(lastEventId));
      assert.equal(sent.length, 3, 'one stream, opened three times');
      assert.equal(sent[0], undefined);
      assert.ok(sequence(sent[1]) < sequence(sent[2]), `resumed after ${sent[1]}, then after ${sent[2]}`);
      await assertIsWhole(page, text);
    });

    test('a reload in the middle of an answer goes on with it', async () => {
      let questions = 0;
      page.on('request', (request) => {
        if (request.method() === 'POST' && request.url().endsWith('/v1/chat/completions')) questions += 1;
      });
      await page.goto(`${base}/`);
      await ask(page, 'How does a stream resume?');
      const length = await grown(page, 100);
      const run = await shown(page, 'run-id');
      const before = await shown(page, 'answer');
      await page.reload();
      const { text } = await finished(page);

      assert.equal(await shown(page, 'run-id'), run);
      assert.equal(questions, 1, 'the reload asked nothing anew');
      assert.ok(text.length > length, 'the reload was in the middle of the answer');
      assert.ok(text.startsWith(before), 'what was there before is there again');
      await assertIsWhole(page, text);
    });

    test('a reload shows a whole conversation again', async () => {
      await page.goto(`${base}/`);
      const answers = [];
      for (const question of ['What is a well?', 'And a river?']) {
        await ask(page, question);
        answers.push((await finished(page, answers.length + 1)).text);
      }
      await page.reload();
      await finished(page, 2);
      await page.waitForFunction(() => document.querySelectorAll('.answer[data-state="done"]').length === 2);
      assert.deepEqual(await page.locator('.answer').allTextContents(), answers);
      assert.deepEqual(
        (await page.locator('.question').allTextContents()).map((text) => text.replace('You: ', '')),
        ['What is a well?', 'And a river?'],
      );
    });

    test('a stopped answer stays as it was', async () => {
      await page.goto(`${base}/`);
      await ask(page, 'What is a spring?');
      await grown(page, 60);
      await page.click(hook('stop'));
      await page.waitForSelector(`${hook('answer')}[data-state="stopped"]`);
      const text = await shown(page, 'answer');
      await page.reload();
      await page.waitForSelector(`${hook('answer')}[data-state="stopped"]`);
      assert.equal(await shown(page, 'answer'), text);
      assert.ok(await page.isVisible(hook('send')), 'the next question can be asked');
    });

    test('the events page shows what is published, from here and from elsewhere', async () => {
      const topic = freshTopic();
      await connect(page, base, topic);
      await page.fill(hook('publish-text'), 'from the page');
      await page.click(hook('publish'));
      await rowsReach(page, 1);
      await publish(context, base, topic, 'two\nlines');
      await rowsReach(page, 2);
      await page.fill(hook('publish-text'), '{"level":3}');
      await page.fill(hook('publish-type'), 'level');
      await page.click(hook('publish'));
      await rowsReach(page, 3);

      const rows = await logged(page);
      assert.deepEqual(rows.map(({ data }) => data), ['from the page', 'two\nlines', '{"level":3}']);
      assert.deepEqual(rows.map(({ type }) => type), ['message', 'message', 'level']);
      assert.equal(await shown(page, 'received'), '3');
      assert.equal(await shown(page, 'last-id'), rows[2].id);
    });

    test('a cut events stream comes back, and what was published meanwhile arrives in order', async () => {
      const topic = freshTopic();
      const requests = await recordStreams(page);
      await connect(page, base, topic);
      await publish(context, base, topic, 'before');
      await rowsReach(page, 1);
      const lastId = await shown(page, 'last-id');
      await page.click(hook('cut-events'));
      await reached(page, 'ready-state', '0 CONNECTING');
      for (const text of ['meanwhile 1', 'meanwhile 2', 'meanwhile 3']) await publish(context, base, topic, text);
      await reached(page, 'reconnects', '1');
      await reached(page, 'ready-state', '1 OPEN');
      await publish(context, base, topic, 'after');
      await rowsReach(page, 5);

      const rows = await logged(page);
      assert.deepEqual(
        rows.map(({ data }) => data),
        ['before', 'meanwhile 1', 'meanwhile 2', 'meanwhile 3', 'after'],
      );
      assert.equal(requests.length, 2);
      assert.equal(await lastEventId(requests[1]), lastId);
      assert.equal(await shown(page, 'events-lost'), '0');
      assert.equal(await shown(page, 'events-doubled'), '0');
    });

    test('pause holds rows back and loses none; disconnect closes', async () => {
      const topic = freshTopic();
      await connect(page, base, topic);
      await page.click(hook('pause'));
      await publish(context, base, topic, 'held');
      await reached(page, 'received', '1');
      await reached(page, 'held', '1 held back');
      assert.equal(await page.locator(hook('log-row')).count(), 0);
      await page.click(hook('pause'));
      await rowsReach(page, 1);
      await page.click(hook('disconnect'));
      await reached(page, 'ready-state', '2 CLOSED');
      assert.ok(await page.isDisabled(hook('disconnect')));
      assert.ok(await page.isDisabled(hook('cut-events')));
    });

    test('the keyboard reaches both parts, and the theme is remembered', async () => {
      await page.emulateMedia({ colorScheme: 'light' });
      await page.goto(`${base}/`);
      await page.focus(hook('tab-chat'));
      await page.keyboard.press('ArrowRight');
      assert.ok(await page.isVisible(hook('connect')));
      assert.ok(!(await page.isVisible(hook('prompt'))));
      const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await background();
      await page.focus(hook('theme'));
      await page.keyboard.press('Enter');
      const dark = await background();
      assert.notEqual(dark, light);
      await page.reload();
      assert.equal(await background(), dark);
      assert.equal(await page.getAttribute(hook('theme'), 'aria-pressed'), 'true');
      assert.ok(await page.isVisible(hook('connect')), 'the address remembers the part');
    });
  });
}

const hook = (name) => `[data-test="${name}"]`;

const shown = (page, name) => page.textContent(hook(name));

/** Waits until the output `name` shows exactly `text`. */
async function reached(page, name, text) {
  const selector = hook(name);
  await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent === text, [
    selector,
    text,
  ]);
}

async function ask(page, question) {
  await page.fill(hook('prompt'), question);
  await page.click(hook('send'));
}

/** Waits until the answer has more than `length` characters, in mid-stream; returns how many it has. */
async function grown(page, length) {
  const handle = await page.waitForFunction(
    ([selector, length]) => {
      const answer = document.querySelector(selector);
      return answer?.dataset.state === 'streaming' && answer.textContent.length > length && answer.textContent.length;
    },
    [hook('answer'), length],
    { timeout: ANSWER_DEADLINE },
  );
  return handle.jsonValue();
}

/** Waits for the end of the last answer, which is the `count`-th. */
async function finished(page, count = 1) {
  await page.waitForFunction(
    ([selector, count]) =>
      document.querySelectorAll('.answer').length === count &&
      ['done', 'failed'].includes(document.querySelector(selector)?.dataset.state),
    [hook('answer'), count],
    { timeout: ANSWER_DEADLINE },
  );
  const state = await page.getAttribute(hook('answer'), 'data-state');
  assert.equal(state, 'done', await shown(page, 'answer-status'));
  return { text: await shown(page, 'answer') };
}

/** The text on the page is the text of the run, read again from its start; the account is clean. */
async function assertIsWhole(page, text) {
  const run = await shown(page, 'run-id');
  const body = await page.evaluate(async (path) => (await fetch(path)).text(), `/v1/runs/${run}/events`);
  const events = parse(body);
  assert.equal(text, events.filter(({ type }) => type === 'answer').map(({ data }) => JSON.parse(data).text).join(''));
  assert.equal(events.at(-1).type, 'done');
  assert.deepEqual(events.map(({ id }) => sequence(id)), events.map((_, index) => index));
  assert.equal(await shown(page, 'lost'), '0');
  assert.equal(await shown(page, 'doubled'), '0');
}

/** The blocks of an event stream with LF line ends, which is all that the program sends. */
function parse(body) {
  const events = [];
  for (const block of body.split('\n\n')) {
    const event = { type: 'message', id: null, data: [] };
    for (const line of block.split('\n')) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === 'event') event.type = value;
      else if (field === 'id') event.id = value;
      else if (field === 'data') event.data.push(value);
    }
    if (event.data.length > 0) events.push({ ...event, data: event.data.join('\n') });
  }
  return events;
}

const sequence = (id) => Number(/-(\d+)$/.exec(id)?.[1] ?? NaN);

/** The requests of this page's EventSources, as they are made. */
async function recordStreams(page) {
  const requests = [];
  page.on('request', (request) => {
    if (request.resourceType() === 'eventsource') requests.push(request);
  });
  return requests;
}

const lastEventId = async (request) => (await request.allHeaders())['last-event-id'];

let topics = 0;
const freshTopic = () => `browser-${process.pid}-${Date.now()}-${(topics += 1)}`;

async function connect(page, base, topic) {
  await page.goto(`${base}/#events`);
  await page.fill(hook('topic'), topic);
  await page.click(hook('connect'));
  await reached(page, 'ready-state', '1 OPEN');
}

async function publish(context, base, topic, data) {
  const answer = await context.request.post(`${base}/topics/${topic}`, {
    headers: { 'content-type': 'text/plain' },
    data,
  });
  assert.ok(answer.ok(), `${answer.status()}: ${await answer.text()}`);
}

async function rowsReach(page, count) {
  const selector = hook('log-row');
  await page.waitForFunction(([selector, count]) => document.querySelectorAll(selector).length === count, [
    selector,
    count,
  ]);
}

/** The event rows, the oldest first. */
async function logged(page) {
  const rows = await page.locator(hook('log-row')).evaluateAll((rows) =>
    rows.map((row) => {
      const cell = (name) => row.querySelector(`.${name}`).textContent;
      return { type: cell('type'), id: cell('id'), data: cell('data') };
    }),
  );
  return rows.reverse();
}

// The playground in a real browser, on both ports of a running program.
//
//   WELLSPRING_HTTP   base URL of the plain port, which browsers speak HTTP/1.1 to
//   WELLSPRING_HTTPS  base URL of the TLS port, HTTP/2; its certificate may be of a local CA
//   CHROMIUM          the browser, /usr/bin/chromium by default
//   SCREENSHOTS       a folder for pictures, if somebody wants to look
//
// Nothing here waits for a time: each step waits for a state that the page shows, with a deadline.
import assert from 'node:assert/strict';
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
    let browser;
    let context;
    let page;
    let complaints;

    before(async () => {
      assert.ok(base, `${variable} names the program's address`);
      browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        headless: true,
        args: ARGUMENTS,
      });
    });

    after(() => browser?.close());

    beforeEach(async () => {
      complaints = [];
      // What a browser remembers, it remembers within one test.
      context = await visit();
      page = await context.newPage();
    });

    afterEach(async () => {
      for (const context of browser.contexts()) await context.close();
      assert.deepEqual(complaints, [], 'scripts throw nothing and the policy refuses nothing');
    });

    /** Somebody with a browser of their own. */
    async function visit(options) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
      context.setDefaultTimeout(DEADLINE);
      context.on('page', (page) => {
        page.on('pageerror', (error) => complaints.push(error.message));
        page.on('console', (message) => {
          if (message.text().includes('Content Security Policy')) complaints.push(message.text());
        });
      });
      return context;
    }

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
        if (request.method() === 'POST' && request.url().endsWith('/v1/runs')) questions += 1;
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
      const report = await reported(page);
      assert.deepEqual([report.state, report.text], ['cancelled', text], 'nobody pays for what nobody reads');
      await page.reload();
      await page.waitForSelector(`${hook('answer')}[data-state="stopped"]`);
      assert.equal(await shown(page, 'answer'), text);
      assert.ok(await page.isVisible(hook('send')), 'the next question can be asked');
    });

    test('what is thought is shown apart, and folded up when the answer begins', async () => {
      await page.goto(`${base}/`);
      await ask(page, 'What is a spring?');
      await page.waitForFunction((selector) => document.querySelector(selector)?.textContent.length > 10, hook('thought'));
      assert.ok(await page.isVisible(hook('thought')));
      assert.equal(await shown(page, 'answer'), '');
      await picture(page, 'thinking');
      await grown(page, 1);
      assert.ok(!(await page.isVisible(hook('thought'))));
      assert.match(await shown(page, 'thought-summary'), /^Thought for \d+\.\d s$/);
      await page.click(hook('thought-summary'));
      assert.ok(await page.isVisible(hook('thought')));
      const { text } = await finished(page);
      const thought = await shown(page, 'thought');
      assert.match(thought, /^"A spring" is how I can begin/);
      assert.ok(!text.includes(thought));
      await page.reload();
      await finished(page);
      assert.equal(await shown(page, 'thought'), thought);
    });

    test('a second tab joins in the middle of an answer, and either can stop it for both', async () => {
      await page.goto(`${base}/`);
      await ask(page, 'What is a spring?');
      await grown(page, 60);
      const second = await context.newPage();
      await second.goto(`${base}/`);
      await grown(second, 60);
      const run = await shown(page, 'run-id');
      assert.equal(await shown(second, 'run-id'), run);
      await reached(second, 'readers', '2');
      const { text } = await finished(page);
      assert.equal((await finished(second)).text, text);
      await assertIsWhole(second, text);

      // What one of two open tabs asks, the other shows; and what the other stops is stopped.
      await ask(second, 'And a river?');
      await page.waitForFunction(() => document.querySelectorAll('.answer').length === 2);
      await grown(page, 20);
      await page.click(hook('stop'));
      for (const tab of [page, second]) await tab.waitForSelector(`${hook('answer')}[data-state="stopped"]`);
      assert.equal(await shown(second, 'answer'), await shown(page, 'answer'));

      await second.click(hook('clear'));
      await page.waitForFunction(() => document.querySelectorAll('.answer').length === 0);
    });

    test('a run is watched from elsewhere by its address', async () => {
      await page.goto(`${base}/`);
      await ask(page, 'Tell me about patience');
      await grown(page, 40);
      const address = await page.getAttribute(hook('run-id'), 'href');
      const other = await (await visit()).newPage();
      await other.goto(`${base}/${address}`);
      await grown(other, 40);
      assert.ok(!(await other.isVisible(hook('prompt'))), 'it is watched, and not asked');
      const { text } = await finished(page);
      assert.equal((await finished(other)).text, text);
      await other.click(hook('clear'));
      assert.ok(await other.isVisible(hook('prompt')));
      assert.equal(await other.locator('.answer').count(), 0);
    });

    test('a job shows its output and how far it is', async () => {
      const id = `job-in-a-browser-${protocol.replace(/\W/g, '')}`;
      const push = async (path, type, data) => {
        const answer = await context.request.post(`${base}/v1/runs${path}`, { headers: { 'content-type': type }, data });
        assert.ok(answer.ok(), await answer.text());
      };
      const tell = (...records) =>
        push(`/${id}/events`, 'application/x-ndjson', records.map((record) => `${JSON.stringify(record)}\n`).join(''));
      await push('', 'application/json', JSON.stringify({ id }));
      await tell({ type: 'progress', command: 'make', message: 'make is running' }, { type: 'answer', text: 'cc a.c\n' });
      await page.goto(`${base}/#run=${id}`);
      await reached(page, 'answer', 'cc a.c\n');
      assert.match(await page.textContent('.question'), /make$/);
      await tell(
        { type: 'progress', message: 'a.c: unused', stream: 'stderr' },
        { type: 'progress', percent: 25, message: '25% built' },
      );
      await reached(page, 'answer', 'cc a.c\na.c: unused\n');
      await reached(page, 'progress-message', '25% built');
      assert.equal(await page.locator(hook('progress')).evaluate((bar) => bar.value), 25);
      await picture(page, 'job');
      await tell({ type: 'done', finish_reason: 'exit', exit_code: 2 });
      await reached(page, 'answer-status', 'Ended with exit code 2.');
      assert.equal(await page.getAttribute(hook('answer'), 'data-state'), 'failed');
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

/** The texts on the page are the texts of the run, told by the server and read again from its start. */
async function assertIsWhole(page, text) {
  const report = await reported(page);
  assert.deepEqual([report.state, report.text, report.thinking], ['done', text, await shown(page, 'thought')]);
  const body = await page.evaluate(async (path) => (await fetch(path)).text(), `/v1/runs/${report.id}/events`);
  const events = parse(body);
  assert.equal(text, events.filter(({ type }) => type === 'answer').map(({ data }) => JSON.parse(data).text).join(''));
  assert.equal(events.at(-1).type, 'done');
  // Who comes late is told many events as one, which has the number of the last.
  const numbers = events.map(({ id }) => sequence(id));
  assert.ok(numbers.every((number, index) => index === 0 || number > numbers[index - 1]), `${numbers}`);
  assert.equal(numbers.at(-1), report.events - 1);
  assert.equal(await shown(page, 'lost'), '0');
  assert.equal(await shown(page, 'doubled'), '0');
}

/** What the server tells of the run that the page shows. */
async function reported(page) {
  const run = await shown(page, 'run-id');
  return page.evaluate(async (path) => (await fetch(path)).json(), `/v1/runs/${run}`);
}

async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
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

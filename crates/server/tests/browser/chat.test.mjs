// The playground's chat in Chromium; where and how, `stage.mjs` says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeOnBothPorts, hook, lastEventId, picture, reached, recordStreams, sequence, shown } from './stage.mjs';

/** An answer takes some seconds at a model's pace; a busy machine takes longer. */
const ANSWER_DEADLINE = 60_000;

describeOnBothPorts('the chat', (stage) => {
  test('the page says over which protocol it came', async () => {
    const { page, context, base, protocol } = stage;
    await page.goto(`${base}/`);
    assert.equal(await shown(page, 'protocol'), protocol);
    await page.reload();
    assert.equal(await shown(page, 'protocol'), protocol, 'a page that the cache kept');
    const second = await context.newPage();
    await second.goto(`${base}/`);
    assert.equal(await shown(second, 'protocol'), protocol, 'a second tab');
  });

  test('tokens appear one by one', async () => {
    const { page, base } = stage;
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
    const { page, base } = stage;
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
    const { page, base } = stage;
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

  test('a question whose answer never came is put again after a reload, and begins one run', async () => {
    const { page, base } = stage;
    const asked = [];
    await page.route('**/v1/runs', async (route) => {
      asked.push(route.request().postData());
      const response = await route.fetch();
      // The first time the server has begun the run, and the page never hears of it.
      if (asked.length > 1) await route.fulfill({ response });
    });
    await page.goto(`${base}/`);
    const reachedServer = page.waitForRequest('**/v1/runs');
    await ask(page, 'What is a spring?');
    await reachedServer;
    await page.reload();
    const { text } = await finished(page);
    assert.equal(asked.length, 2);
    assert.equal(asked[0], asked[1], 'the same question, under the same id');
    await assertIsWhole(page, text);
  });

  test('what the page has not got of a run is counted as lost', async () => {
    const { page, base } = stage;
    await page.route(/\/v1\/runs\/[^/]+$/, async (route) => {
      const response = await route.fetch();
      const report = await response.json();
      await route.fulfill({ response, json: { ...report, text: `${report.text} more` } });
    });
    await page.goto(`${base}/`);
    await ask(page, 'What is a spring?');
    await finished(page);
    assert.equal(await shown(page, 'lost'), String(' more'.length));
  });

  test('a reload shows a whole conversation again', async () => {
    const { page, base } = stage;
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
    const { page, base } = stage;
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
    const { page, base } = stage;
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
    const { page, context, base } = stage;
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
    const { page, base } = stage;
    await page.goto(`${base}/`);
    await ask(page, 'Tell me about patience');
    await grown(page, 40);
    const address = await page.getAttribute(hook('run-id'), 'href');
    const other = await (await stage.visit()).newPage();
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
    const { page, context, base, protocol } = stage;
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
});

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

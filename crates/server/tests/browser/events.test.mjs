// The playground's page of events in Chromium, and what is around it; where and how, `stage.mjs` says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeOnBothPorts, hook, lastEventId, reached, recordStreams, shown } from './stage.mjs';

describeOnBothPorts('the events', (stage) => {
  test('the events page shows what is published, from here and from elsewhere', async () => {
    const { page, context, base } = stage;
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
    const { page, context, base } = stage;
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
    const { page, context, base } = stage;
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
    const { page, base } = stage;
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

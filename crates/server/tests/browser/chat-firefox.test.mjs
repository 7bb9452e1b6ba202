// What the playground's chat does in Firefox, which resumes, stores and types in ways of its own, on both ports of a
// running program.
//
//   WELLSPRING_HTTP   base URL of the plain port
//   WELLSPRING_HTTPS  base URL of the TLS port; its certificate may be of a local CA
//   FIREFOX           the browser
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Firefox } from './marionette.mjs';

for (const variable of ['WELLSPRING_HTTP', 'WELLSPRING_HTTPS']) {
  describe(`the chat in Firefox at ${variable}`, () => {
    const base = process.env[variable];
    let firefox;

    before(async () => {
      assert.ok(base, `${variable} names the program's address`);
      firefox = await Firefox.launch(process.env.FIREFOX);
    });

    after(() => firefox?.close());

    test('an answer is thought, cut, resumed, reloaded and whole', async () => {
      await firefox.goto(`${base}/`);
      await firefox.evaluate((question) => {
        document.querySelector('[data-test="prompt"]').value = question;
        document.querySelector('[data-test="send"]').click();
      }, 'What is a spring?');
      await until(() => {
        const thought = document.querySelector('[data-test="thought"]');
        return thought?.textContent.length > 10 && thought.checkVisibility();
      });
      await until(streaming, 40);
      assert.ok(await firefox.evaluate(() => !document.querySelector('[data-test="thought"]').checkVisibility()));
      await firefox.evaluate(() => document.querySelector('[data-test="cut-chat"]').click());
      await until(() => document.querySelector('[data-test="resumes"]').textContent === '1');
      await until(streaming, 120);
      await firefox.goto(`${base}/?reloaded`);
      await until(() => document.querySelector('[data-test="answer"]')?.dataset.state === 'done');
      const { texts, report, lost, doubled } = await firefox.evaluate(async () => {
        const shown = (name) => document.querySelector(`[data-test="${name}"]`).textContent;
        const report = await (await fetch(`/v1/runs/${shown('run-id')}`)).json();
        return { texts: [shown('thought'), shown('answer')], report, lost: shown('lost'), doubled: shown('doubled') };
      });
      assert.deepEqual(texts, [report.thinking, report.text]);
      assert.deepEqual([report.state, lost, doubled], ['done', '0', '0']);
    });

    test('a stopped run is stopped for whoever watches it', async () => {
      await firefox.goto(`${base}/?again`);
      await firefox.evaluate((question) => {
        document.querySelector('[data-test="prompt"]').value = question;
        document.querySelector('[data-test="send"]').click();
      }, 'And a river?');
      await until(streaming, 20);
      const run = await firefox.evaluate(() => document.querySelector('[data-test="run-id"]').textContent);
      await firefox.goto(`${base}/?watch#run=${run}`);
      await until(streaming, 20);
      await firefox.evaluate(() => document.querySelector('[data-test="stop"]').click());
      await until(() => document.querySelector('[data-test="answer"]').dataset.state === 'stopped');
      const state = await firefox.evaluate(async (path) => (await (await fetch(path)).json()).state, `/v1/runs/${run}`);
      assert.equal(state, 'cancelled');
    });

    const streaming = (length) => {
      const answer = document.querySelector('[data-test="answer"]');
      return answer?.dataset.state === 'streaming' && answer.textContent.length > length;
    };

    /** Waits until `state`, a function of the page's, is true there. */
    const until = (state, argument) =>
      firefox.evaluate(
        `async (argument) => {
          for (const end = performance.now() + 45000; performance.now() < end; ) {
            if ((${state})(argument)) return;
            await new Promise((later) => setTimeout(later, 20));
          }
          throw new Error('waited in vain for ' + ${JSON.stringify(String(state))});
        }`,
        argument,
      );
  });
}

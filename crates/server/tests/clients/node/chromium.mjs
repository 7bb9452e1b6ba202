// A run by Chromium's own EventSource, which comes back by itself until it is told to stay away.
//
//   {"base": URL, "path": PATH}; CHROMIUM names another browser than /usr/bin/chromium
import { chromium } from 'playwright-core';
import { tell, told, wanted } from './telling.mjs';

await tell(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`${wanted.base}/favicon.svg`);
    Object.assign(told, await page.evaluate(listen, `${wanted.base}${wanted.path}`));
  } finally {
    await browser.close();
  }
});

/** In the page. */
function listen(url) {
  return new Promise((resolve) => {
    const told = { text: '', deltas: 0, resumes: 0, errors: [] };
    const source = new EventSource(url);
    source.addEventListener('answer', ({ data }) => {
      told.text += JSON.parse(data).text;
      told.deltas += 1;
    });
    source.addEventListener('gap', ({ data }) => told.errors.push(data));
    source.addEventListener('done', ({ data }) => {
      told.done = JSON.parse(data);
    });
    // The run's own event of that name has data; the connection's has none.
    source.addEventListener('error', ({ data }) => {
      if (data !== undefined) told.errors.push(data);
      else if (source.readyState === EventSource.CLOSED) resolve(told);
      else if (told.done === undefined) told.resumes += 1;
    });
  });
}

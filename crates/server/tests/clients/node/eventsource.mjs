// A run by npm's EventSource, which comes back by itself until it is told to stay away.
//
//   {"url": URL}
import { EventSource } from 'eventsource';
import { tell, told, wanted } from './telling.mjs';

await tell(
  () =>
    new Promise((resolve) => {
      const source = new EventSource(wanted.url);
      source.addEventListener('answer', ({ data }) => told.add(JSON.parse(data).text));
      source.addEventListener('gap', ({ data }) => told.errors.push(data));
      source.addEventListener('done', ({ data }) => {
        told.done = JSON.parse(data);
      });
      source.addEventListener('open', () => {
        told.opened = (told.opened ?? 0) + 1;
      });
      source.addEventListener('error', ({ code, message }) => {
        if (source.readyState === EventSource.CLOSED) {
          told.closed = code ?? message;
          resolve();
        } else if (told.done === undefined) {
          told.resumes += 1;
        }
      });
    }),
);

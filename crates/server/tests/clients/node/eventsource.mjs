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
      // The run's own event of that name has data; the connection's has none.
      source.addEventListener('error', ({ code, data, message }) => {
        if (data !== undefined) {
          told.errors.push(JSON.parse(data).message);
        } else if (source.readyState === EventSource.CLOSED) {
          told.closed = code ?? message;
          resolve();
        } else if (told.done === undefined) {
          told.resumes += 1;
        }
      });
    }),
);

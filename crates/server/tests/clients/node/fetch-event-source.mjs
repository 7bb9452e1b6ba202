// A run by @microsoft/fetch-event-source, which makes its request again after a break, with the last id that it saw.
// It is written for pages: what it takes from one is given to it here, and the package is as it is.
//
//   {"url": URL, "body": OBJECT, "key": TEXT}; the key goes into its Idempotency-Key
globalThis.window = globalThis;
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

const { fetchEventSource } = await import('@microsoft/fetch-event-source');
const { tell, told, wanted } = await import('./telling.mjs');

await tell(() =>
  fetchEventSource(wanted.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(wanted.key && { 'idempotency-key': wanted.key }) },
    body: JSON.stringify(wanted.body),
    onmessage({ event, data }) {
      if (event === 'answer') told.add(JSON.parse(data).text);
      else if (event === 'done') told.done = JSON.parse(data);
      else if (event === 'gap' || event === 'error' || data === '') told.errors.push(`${event}: ${data}`);
    },
    onerror(error) {
      // What it throws when the server refuses it is an error of its own; any other is a break.
      if (String(error).includes('content-type')) throw error;
      told.resumes += 1;
    },
  }),
);

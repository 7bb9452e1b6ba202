// The events page: one topic, its EventSource, and a log of what arrives.
import { EventLog } from './event-log.js';
import { Stream } from './stream.js';

const READY_STATES = ['0 CONNECTING', '1 OPEN', '2 CLOSED'];

const byId = (id) => document.getElementById(id);

const pathOf = (topic) => `/topics/${encodeURIComponent(topic)}`;

/** `price, alert` as a list of types. */
const typesOf = (text) => text.split(/[\s,]+/).filter(Boolean);

export function startEvents(announce) {
  const topic = byId('topic');
  const log = new EventLog(byId('rows'), byId('log-empty'), byId('held'));
  let stream = null;

  const show = () => {
    const state = stream?.readyState ?? EventSource.CLOSED;
    const account = stream?.account;
    byId('ready-state').textContent = READY_STATES[state];
    byId('ready-state').dataset.state = state;
    byId('received').textContent = account?.received ?? 0;
    byId('events-lost').textContent = account?.lost ?? 0;
    byId('events-doubled').textContent = account?.doubled ?? 0;
    byId('events-lost').classList.toggle('bad', account?.lost > 0);
    byId('events-doubled').classList.toggle('bad', account?.doubled > 0);
    byId('reconnects').textContent = stream?.resumes ?? 0;
    byId('last-id').textContent = stream?.lastId || '–';
    byId('disconnect').disabled = state === EventSource.CLOSED;
    byId('cut-events').disabled = state !== EventSource.OPEN;
  };

  const note = (text) => {
    log.note(text);
    announce(text);
    show();
  };

  const connect = () => {
    stream?.close();
    stream = new Stream(pathOf(topic.value), {
      types: ['message', 'gap', ...typesOf(byId('types').value)],
      contiguous: false,
      on: {
        open: (resumed) => note(resumed ? `Connected again, after ${stream.lastId || 'no event yet'}` : 'Connected'),
        event: (event) => {
          log.event(event);
          show();
        },
        broken: () => note('The connection broke; the browser will come back by itself'),
        closed: () => note('The server closed the stream for good'),
      },
    });
    show();
  };

  const disconnect = () => {
    stream.close();
    note('Disconnected');
  };

  const publish = async () => {
    const text = byId('publish-text');
    const type = byId('publish-type').value.trim();
    if (type) hear(type);
    try {
      const response = await fetch(pathOf(topic.value), {
        method: 'POST',
        headers: { 'content-type': type ? 'application/json' : 'text/plain' },
        body: type ? JSON.stringify({ event: type, data: text.value }) : text.value,
      });
      if (!response.ok) {
        const problem = await response.json().catch(() => null);
        return note(`Not published: ${problem?.detail ?? problem?.title ?? `the server answered ${response.status}`}`);
      }
      text.value = '';
      if (stream?.readyState !== EventSource.OPEN) note('Published; connect to see events arrive');
    } catch (error) {
      note(`Not published: ${error.message}`);
    }
  };

  /** What is published from here with a type of its own is listened for, too. */
  const hear = (type) => {
    const types = byId('types');
    if (type !== 'message' && !typesOf(types.value).includes(type)) {
      types.value = [...typesOf(types.value), type].join(', ');
    }
    stream?.listen(type);
  };

  byId('connection').addEventListener('submit', (event) => {
    event.preventDefault();
    connect();
  });
  byId('disconnect').addEventListener('click', disconnect);
  byId('types').addEventListener('change', (event) => {
    for (const type of typesOf(event.target.value)) stream?.listen(type);
  });
  byId('publication').addEventListener('submit', (event) => {
    event.preventDefault();
    publish();
  });
  byId('publish-text').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId('publication').requestSubmit();
  });
  byId('cut-events').addEventListener('click', async () => {
    const found = await stream.cut().catch(() => true);
    if (!found) note('The server has no such stream to cut');
  });
  byId('pause').addEventListener('click', (event) => {
    event.currentTarget.setAttribute('aria-pressed', String(log.togglePause()));
  });
  byId('clear-log').addEventListener('click', () => log.clear());
  topic.addEventListener('input', showTerminal);

  showTerminal();
  showHint();
  show();

  function showTerminal() {
    // The leaf is signed by a local authority that curl does not know.
    const insecure = location.protocol === 'https:' ? 'k' : '';
    const url = `${location.origin}${pathOf(topic.value || 'demo')}`;
    byId('terminal').textContent = [
      `curl -N${insecure} \\`,
      `  ${url}`,
      '',
      `curl -s${insecure} --data-binary 'hello' \\`,
      "  -H 'content-type: text/plain' \\",
      `  ${url}`,
    ].join('\n');
  }

  function showHint() {
    const [navigation] = performance.getEntriesByType('navigation');
    byId('events-hint').textContent = navigation?.nextHopProtocol?.startsWith('http/1')
      ? 'Over HTTP/1.1 a browser opens six connections to a host, for all of its tabs together: a seventh stream waits. Over HTTP/2 all streams share one.'
      : '';
  }
}

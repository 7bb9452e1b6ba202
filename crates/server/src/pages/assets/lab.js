// The lab: as many streams as the slider says, which of them live, and what a request waits behind them.
import { announce, protocol, showProtocol } from './bar.js';
import { LabStream, milliseconds, seconds } from './lab-stream.js';

/** On one connection there may be some hundreds; on six connections a dozen shows it all. */
const MOST = { 'HTTP/2': 300, 'HTTP/3': 300 };

/** How often waiting times are written anew, in milliseconds. */
const TICK = 100;

/** A count that stands so long, in milliseconds, is told to screen readers. */
const SETTLED = 700;

const INTRODUCTIONS = {
  'HTTP/1.1':
    'This page came over HTTP/1.1. The browser opens six connections to a host, for all of its tabs together, and a stream keeps one for as long as it lives. Whatever comes seventh waits: without an error, and without an end.',
  'HTTP/2':
    'This page came over HTTP/2. All of the browser’s tabs share one connection, and every stream is a part of it. There is room for as many as the server allows: 256 unless it was told otherwise, which is also Chromium’s own limit.',
};

const byId = (id) => document.getElementById(id);

const topic = `/topics/lab-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;

const streams = [];
let numbers = 0;
let request = null;
let settling = 0;
let told = '';

function resize(count) {
  while (streams.length > count) close(streams.at(-1));
  while (streams.length < count) open();
  show();
}

function open() {
  numbers += 1;
  const stream = new LabStream(numbers, `${topic}?retry=500`, {
    changed: show,
    close: () => {
      const index = streams.indexOf(stream);
      close(stream);
      byId('tabs').value = streams.length;
      // The focus would fall off the page with the tile that had it.
      const next = streams[Math.min(index, streams.length - 1)]?.element.firstElementChild ?? byId('tabs');
      next.focus();
      show();
    },
  });
  streams.push(stream);
  byId('streams').append(stream.element);
}

function close(stream) {
  stream.close();
  streams.splice(streams.indexOf(stream), 1);
}

function show() {
  const live = streams.filter(({ state }) => state === 'live').length;
  byId('tabs-shown').textContent = streams.length;
  byId('live').textContent = live;
  byId('waiting').textContent = streams.length - live;
  byId('waiting').classList.toggle('bad', live < streams.length);
  byId('lab-received').textContent = streams.reduce((sum, { received }) => sum + received, 0);
  byId('streams-empty').hidden = streams.length > 0;
  clearTimeout(settling);
  settling = setTimeout(() => tell(`${live} live, ${streams.length - live} waiting`), SETTLED);
}

function tell(count) {
  if (count !== told) announce(count);
  told = count;
}

/** What changes by itself: how long everything waits. */
function tick() {
  for (const stream of streams) if (stream.state === 'waiting') stream.show();
  if (request) byId('request').textContent = `waiting ${seconds(performance.now() - request)}`;
}

/** Publishes an event: an ordinary request, in the same queue as the streams. */
async function sendEvent() {
  const button = byId('send-event');
  const shown = byId('request');
  request = performance.now();
  button.disabled = true;
  shown.dataset.state = 'waiting';
  tick();
  let text;
  try {
    const answer = await fetch(topic, { method: 'POST', body: `an event at ${new Date().toISOString()}` });
    text = answer.ok ? milliseconds(performance.now() - request) : `refused with ${answer.status}`;
  } catch (error) {
    text = error.message;
  }
  request = null;
  button.disabled = false;
  delete shown.dataset.state;
  shown.textContent = text;
  announce(`The request: ${text}`);
}

/** Where the same page is over the other scheme. */
async function showOther() {
  const secure = location.protocol === 'https:';
  const ports = await fetch('/lab/ports').then((answer) => answer.json());
  const scheme = secure ? 'http' : 'https';
  const port = ports[scheme];
  const link = byId('other');
  if (!port) {
    byId('other-hint').textContent = `This program does not serve ${scheme}.`;
    return;
  }
  const address = new URL(location.href);
  address.protocol = scheme;
  address.port = port;
  link.href = address.href;
  link.textContent = secure ? 'The same over HTTP/1.1' : 'The same over HTTP/2';
  link.hidden = false;
  byId('other-hint').textContent = secure
    ? 'Without TLS browsers speak HTTP/1.1.'
    : 'Browsers speak HTTP/2 over TLS only. The certificate is of the program’s own making: see wellspring certs.';
}

showProtocol();
byId('lab-intro').textContent = INTRODUCTIONS[protocol()] ?? '';
byId('tabs').max = MOST[protocol()] ?? 24;
byId('tabs').addEventListener('input', (event) => resize(event.target.valueAsNumber));
byId('send-event').addEventListener('click', sendEvent);
setInterval(tick, TICK);
showOther().catch(() => {});

// An EventSource that keeps an account of what it delivered, and that the server can be asked to cut.
import { randomName } from './runs.js';

/** After a cut the browser comes back this soon; Chromium's own default is 3 s, Firefox's 5 s. */
const RETRY_MILLISECONDS = 500;

/** An id is `<epoch>-<seq>`: the unbroken life of a log, and a place in it. */
export function parsePosition(id) {
  const [, epoch, digits] = /^(.+)-(\d+)$/.exec(id ?? '') ?? [];
  return epoch === undefined ? null : { epoch, seq: Number(digits) };
}

/** Counts what was received, lost and doubled, by the ids alone. */
export class Account {
  received = 0;
  lost = 0;
  doubled = 0;
  #last = null;
  #contiguous = false;

  /**
   * From now on numbers have no holes: the log is a run, and the stream goes on after an id. Before that a late joiner
   * may be told many events as one, which has the number of the last. A topic's numbers always only grow, since one
   * sequence numbers the events of all topics: there a loss is what the server announces.
   */
  expectNoHoles() {
    this.#contiguous = true;
  }

  /** Enters one event; false if it had been delivered before. */
  enter(event) {
    const position = parsePosition(event.lastEventId);
    if (event.type === 'gap') {
      this.#enterGap(event);
      if (position) this.#last = position;
      return true;
    }
    this.received += 1;
    const last = this.#last;
    if (!position) return true;
    const sameLife = last?.epoch === position.epoch;
    if (sameLife && position.seq <= last.seq) {
      this.doubled += 1;
      return false;
    }
    // Another life without an announced gap: how much is missing cannot be known, only that something may be.
    if (last !== null && !sameLife) this.lost += 1;
    if (sameLife && this.#contiguous) this.lost += position.seq - last.seq - 1;
    this.#last = position;
    return true;
  }

  #enterGap(event) {
    try {
      this.lost += JSON.parse(event.data).missed ?? 1;
    } catch {
      this.lost += 1;
    }
  }
}

/**
 * Follows `path` and reports to `on`: `open(resumed)`, `event(event, isNew)`, `broken()` when the browser will come
 * back by itself, `closed()` when it will not.
 */
export class Stream {
  account = new Account();
  resumes = 0;
  lastId = '';
  #source;
  #token = randomName();
  #contiguous;
  #opened = false;
  #heard = new Set();
  #on;

  /** `contiguous`: `path` is of a run, whose numbers have no holes. */
  constructor(path, { types, contiguous, on }) {
    this.#contiguous = contiguous;
    this.#on = on;
    const url = new URL(path, location.href);
    url.searchParams.set('cut', this.#token);
    url.searchParams.set('retry', String(RETRY_MILLISECONDS));
    this.#source = new EventSource(url);
    this.#source.addEventListener('open', () => this.#open());
    this.#source.addEventListener('error', (event) => this.#error(event));
    for (const type of types) this.listen(type);
  }

  /** 0 CONNECTING, 1 OPEN, 2 CLOSED. */
  get readyState() {
    return this.#source.readyState;
  }

  /** An EventSource hands out only the types that it was asked for by name. */
  listen(type) {
    // The types `open` and `error` are the EventSource's own; an `error` with data is heard anyway.
    if (this.#heard.has(type) || type === 'open' || type === 'error') return;
    this.#heard.add(type);
    this.#source.addEventListener(type, (event) => this.#deliver(event));
  }

  /** Asks the server to break this stream off; false if it has none. */
  async cut() {
    const answer = await fetch(`/playground/cuts/${this.#token}`, { method: 'POST' });
    return answer.ok;
  }

  close() {
    this.#source.close();
  }

  #open() {
    const resumed = this.#opened;
    this.#opened = true;
    if (resumed) this.resumes += 1;
    if (this.#contiguous && this.lastId) this.account.expectNoHoles();
    this.#on.open?.(resumed);
  }

  #error(event) {
    // The server's own `error` event carries data; the browser's, about the connection, has none.
    if (event instanceof MessageEvent) this.#deliver(event);
    else if (this.readyState === EventSource.CLOSED) this.#on.closed?.();
    else this.#on.broken?.();
  }

  #deliver(event) {
    const isNew = this.account.enter(event);
    if (event.lastEventId) this.lastId = event.lastEventId;
    this.#on.event(event, isNew);
  }
}

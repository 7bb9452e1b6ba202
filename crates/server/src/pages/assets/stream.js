// An EventSource that keeps an account of what it delivered, and that the server can be asked to cut.

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
  #contiguous;

  /**
   * `contiguous`: the log is a run, whose numbers start at 0 and have no holes. A topic's numbers only grow, since one
   * sequence numbers the events of all topics: there a loss is what the server announces.
   */
  constructor({ contiguous }) {
    this.#contiguous = contiguous;
    if (contiguous) this.#last = { epoch: null, seq: -1 };
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
    const sameLife = last !== null && (last.epoch === null || last.epoch === position.epoch);
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
  account;
  resumes = 0;
  lastId = '';
  #source;
  #token = randomToken();
  #opened = false;
  #heard = new Set();
  #on;

  constructor(path, { types, contiguous, on }) {
    this.account = new Account({ contiguous });
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

// Not crypto.randomUUID: it is missing on plain HTTP outside of localhost.
function randomToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// One question and its answer, or a job that was begun elsewhere: a run that is followed by number.
import { begin, cancel, eventsOf, reportOf } from './runs.js';
import { Stream } from './stream.js';
import { TurnView } from './turn-view.js';

/** How often the server is asked how the run does: a figure that changes with each token cannot be read. */
const REPORT_MILLISECONDS = 1000;

const OVER = new Set(['done', 'stopped', 'failed']);

export class Turn {
  /** The run's id, chosen here, so that another tab finds the run and a repeated question begins no second one. */
  id;
  /** null for a run that was begun elsewhere. */
  prompt;
  model;
  askedAt;
  thinking = '';
  text = '';
  statusText = '';
  /** none, asking, streaming, reconnecting, done, stopped, failed. */
  state = 'none';
  /** Milliseconds from the question to the first token, and tokens a second since then; null while unknown. */
  firstToken;
  rate = null;
  /** How many read this run now, this page among them; null while unknown. */
  readers = null;
  #begun;
  /** Whether this page put the question, and so knows how long the first token took. */
  #asked = false;
  #thinkingSince = null;
  #missing = 0;
  #stream = null;
  #stopping = false;
  #reports = 0;
  #asking = new AbortController();
  #view;
  #on;

  /**
   * `record` is what `toJSON` gave, `{ id, prompt, model }` for a new question, or `{ id }` for somebody else's run.
   * `on` hears `changed()`, `saved()` when there is something new to remember, `resumed()` and `over()`.
   */
  constructor(record, on) {
    this.id = record.id;
    this.prompt = record.prompt ?? null;
    this.model = record.model ?? null;
    this.askedAt = record.askedAt ?? Date.now();
    this.firstToken = record.firstToken ?? null;
    this.#begun = record.begun ?? this.prompt === null;
    this.#on = on;
    this.#view = new TurnView(this.prompt);
    if (record.end) this.#restore(record.end);
  }

  get element() {
    return this.#view.element;
  }

  get isOver() {
    return OVER.has(this.state);
  }

  get resumes() {
    return this.#stream?.resumes ?? 0;
  }

  get lost() {
    return (this.#stream?.account.lost ?? 0) + this.#missing;
  }

  get doubled() {
    return this.#stream?.account.doubled ?? 0;
  }

  /** What the model is told of this turn later. */
  get messages() {
    if (!this.text) return [];
    return [
      { role: 'user', content: this.prompt },
      { role: 'assistant', content: this.text },
    ];
  }

  toJSON() {
    const { id, prompt, model, askedAt, firstToken, state, statusText, thinking, text, rate } = this;
    const end = this.isOver ? { state, statusText, thinking, text, rate } : null;
    return { id, prompt, model, askedAt, begun: this.#begun, firstToken, end };
  }

  /** Puts the question, unless it was put before, and follows its run. */
  async start(earlier) {
    if (this.isOver) return;
    if (this.#begun) return this.#follow();
    this.#asked = true;
    this.#enter('asking', 'Asking…');
    try {
      const messages = [...earlier, { role: 'user', content: this.prompt }];
      await begin(this.id, { model: this.model, stream: true, messages }, this.#asking.signal);
      this.#begun = true;
      this.#on.saved();
      if (!this.isOver) this.#follow();
    } catch (error) {
      if (this.isOver) return;
      if (this.#stopping) this.#end('stopped', 'Stopped.');
      else this.#end('failed', error.message);
    }
  }

  /** Ends the run itself, for all of its readers: to disconnect would not be to cancel. */
  async stop() {
    if (this.isOver || this.#stopping) return;
    this.#stopping = true;
    this.#enter(this.state, 'Stopping…');
    const isTold = await cancel(this.id).catch(() => false);
    this.#asking.abort();
    // The run's last event says that it is cancelled; where none will come, it ends here alone.
    if (!isTold && !this.isOver) this.#end('stopped', 'Stopped here; the server could not be told.');
  }

  async cut() {
    try {
      if (!(await this.#stream.cut())) this.#enter(this.state, 'The server has no such stream to cut.');
    } catch {
      // The server is away: the stream itself will tell.
    }
  }

  /** Leaves the run to others. */
  leave() {
    this.#stream?.close();
    clearInterval(this.#reports);
    if (!this.isOver) this.state = 'stopped';
  }

  /** A newer turn takes its place as the last. */
  retire() {
    this.#view.retire();
  }

  /** Reads the run from its start; what was seen before a reload comes again, at once. */
  #follow() {
    this.#stream = new Stream(eventsOf(this.id), {
      types: ['thinking', 'answer', 'tool', 'progress', 'done', 'gap'],
      contiguous: true,
      on: {
        open: (resumed) => this.#open(resumed),
        event: (event, isNew) => this.#take(event, isNew),
        broken: () => this.#enter('reconnecting', 'The connection broke. The browser is coming back…'),
        closed: () => this.#end('failed', 'The server closed this stream for good; it may no longer have this run.'),
      },
    });
    this.#enter('asking', 'Waiting for the first token…');
  }

  #open(resumed) {
    if (resumed) {
      this.#view.mark('seam', `Cut here; resumed after ${this.#stream.lastId || 'the start'}`);
      this.#on.resumed();
    }
    const isResumed = resumed && this.#stream.lastId;
    this.#enter('streaming', isResumed ? `Resumed after ${this.#stream.lastId}.` : this.#activity());
    if (this.#reports === 0) this.#reports = setInterval(() => document.hidden || this.#measure(), REPORT_MILLISECONDS);
    this.#measure();
  }

  #activity() {
    if (this.#view.isJob) return 'Running…';
    if (this.text) return 'Answering…';
    // While it thinks, the summary of its thoughts says so.
    return this.thinking ? '' : 'Waiting for the first token…';
  }

  #take(event, isNew) {
    if (!isNew) return this.#on.changed();
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return this.#end('failed', `The server sent an event “${event.type}” that is not JSON.`);
    }
    if (event.type === 'thinking') this.#think(data.text ?? '');
    else if (event.type === 'answer') this.#say(data.text ?? '');
    else if (event.type === 'tool') this.#view.call(data);
    else if (event.type === 'progress') this.#progress(data);
    else if (event.type === 'done') this.#finish(data);
    else if (event.type === 'error') this.#end('failed', data.message ?? 'The answer failed.');
    else if (event.type === 'gap') this.#gap(data);
  }

  #think(text) {
    const isFirst = this.thinking === '';
    this.thinking += text;
    this.#view.think(text);
    if (isFirst) this.#thinkingSince = Date.now();
    this.#begin(isFirst);
  }

  #say(text) {
    const isFirst = this.text === '';
    this.text += text;
    if (isFirst && this.thinking) {
      const since = this.#asked ? this.#thinkingSince : null;
      this.#view.endThought(since === null ? null : Date.now() - since);
    }
    this.#view.say(text);
    this.#begin(isFirst);
  }

  /** The first token of a kind has come. */
  #begin(isFirst) {
    if (!isFirst) return this.#on.changed();
    if (this.#asked && this.firstToken === null) {
      this.firstToken = Date.now() - this.askedAt;
      this.#on.saved();
    }
    this.#enter('streaming', this.#activity());
  }

  #progress(data) {
    this.#view.progress(data);
    // Nobody counts a job's tokens.
    if (this.#view.isJob) this.firstToken = this.rate = this.readers = null;
    if (this.state === 'streaming') this.#enter('streaming', this.#activity());
  }

  #finish({ state, finish_reason: reason, exit_code: code, usage }) {
    if (state === 'cancelled') return this.#end('stopped', 'Stopped.');
    if (code !== undefined) {
      const how = reason === 'signal' ? 'Ended by a signal' : 'Ended';
      return this.#end(code === 0 ? 'done' : 'failed', `${how} with exit code ${code}.`);
    }
    const why = reason === 'length' ? 'Ended at its length limit' : 'Finished';
    const tokens = usage?.completion_tokens;
    this.#end('done', tokens === undefined ? `${why}.` : `${why}: ${tokens} tokens.`);
  }

  #gap({ missed }) {
    this.#view.mark('seam seam-gap', 'Text is missing here');
    this.#enter('streaming', `The server no longer has ${missed ?? 'some'} events of this run.`);
  }

  /** Takes the server's own figures: it sees single tokens, where a page sees what they were joined to. */
  async #measure() {
    // A job may say megabytes, which a report repeats.
    const report = this.#view.isJob ? null : await reportOf(this.id);
    if (!report || this.#view.isJob) return null;
    this.firstToken ??= report.first_token_ms;
    const seconds = (report.duration_ms - (report.first_token_ms ?? report.duration_ms)) / 1000;
    if (seconds > 0 && report.tokens > 1) this.rate = (report.tokens - 1) / seconds;
    this.readers = report.readers;
    this.#on.changed();
    return report;
  }

  async #end(state, text) {
    this.#stream?.close();
    clearInterval(this.#reports);
    // Over at once, so that nothing else is heard; said when the last word is typed out.
    this.state = state;
    const report = await this.#measure();
    // The page's text against the run's own: what no number shows is found here.
    if (report) this.#missing = missing(this.thinking, report.thinking) + missing(this.text, report.text);
    this.#view.finish(() => {
      this.#enter(state, text);
      this.#on.over();
    });
  }

  #enter(state, text) {
    this.state = state;
    this.statusText = text;
    this.#view.enter(state, text);
    this.#on.changed();
  }

  #restore({ state, statusText, thinking, text, rate }) {
    Object.assign(this, { thinking, text, rate });
    this.#view.restore(thinking, text);
    this.#enter(state, statusText);
  }
}

/** How many characters of `whole` are not at the end of what was `received`; a long run's `whole` lacks its beginning. */
function missing(received, whole) {
  return received.endsWith(whole) ? 0 : Math.max(1, whole.length - received.length);
}

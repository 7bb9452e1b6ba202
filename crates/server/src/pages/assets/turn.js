// One question and its answer: a run that is followed by number, and what it measured.
import { Stream } from './stream.js';
import { Typewriter } from './typewriter.js';

/** How often the rate is shown anew: a figure that changes with each token cannot be read. */
const RATE_MILLISECONDS = 250;

/** A restored run that ends this soon had ended before: its tokens were replayed, and their rate says nothing. */
const REPLAY_MILLISECONDS = 1000;

const OVER = new Set(['done', 'stopped', 'failed']);

export class Turn {
  element = document.createElement('li');
  prompt;
  /** `{ id, path }` once the server has begun the run. */
  run;
  text = '';
  statusText = '';
  /** none, asking, streaming, reconnecting, done, stopped, failed. */
  state = 'none';
  /** Milliseconds from the question to the first token, and tokens a second since then; null while unknown. */
  firstToken;
  rate;
  #askedAt;
  #firstAt;
  #openedAt = null;
  #restored;
  #tokens = 0;
  #shownAt = 0;
  #stream = null;
  #typewriter;
  #answer;
  #status;
  #on;

  /**
   * `record` is what `toJSON` gave before a reload, or `{ prompt }`. `on` hears `changed()`, `started()` when there is
   * something new to remember, `resumed()` and `over()`.
   */
  constructor(record, on) {
    this.prompt = record.prompt;
    this.run = record.run ?? null;
    this.firstToken = record.firstToken ?? null;
    this.rate = record.rate ?? null;
    this.#askedAt = record.askedAt ?? Date.now();
    this.#firstAt = record.firstAt ?? null;
    this.#restored = this.run !== null;
    this.#on = on;
    this.#build();
    if (record.stoppedWith !== undefined) this.#restoreStopped(record.stoppedWith);
  }

  get isOver() {
    return OVER.has(this.state);
  }

  get resumes() {
    return this.#stream?.resumes ?? 0;
  }

  get lost() {
    return this.#stream?.account.lost ?? 0;
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
    return {
      prompt: this.prompt,
      run: this.run,
      askedAt: this.#askedAt,
      firstAt: this.#firstAt,
      firstToken: this.firstToken,
      rate: this.isOver ? this.rate : null,
      stoppedWith: this.state === 'stopped' ? this.text : undefined,
    };
  }

  /** Puts the question, then leaves the answer to the question alone and follows its run. */
  async ask(model, earlier, signal) {
    this.#enter('asking', 'Thinking…');
    try {
      const response = await fetch('/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, stream: true, messages: [...earlier, { role: 'user', content: this.prompt }] }),
        signal,
      });
      if (!response.ok) throw new Error(await describe(response));
      const id = response.headers.get('x-run-id');
      const path = id && `/v1/runs/${id}/events`;
      // To hang up is not to cancel: the run goes on, and can be read from its start as often as one likes.
      response.body?.cancel().catch(() => {});
      if (!id || !path) throw new Error('The server did not say where its answer can be followed.');
      this.run = { id, path };
      this.#on.started();
      if (this.state === 'asking') this.follow();
    } catch (error) {
      if (!this.isOver) this.#end('failed', error.message);
    }
  }

  /** Reads the run from its start; what the reader had seen before a reload comes again, at once. */
  follow() {
    if (this.isOver) return;
    this.#stream = new Stream(this.run.path, {
      types: ['answer', 'done', 'gap'],
      contiguous: true,
      on: {
        open: (resumed) => this.#open(resumed),
        event: (event, isNew) => this.#take(event, isNew),
        broken: () => this.#enter('reconnecting', 'The connection broke. The browser is coming back…'),
        closed: () => this.#end('failed', 'The server closed this stream for good; it may no longer have this run.'),
      },
    });
    if (this.state === 'none') this.#enter('asking', 'Reading the run again…');
  }

  /** Stops following. The run itself goes on: to disconnect is not to cancel. */
  stop() {
    if (!this.isOver) this.#end('stopped', 'Stopped.');
  }

  async cut() {
    try {
      if (!(await this.#stream.cut())) this.#enter(this.state, 'The server has no such stream to cut.');
    } catch {
      // The server is away: the stream itself will tell.
    }
  }

  /** A newer turn takes its place as the last. */
  retire() {
    delete this.#answer.dataset.test;
    delete this.#status.dataset.test;
  }

  #open(resumed) {
    this.#openedAt ??= Date.now();
    if (resumed) {
      this.#typewriter.mark('seam', `Cut here; resumed after ${this.#stream.lastId || 'the start'}`);
      this.#on.resumed();
    }
    const from = resumed && this.#stream.lastId ? `Resumed after ${this.#stream.lastId}.` : '';
    this.#enter('streaming', from || (this.text ? 'Answering…' : 'Thinking…'));
  }

  #take(event, isNew) {
    if (!isNew) return this.#on.changed();
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return this.#end('failed', `The server sent an event “${event.type}” that is not JSON.`);
    }
    if (event.type === 'answer') this.#takeText(data.text ?? '');
    else if (event.type === 'done') this.#takeEnd(data);
    else if (event.type === 'error') this.#end('failed', data.message ?? 'The answer failed.');
    else if (event.type === 'gap') this.#takeGap(data);
  }

  #takeText(text) {
    const now = Date.now();
    if (this.#firstAt === null) {
      this.#firstAt = now;
      // Replayed by a reload, the first token says nothing of how long it took.
      if (!this.#restored) this.firstToken = now - this.#askedAt;
      this.#on.started();
    }
    if (this.#tokens === 0) this.#enter('streaming', 'Answering…');
    this.#tokens += 1;
    this.text += text;
    this.#typewriter.type(text);
    this.#measure(now, this.#tokens);
    this.#on.changed();
  }

  #takeEnd({ finish_reason: reason, usage }) {
    const now = Date.now();
    const tokens = usage?.completion_tokens ?? this.#tokens;
    if (!this.#restored || now - this.#openedAt > REPLAY_MILLISECONDS) this.#measure(now, tokens, true);
    const why = reason === 'length' ? 'Ended at its length limit' : 'Finished';
    this.#end('done', `${why}: ${tokens} tokens.`);
  }

  #takeGap({ missed }) {
    this.#typewriter.mark('seam seam-gap', 'Text is missing here');
    this.#enter('streaming', `The server no longer has ${missed ?? 'some'} events of this answer.`);
  }

  #measure(now, tokens, last = false) {
    if (this.#restored && now - this.#openedAt < REPLAY_MILLISECONDS) return;
    if (!last && now - this.#shownAt < RATE_MILLISECONDS) return;
    const seconds = (now - this.#firstAt) / 1000;
    if (seconds > 0 && tokens > 1) this.rate = (tokens - 1) / seconds;
    this.#shownAt = now;
  }

  #end(state, text) {
    this.#stream?.close();
    // Over at once, so that nothing else is heard; said when the last word is typed out.
    this.state = state;
    this.#typewriter.finish(() => {
      this.#enter(state, text);
      this.#answer.removeAttribute('aria-busy');
      this.#on.over();
    });
  }

  #enter(state, text) {
    this.state = state;
    this.statusText = text;
    this.#status.textContent = text;
    this.#answer.dataset.state = state;
    this.element.dataset.state = state;
    this.#on.changed();
  }

  #restoreStopped(text) {
    this.text = text;
    this.#answer.textContent = text;
    this.#answer.removeAttribute('aria-busy');
    this.#enter('stopped', 'Stopped.');
  }

  #build() {
    const question = block('p', 'question', this.prompt);
    question.prepend(block('span', 'visually-hidden', 'You: '));
    this.#answer = block('div', 'answer', '');
    this.#answer.dataset.test = 'answer';
    this.#answer.setAttribute('aria-busy', 'true');
    this.#status = block('p', 'status', '');
    this.#status.dataset.test = 'answer-status';
    this.element.className = 'turn';
    this.element.append(question, block('span', 'visually-hidden', 'Answer: '), this.#answer, this.#status);
    this.#typewriter = new Typewriter(this.#answer, () => keepUp(this.element));
  }
}

function block(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Scrolls with the text while its end is in sight; a reader who has scrolled away is left alone. */
function keepUp(element) {
  const page = document.scrollingElement;
  const below = page.scrollHeight - innerHeight - page.scrollTop;
  if (element.nextElementSibling === null && below > 0 && below < 120) page.scrollTop = page.scrollHeight;
}

/** Why a request was refused: an OpenAI error, a problem of RFC 9457, or the status alone. */
async function describe(response) {
  const body = await response.json().catch(() => null);
  const reason = body?.error?.message ?? body?.detail ?? body?.title;
  return reason ? `${response.status}: ${reason}` : `The server answered ${response.status}.`;
}

// How a turn looks: the question, what was thought, what was answered, how far a job is.
import { Typewriter } from './typewriter.js';

export class TurnView {
  element = block('li', 'turn', '');
  /** Whether it is the output of a command. */
  isJob = false;
  #isAnswering = false;
  #thought = block('details', 'thought', '');
  #summary = block('summary', '', 'Thinking…');
  #calls = block('ul', 'calls', '');
  #argumentsOf = new Map();
  #answer = block('div', 'answer', '');
  #progress = block('div', 'progress', '');
  #bar = document.createElement('progress');
  #message = block('span', 'soft', '');
  #status = block('p', 'status', '');
  #thoughtTyped;
  #answerTyped;

  constructor(prompt) {
    const thought = block('div', 'thought-text', '');
    this.#summary.dataset.test = 'thought-summary';
    thought.dataset.test = 'thought';
    this.#thought.append(this.#summary, thought);
    this.#thought.hidden = true;
    this.#calls.hidden = true;
    this.#answer.dataset.test = 'answer';
    this.#answer.setAttribute('aria-busy', 'true');
    this.#bar.max = 100;
    this.#bar.setAttribute('aria-label', 'Progress');
    this.#bar.dataset.test = 'progress';
    this.#message.dataset.test = 'progress-message';
    this.#progress.append(this.#bar, this.#message);
    this.#progress.hidden = true;
    this.#status.dataset.test = 'answer-status';
    if (prompt !== null) this.#ask(prompt, 'You: ');
    const label = block('span', 'visually-hidden', 'Answer: ');
    this.element.append(this.#thought, this.#calls, label, this.#answer, this.#progress, this.#status);
    const keepUp = () => this.#keepUp();
    this.#thoughtTyped = new Typewriter(thought, keepUp);
    this.#answerTyped = new Typewriter(this.#answer, keepUp);
  }

  think(text) {
    if (this.#thought.hidden) {
      this.#thought.hidden = false;
      this.#thought.open = true;
    }
    this.#thoughtTyped.type(text);
  }

  /** The answer begins: what was thought is folded up. `milliseconds` is how long that took, or null. */
  endThought(milliseconds) {
    this.#thought.open = false;
    this.#summary.textContent =
      milliseconds === null ? 'What it thought' : `Thought for ${(milliseconds / 1000).toFixed(1)} s`;
  }

  say(text) {
    this.#isAnswering = true;
    this.#answerTyped.type(text);
  }

  /** A piece of a call that the model wants made. */
  call({ index, name, arguments: piece }) {
    this.#calls.hidden = false;
    let shown = this.#argumentsOf.get(index);
    if (name !== undefined || shown === undefined) {
      const call = block('li', '', `${name ?? 'call'} `);
      shown = block('code', '', '');
      call.append(shown);
      this.#calls.append(call);
      this.#argumentsOf.set(index, shown);
    }
    shown.append(piece);
  }

  /** How far it is; of a command also its name, and what it says on standard error. */
  progress({ percent, message, stream, command }) {
    if (command !== undefined) {
      this.isJob = true;
      this.element.classList.add('job');
      this.#ask(command, 'Command: ');
      return;
    }
    if (stream === 'stderr' && percent === undefined) {
      this.#answerTyped.type(`${message}\n`, 'stderr');
      return;
    }
    this.#progress.hidden = false;
    if (typeof percent === 'number') this.#bar.value = percent;
    if (message !== undefined) this.#message.textContent = message;
  }

  /** A mark between two texts, without text of its own. */
  mark(className, title) {
    const typed = this.#thought.hidden || this.#isAnswering ? this.#answerTyped : this.#thoughtTyped;
    typed.mark(className, title);
  }

  enter(state, text) {
    this.#status.textContent = text;
    this.#answer.dataset.state = state;
    this.element.dataset.state = state;
  }

  /** Runs `then` once everything has been typed. */
  finish(then) {
    this.#thoughtTyped.finish(() =>
      this.#answerTyped.finish(() => {
        this.#settle();
        then();
      }),
    );
  }

  /** Shows what was said before a reload. */
  restore(thinking, text) {
    this.#thought.hidden = thinking === '';
    this.#thought.lastChild.textContent = thinking;
    this.#answer.textContent = text;
    this.endThought(null);
    this.#settle();
  }

  /** The tests look at the last turn only. */
  retire() {
    for (const element of this.element.querySelectorAll('[data-test]')) delete element.dataset.test;
  }

  #settle() {
    this.#answer.removeAttribute('aria-busy');
    this.#progress.classList.add('over');
  }

  #ask(text, who) {
    const question = block('p', 'question', text);
    question.prepend(block('span', 'visually-hidden', who));
    this.element.prepend(question);
  }

  /** Scrolls with the text while its end is in sight; a reader who has scrolled away is left alone. */
  #keepUp() {
    const page = document.scrollingElement;
    const below = page.scrollHeight - innerHeight - page.scrollTop;
    if (this.element.nextElementSibling === null && below > 0 && below < 120) page.scrollTop = page.scrollHeight;
  }
}

function block(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// Text that appears at a reading eye's pace: a burst after a resume is typed out quickly rather than dropped in.

/** The share of what is waiting that one frame shows: a burst is on the page within about half a second. */
const SHARE_PER_FRAME = 1 / 8;

const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** Types into `element`, which it owns; `onFrame` runs after each change. */
export class Typewriter {
  #element;
  #node = null;
  #className = '';
  #waiting = [];
  #length = 0;
  #frame = 0;
  #onFrame;
  #onEmpty = null;
  #onVisibility = () => this.#schedule();

  constructor(element, onFrame) {
    this.#element = element;
    this.#onFrame = onFrame;
    // A hidden page gets no frames: what waits is shown at once, so that an answer also ends in the background.
    document.addEventListener('visibilitychange', this.#onVisibility);
  }

  /** Types the text, in a span of that class if it names one. */
  type(text, className = '') {
    this.#waiting.push({ text, className });
    this.#length += text.length;
    this.#schedule();
  }

  /** A mark between two texts, without text of its own. */
  mark(className, title) {
    const mark = span(className, '');
    mark.title = title;
    mark.setAttribute('aria-hidden', 'true');
    this.#waiting.push(mark);
    this.#schedule();
  }

  /** Runs `then` once everything has been typed. */
  finish(then) {
    this.#onEmpty = then;
    this.#schedule();
  }

  #schedule() {
    if (calm.matches || document.hidden) {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
      this.#show(Infinity);
    } else if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#show(Math.max(1, Math.ceil(this.#length * SHARE_PER_FRAME)));
        if (this.#waiting.length > 0) this.#schedule();
      });
    }
  }

  #show(budget) {
    while (this.#waiting.length > 0 && budget > 0) {
      const first = this.#waiting[0];
      if (first instanceof Element) {
        this.#element.append(first);
        this.#node = null;
        this.#waiting.shift();
        continue;
      }
      const end = characterBorder(first.text, budget);
      this.#append(first.text.slice(0, end), first.className);
      this.#length -= end;
      budget -= end;
      if (end === first.text.length) this.#waiting.shift();
      else first.text = first.text.slice(end);
    }
    this.#onFrame();
    if (this.#waiting.length === 0) {
      const then = this.#onEmpty;
      if (then === null) return;
      this.#onEmpty = null;
      document.removeEventListener('visibilitychange', this.#onVisibility);
      then();
    }
  }

  #append(text, className) {
    if (this.#node === null || className !== this.#className) {
      this.#node = document.createTextNode('');
      this.#className = className;
      this.#element.append(className ? span(className, this.#node) : this.#node);
    }
    this.#node.appendData(text);
  }
}

function span(className, node) {
  const span = document.createElement('span');
  span.className = className;
  span.append(node);
  return span;
}

/** The first place at or after `length` that does not part a surrogate pair. */
function characterBorder(text, length) {
  if (length >= text.length) return text.length;
  const before = text.charCodeAt(length - 1);
  return before >= 0xd800 && before <= 0xdbff ? length + 1 : length;
}

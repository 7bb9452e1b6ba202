// One stream of the lab, and the tile that shows it.

/** What a tile says of its stream. */
const WORDS = { waiting: 'waiting', live: 'live', refused: 'refused' };

export class LabStream {
  received = 0;
  /** `waiting`: CONNECTING, whatever for; `live`: OPEN; `refused`: the server wants it closed. */
  state = 'waiting';
  element = document.createElement('li');
  #source;
  #asked = performance.now();
  #took = 0;
  #tile = document.createElement('button');
  #words = document.createElement('span');
  #number;

  /** `on.changed()` hears of every event and change of state, `on.close()` of a press on the tile. */
  constructor(number, url, on) {
    this.#number = number;
    this.#draw(on.close);
    this.#source = new EventSource(url);
    this.#source.addEventListener('open', () => {
      this.#took = performance.now() - this.#asked;
      this.#enter('live');
      on.changed();
    });
    this.#source.addEventListener('error', () => {
      this.#asked = performance.now();
      this.#enter(this.#source.readyState === EventSource.CLOSED ? 'refused' : 'waiting');
      on.changed();
    });
    this.#source.addEventListener('message', () => {
      this.received += 1;
      this.#flash();
      on.changed();
    });
    this.show();
  }

  close() {
    this.#source.close();
    this.element.remove();
  }

  /** Writes the time that the stream waits, or waited. */
  show() {
    const words = WORDS[this.state];
    const text = {
      waiting: `${words}, ${seconds(performance.now() - this.#asked)}`,
      live: `${words}, ${milliseconds(this.#took)}`,
      refused: words,
    }[this.state];
    if (this.#words.textContent === text) return;
    this.#words.textContent = text;
  }

  #enter(state) {
    this.state = state;
    this.#tile.dataset.state = state;
    this.#tile.setAttribute('aria-label', `Stream ${this.#number}, ${WORDS[state]}: close it`);
    this.show();
  }

  #draw(close) {
    const number = document.createElement('span');
    number.className = 'number';
    number.textContent = this.#number;
    this.#words.className = 'state';
    this.#tile.type = 'button';
    this.#tile.dataset.test = 'stream';
    this.#tile.append(number, this.#words);
    this.#tile.addEventListener('click', close);
    this.element.append(this.#tile);
    this.#enter('waiting');
  }

  /** An event lights the tile up for a moment, from the start again if it is lit. */
  #flash() {
    this.#tile.classList.remove('fresh');
    requestAnimationFrame(() => this.#tile.classList.add('fresh'));
  }
}

export const milliseconds = (time) => `${Math.max(1, Math.round(time))} ms`;

export const seconds = (time) => `${(time / 1000).toFixed(1)} s`;

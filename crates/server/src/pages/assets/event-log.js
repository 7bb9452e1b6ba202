// The rows of the event log: the newest first, bounded, written once a frame however many events arrive.

/** Rows kept on the page. */
const ROWS = 500;

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hour12: false,
});

export class EventLog {
  #rows;
  #empty;
  #held;
  #waiting = [];
  #missedWhilePaused = 0;
  #paused = false;
  #scheduled = false;

  /** `rows` is the table's body, `empty` what stands there without rows, `held` says what a pause holds back. */
  constructor(rows, empty, held) {
    this.#rows = rows;
    this.#empty = empty;
    this.#held = held;
  }

  /** One event. */
  event(event) {
    this.#add({ time: new Date(), type: event.type, id: event.lastEventId, data: event.data, test: 'log-row' });
  }

  /** Something that happened to the stream. */
  note(text) {
    this.#add({ time: new Date(), type: '', id: '', data: text, test: 'log-note' });
  }

  /** Holds new rows back, or shows them; returns whether it holds them now. */
  togglePause() {
    this.#paused = !this.#paused;
    this.#schedule();
    return this.#paused;
  }

  clear() {
    this.#waiting.length = 0;
    this.#missedWhilePaused = 0;
    this.#rows.replaceChildren();
    this.#schedule();
  }

  #add(entry) {
    this.#waiting.push(entry);
    if (this.#waiting.length > ROWS) {
      this.#waiting.shift();
      this.#missedWhilePaused += 1;
    }
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#write();
    });
  }

  #write() {
    const held = this.#waiting.length + this.#missedWhilePaused;
    this.#held.textContent = this.#paused ? `${held} held back` : '';
    if (this.#paused) return;
    this.#missedWhilePaused = 0;
    this.#rows.prepend(...this.#waiting.splice(0).reverse().map(row));
    while (this.#rows.childElementCount > ROWS) this.#rows.lastElementChild.remove();
    this.#empty.hidden = this.#rows.childElementCount > 0;
  }
}

function row({ time, type, id, data, test }) {
  const row = document.createElement('tr');
  row.dataset.test = test;
  for (const [name, text] of [['time', clock.format(time)], ['type', type], ['id', id], ['data', data]]) {
    const cell = document.createElement('td');
    cell.className = name;
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

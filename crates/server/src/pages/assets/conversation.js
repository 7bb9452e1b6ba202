// What the tabs of a browser share: one conversation, which outlives them. A tab that is opened in the middle of an
// answer finds the run's id here and joins.
import { randomName } from './runs.js';

const KEY = 'wellspring.conversation';

/** Turns that are kept, and that the model is told. */
export const REMEMBERED = 40;

export const fresh = () => ({ id: randomName(), model: null, turns: [] });

/** The conversation as some tab saved it last, or none. */
export function load() {
  try {
    return read(localStorage.getItem(KEY));
  } catch {
    // Storage is blocked: each tab is then on its own.
    return null;
  }
}

/** Keeps this tab's turns beside those that other tabs have added to the same conversation. */
export function save({ id, model, turns }) {
  const stored = load();
  const kept = new Map(stored?.id === id ? stored.turns.map((turn) => [turn.id, turn]) : []);
  for (const turn of turns) kept.set(turn.id, { ...turn, end: turn.end ?? kept.get(turn.id)?.end ?? null });
  const inOrder = [...kept.values()].sort((one, other) => one.askedAt - other.askedAt);
  try {
    localStorage.setItem(KEY, JSON.stringify({ id, model, turns: inOrder.slice(-REMEMBERED) }));
  } catch {
    // Full or blocked: a reload then begins anew.
  }
}

/** Runs `then` with the conversation whenever another tab has saved it. */
export function onSaved(then) {
  addEventListener('storage', (event) => {
    const stored = event.key === KEY ? read(event.newValue) : null;
    if (stored) then(stored);
  });
}

function read(text) {
  try {
    const stored = JSON.parse(text ?? 'null');
    return Array.isArray(stored?.turns) ? stored : null;
  } catch {
    return null;
  }
}

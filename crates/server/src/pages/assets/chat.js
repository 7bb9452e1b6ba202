// The chat: sends a conversation, follows each answer as a run, and shows the runs again after a reload.
import { Turn } from './turn.js';

const STORAGE_KEY = 'wellspring.conversation';

/** Turns that a reload shows again, and that the model is told. */
const REMEMBERED = 40;

/** What the meter shows before the first question. */
const NO_TURN = { firstToken: null, rate: null, resumes: 0, lost: 0, doubled: 0, run: null, state: 'none', isOver: true };

/** The built-in model, which an upstream does not know. */
const DEMO = 'wellspring-demo';

const byId = (id) => document.getElementById(id);

export function startChat(announce) {
  const form = byId('composer');
  const prompt = byId('prompt');
  const model = byId('model');
  const turns = [];
  let posting = null;

  const save = () => {
    const runs = turns.filter((turn) => turn.run).map((turn) => turn.toJSON());
    try {
      sessionStorage.setItem(STORAGE_KEY, JSON.stringify({ model: model.value, turns: runs.slice(-REMEMBERED) }));
    } catch {
      // Full or blocked: a reload then begins anew.
    }
  };

  const show = () => {
    const turn = turns.at(-1) ?? NO_TURN;
    byId('first-token').textContent = turn.firstToken === null ? '–' : `${Math.round(turn.firstToken)} ms`;
    byId('rate').textContent = turn.rate === null ? '–' : turn.rate.toFixed(1);
    byId('resumes').textContent = turn.resumes;
    byId('lost').textContent = turn.lost;
    byId('doubled').textContent = turn.doubled;
    byId('run-id').textContent = turn.run?.id ?? '–';
    byId('lost').classList.toggle('bad', turn.lost > 0);
    byId('doubled').classList.toggle('bad', turn.doubled > 0);
    byId('cut-chat').disabled = turn.state !== 'streaming';
    byId('stop').hidden = turn.isOver;
    byId('send').hidden = !turn.isOver;
  };

  const add = (record) => {
    turns.at(-1)?.retire();
    const turn = new Turn(record, {
      changed: show,
      over: () => {
        save();
        show();
        announce(turn.state === 'done' ? `Answer: ${turn.text}` : turn.statusText);
      },
      resumed: () => announce('The connection was cut. The answer goes on.'),
      started: save,
    });
    turns.push(turn);
    byId('welcome').hidden = true;
    byId('turns').append(turn.element);
    show();
    return turn;
  };

  /** Offers what the server's upstream has, and takes its first model where the built-in one is not there. */
  const offerModels = async () => {
    const response = await fetch('/v1/models').catch(() => null);
    const listed = response?.ok ? await response.json().catch(() => null) : null;
    const ids = Array.isArray(listed?.data) ? listed.data.map(({ id }) => String(id)) : [];
    byId('models').replaceChildren(...ids.map((id) => new Option(id, id)));
    if (ids.length > 0 && model.value === DEMO && !ids.includes(DEMO)) model.value = ids[0];
  };

  const isBusy = () => turns.length > 0 && !turns.at(-1).isOver;

  const send = (text) => {
    if (isBusy()) return;
    const messages = turns.slice(-REMEMBERED).flatMap((turn) => turn.messages);
    const turn = add({ prompt: text });
    turn.element.scrollIntoView({ block: 'start' });
    posting = new AbortController();
    turn.ask(model.value.trim() || DEMO, messages, posting.signal);
  };

  // One line to begin with, as many as the text needs up to what the style sheet allows.
  const grow = () => {
    prompt.rows = Math.min(8, prompt.value.split('\n').length);
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = prompt.value.trim();
    if (!text || isBusy()) return;
    prompt.value = '';
    grow();
    prompt.focus();
    send(text);
  });
  prompt.addEventListener('input', grow);
  prompt.addEventListener('keydown', (event) => {
    // isComposing: Enter also ends a word in an input method.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  byId('stop').addEventListener('click', () => {
    posting?.abort();
    turns.at(-1)?.stop();
    prompt.focus();
  });
  byId('cut-chat').addEventListener('click', () => turns.at(-1)?.cut());
  for (const button of document.querySelectorAll('[data-suggestion]')) {
    button.addEventListener('click', () => send(button.textContent));
  }
  model.addEventListener('change', save);
  byId('clear').addEventListener('click', () => {
    posting?.abort();
    for (const turn of turns) turn.stop();
    turns.length = 0;
    byId('turns').replaceChildren();
    byId('welcome').hidden = false;
    show();
    save();
    prompt.focus();
  });

  restore();
  offerModels();

  function restore() {
    let stored;
    try {
      stored = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? 'null');
    } catch {
      return;
    }
    if (!stored?.turns?.length) return;
    model.value = stored.model;
    for (const record of stored.turns) add(record);
    // The newest first: HTTP/1.1 opens six streams at a time, and the newest may still be speaking.
    for (const turn of turns.toReversed()) turn.follow();
    turns.at(-1).element.scrollIntoView({ block: 'start' });
  }
}

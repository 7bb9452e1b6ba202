// The chat: sends a conversation, follows each answer as a run, and shows the runs again after a reload, in every tab.
// Or it watches one run that was begun elsewhere, by its id in the address.
import * as conversations from './conversation.js';
import { randomName } from './runs.js';
import { Turn } from './turn.js';

/** What the meter shows before the first question. */
const NO_TURN = {
  id: null,
  firstToken: null,
  rate: null,
  readers: null,
  resumes: 0,
  lost: 0,
  doubled: 0,
  state: 'none',
  isOver: true,
};

/** The built-in model, which an upstream does not know. */
const DEMO = 'wellspring-demo';

const byId = (id) => document.getElementById(id);

/** Returns what shows the run of an id, or the conversation for none. */
export function startChat(announce) {
  const form = byId('composer');
  const prompt = byId('prompt');
  const model = byId('model');
  let conversation = null;
  let watched = null;
  let turns = [];

  const save = () => {
    if (watched === null) conversations.save({ id: conversation, model: model.value, turns: turns.map((turn) => turn.toJSON()) });
  };

  const show = () => {
    const turn = turns.at(-1) ?? NO_TURN;
    byId('first-token').textContent = turn.firstToken === null ? '–' : `${Math.round(turn.firstToken)} ms`;
    byId('rate').textContent = turn.rate === null ? '–' : turn.rate.toFixed(1);
    byId('readers').textContent = turn.isOver ? '–' : (turn.readers ?? '–');
    byId('resumes').textContent = turn.resumes;
    byId('lost').textContent = turn.lost;
    byId('doubled').textContent = turn.doubled;
    byId('run-id').textContent = turn.id ?? '–';
    byId('run-id').toggleAttribute('href', turn.id !== null);
    if (turn.id !== null) byId('run-id').href = `#run=${encodeURIComponent(turn.id)}`;
    byId('lost').classList.toggle('bad', turn.lost > 0);
    byId('doubled').classList.toggle('bad', turn.doubled > 0);
    byId('cut-chat').disabled = turn.state !== 'streaming';
    byId('stop').hidden = turn.isOver;
    byId('send').hidden = !turn.isOver || watched !== null;
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
      saved: save,
    });
    turns.push(turn);
    byId('welcome').hidden = true;
    byId('turns').append(turn.element);
    show();
    return turn;
  };

  /** Follows what is not over yet. A question that never reached the server is put again: it begins one run only. */
  const start = (turn) => {
    const earlier = turns.slice(0, turns.indexOf(turn)).slice(-conversations.REMEMBERED);
    turn.start(earlier.flatMap((earlier) => earlier.messages));
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
    const turn = add({ id: randomName(), prompt: text, model: model.value.trim() || DEMO });
    // Before the server knows of it: a reload at any moment finds the question.
    save();
    turn.element.scrollIntoView({ block: 'start' });
    start(turn);
  };

  const empty = () => {
    for (const turn of turns) turn.leave();
    turns = [];
    byId('turns').replaceChildren();
    byId('welcome').hidden = false;
    show();
  };

  /** Shows a conversation as some tab saved it. */
  const restore = (stored) => {
    empty();
    conversation = stored.id;
    if (stored.model) model.value = stored.model;
    for (const record of stored.turns) add(record);
    // The newest first: HTTP/1.1 opens six streams at a time, and the newest may still be speaking.
    for (const turn of turns.toReversed()) start(turn);
    turns.at(-1)?.element.scrollIntoView({ block: 'start' });
  };

  /** Another tab has saved the conversation: what it added is shown here, too. */
  const join = (stored) => {
    if (watched !== null) return;
    if (stored.id !== conversation) return restore(stored);
    for (const record of stored.turns) {
      if (turns.some(({ id }) => id === record.id)) continue;
      const turn = add(record);
      start(turn);
      turn.element.scrollIntoView({ block: 'start' });
    }
  };

  const open = (run) => {
    if (run === watched && conversation !== null) return;
    watched = run;
    const isWatching = run !== null;
    byId('prompt').hidden = isWatching;
    byId('chat-hint').hidden = isWatching;
    byId('model-field').hidden = isWatching;
    byId('clear').textContent = isWatching ? 'To the chat' : 'New conversation';
    byId('meter-title').textContent = isWatching ? 'This run' : 'This answer';
    byId('tab-chat').dataset.address = isWatching ? `run=${encodeURIComponent(run)}` : 'chat';
    restore(isWatching ? { id: '', turns: [{ id: run }] } : (conversations.load() ?? conversations.fresh()));
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
    turns.at(-1)?.stop();
    prompt.focus();
  });
  byId('cut-chat').addEventListener('click', () => turns.at(-1)?.cut());
  for (const button of document.querySelectorAll('[data-suggestion]')) {
    button.addEventListener('click', () => send(button.textContent));
  }
  model.addEventListener('change', save);
  byId('clear').addEventListener('click', () => {
    if (watched !== null) {
      location.hash = 'chat';
      return;
    }
    turns.at(-1)?.stop();
    restore(conversations.fresh());
    save();
    prompt.focus();
  });
  conversations.onSaved(join);
  offerModels();
  return open;
}

// A chat by the AI SDK as `useChat` has it: the same class and transport, without React around them. It does not come
// back by itself: after a break the page does, as after a reload.
//
//   {"api": URL, "model": NAME}
import { AbstractChat, DefaultChatTransport } from 'ai';
import { tell, told, wanted } from './telling.mjs';

const ATTEMPTS = 10;

/** What useChat keeps in React's state. */
class State {
  status = 'ready';
  error = undefined;
  messages = [];

  pushMessage(message) {
    this.messages = [...this.messages, message];
  }

  popMessage() {
    this.messages = this.messages.slice(0, -1);
  }

  replaceMessage(index, message) {
    this.messages = this.messages.with(index, this.snapshot(message));
  }

  snapshot(value) {
    return structuredClone(value);
  }
}

class Chat extends AbstractChat {
  constructor(transport) {
    super({
      id: crypto.randomUUID(),
      transport,
      state: new State(),
      // A break is what the page comes back from; of any other error it tells.
      onError(error) {
        if (!(error instanceof TypeError)) told.errors.push(error.message);
      },
    });
  }
}

await tell(async () => {
  const chat = new Chat(new DefaultChatTransport({ api: wanted.api, body: { model: wanted.model } }));
  const before = await chat.transport.reconnectToStream({ chatId: chat.id });
  if (before !== null) told.errors.push('a chat that nobody began is active');
  await chat.sendMessage({ text: 'Count.' });
  while (chat.status === 'error' && told.resumes < ATTEMPTS) {
    told.resumes += 1;
    await chat.resumeStream();
  }
  if (chat.status !== 'ready') told.errors.push(`${chat.status}: ${chat.error}`);
  const answers = chat.messages.filter(({ role }) => role === 'assistant');
  if (answers.length !== 1) told.errors.push(`${answers.length} answers`);
  for (const part of answers.flatMap(({ parts }) => parts)) {
    if (part.type === 'text') told.add(part.text);
  }
});

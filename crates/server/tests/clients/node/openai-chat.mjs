// One chat by OpenAI's package. It does not resume a chat: with a key, a request whose stream broke is made again with
// the same Idempotency-Key, and answered from the start.
//
//   {"base": URL, "model": NAME, "key": TEXT}
import OpenAI from 'openai';
import { tell, told, wanted } from './telling.mjs';

const ATTEMPTS = 10;

await tell(async () => {
  const client = new OpenAI({ baseURL: wanted.base, apiKey: 'unused', maxRetries: 0 });
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const broken = told.text;
    told.text = '';
    told.deltas = 0;
    try {
      await stream(client);
    } catch (error) {
      if (!wanted.key) throw error;
      told.resumes += 1;
      continue;
    }
    if (!told.text.startsWith(broken)) told.errors.push(`another answer: ${broken}`);
    break;
  }
});

async function stream(client) {
  const chunks = await client.chat.completions.create(
    {
      model: wanted.model,
      messages: [{ role: 'user', content: 'Count.' }],
      stream: true,
      stream_options: { include_usage: true },
    },
    { headers: wanted.key ? { 'Idempotency-Key': wanted.key } : {} },
  );
  for await (const chunk of chunks) {
    if (chunk.usage) told.tokens = chunk.usage.completion_tokens;
    for (const choice of chunk.choices) {
      told.add(choice.delta.content);
      told.reason = choice.finish_reason ?? told.reason;
    }
  }
}

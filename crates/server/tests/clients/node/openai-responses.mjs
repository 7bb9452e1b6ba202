// One response by OpenAI's package; after a break it retrieves the rest of it.
//
//   {"base": URL, "model": NAME}
import OpenAI from 'openai';
import { tell, told, wanted } from './telling.mjs';

const ATTEMPTS = 10;

await tell(async () => {
  const client = new OpenAI({ baseURL: wanted.base, apiKey: 'unused', maxRetries: 0 });
  let id;
  let last = -1;
  const listen = async (events) => {
    for await (const event of events) {
      if (event.sequence_number !== last + 1) told.errors.push(`${event.sequence_number} after ${last}`);
      last = event.sequence_number;
      if (event.type === 'response.created') id = event.response.id;
      else if (event.type === 'response.output_text.delta') told.add(event.delta);
      else if (event.type === 'error') told.errors.push(event.message);
      else if (['response.completed', 'response.failed', 'response.incomplete'].includes(event.type)) {
        told.status = event.response.status;
        if (event.response.error) told.errors.push(event.response.error.message);
        told.whole = event.response.output[0]?.content[0]?.text;
      }
    }
  };
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      await listen(
        id === undefined
          ? await client.responses.create({ model: wanted.model, input: 'Count.', stream: true, background: true })
          : await client.responses.retrieve(id, { stream: true, starting_after: last }),
      );
      break;
    } catch (error) {
      if (id === undefined) throw error;
      told.resumes += 1;
    }
  }
});

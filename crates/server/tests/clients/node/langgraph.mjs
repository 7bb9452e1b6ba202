// A run by LangGraph's SDK, which comes back by itself where `Location` sends it.
//
//   {"base": URL, "model": NAME}
import { Client } from '@langchain/langgraph-sdk';
import { tell, told, wanted } from './telling.mjs';

await tell(async () => {
  const client = new Client({
    apiUrl: wanted.base,
    apiKey: null,
    onRequest(url, init) {
      if (init.method === 'GET' && url.pathname.endsWith('/stream')) told.resumes += 1;
      return init;
    },
  });
  const thread = await client.threads.create();
  const parts = client.runs.stream(thread.thread_id, wanted.model, {
    input: { messages: [{ role: 'user', content: 'Count.' }] },
    streamMode: 'messages-tuple',
    onRunCreated: ({ run_id, thread_id }) => {
      told.run = run_id;
      if (thread_id !== thread.thread_id) told.errors.push(`another thread: ${thread_id}`);
    },
  });
  for await (const { event, data } of parts) {
    if (event === 'messages') told.add(data[0].content);
    else if (event === 'error') told.errors.push(JSON.stringify(data));
    told.last = event;
  }
});

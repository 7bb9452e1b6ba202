// A chat by the AI SDK's WorkflowChatTransport, which comes back by itself for the chunks that it has not seen.
//
//   {"api": URL, "model": NAME}
import { WorkflowChatTransport } from '@ai-sdk/workflow/client';
import { tell, told, wanted } from './telling.mjs';

await tell(async () => {
  // The transport reports each break there.
  console.error = () => {
    told.resumes += 1;
  };
  const transport = new WorkflowChatTransport({
    api: wanted.api,
    onChatEnd: ({ chunkIndex }) => {
      told.chunks = chunkIndex;
    },
  });
  const chunks = await transport.sendMessages({
    chatId: crypto.randomUUID(),
    messages: [{ id: 'question', role: 'user', parts: [{ type: 'text', text: 'Count.' }] }],
    trigger: 'submit-message',
    body: { model: wanted.model },
  });
  for await (const chunk of chunks) {
    if (chunk.type === 'text-delta') told.add(chunk.delta);
    else if (chunk.type === 'error') told.errors.push(chunk.errorText);
  }
});

// OpenAI's own client for Node in the midst of a stream: `abort` leaves it, `cut` reads until the server cuts it.
import { createRequire } from 'node:module';

const OpenAI = createRequire(process.env.MALINA_NODE_MODULES + '/')('openai');
const client = new OpenAI({ baseURL: process.env.MALINA_URL, apiKey: process.env.MALINA_KEY, maxRetries: 0 });
const stream = await client.chat.completions.create({
  model: 'tiny', messages: [{ role: 'user', content: 'hello' }], max_tokens: 16000, stream: true, n: 2,
  logit_bias: { 0: -100, 2: -100 } });
const chunks = stream[Symbol.asyncIterator]();
await chunks.next();
console.log('begun');
if (process.argv[2] === 'abort') {
  stream.controller.abort();
  console.log('left');
} else {
  try {
    while (!(await chunks.next()).done);
    console.log('ended');
  } catch (error) {
    console.log(`raised ${error instanceof OpenAI.APIError ? error.code : error}`);
  }
}

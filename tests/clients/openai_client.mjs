// OpenAI's own client for Node against a running server: MALINA_URL and MALINA_KEY say where.
import assert from 'node:assert';
import { createRequire } from 'node:module';

const OpenAI = createRequire(process.env.MALINA_NODE_MODULES + '/')('openai');
const client = new OpenAI({ baseURL: process.env.MALINA_URL, apiKey: process.env.MALINA_KEY, maxRetries: 0 });
const request = { model: 'tiny', messages: [{ role: 'user', content: 'hello' }], seed: 3, max_tokens: 20 };

const whole = await client.chat.completions.create(request);
let text = '';
for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
  text += chunk.choices[0]?.delta?.content ?? '';
assert.strictEqual(text, whole.choices[0].message.content);

const embedding = await client.embeddings.create({ model: 'tiny', input: 'hello' });
assert.strictEqual(embedding.data[0].embedding.length, 64);
assert.deepStrictEqual((await client.models.list()).data.map((model) => model.id), ['tiny']);

await assert.rejects(client.chat.completions.create({ ...request, temperature: 9 }),
                     (error) => error.status === 400 && error.param === 'temperature');
await assert.rejects(client.chat.completions.create({ ...request, model: 'none' }),
                     (error) => error.status === 404 && error.code === 'model_not_found');

const stream = await client.chat.completions.create({ ...request, max_tokens: 400, stream: true });
for await (const chunk of stream) { stream.controller.abort(); break; }
console.log('all well');

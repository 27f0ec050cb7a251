// OpenAI's own client for Node against a running server: MALINA_URL and MALINA_KEY say where. MALINA_FEW is a key of
// one request and ten tokens a minute. What happens in the midst of a stream is in openai_midway.mjs.
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

const completion = { model: 'tiny', prompt: ['hello', 'hell'], seed: 3, max_tokens: 8, logprobs: 2 };
const completed = await client.completions.create(completion);
assert.deepStrictEqual(completed.choices.map((choice) => choice.index), [0, 1]);
assert.strictEqual(completed.choices[0].logprobs.tokens.length, completed.choices[0].logprobs.token_logprobs.length);
const texts = ['', ''];
for await (const chunk of await client.completions.create({ ...completion, stream: true }))
  for (const choice of chunk.choices) texts[choice.index] += choice.text;
assert.deepStrictEqual(texts, completed.choices.map((choice) => choice.text));

const embedding = await client.embeddings.create({ model: 'tiny', input: 'hello' });
assert.strictEqual(embedding.data[0].embedding.length, 64);
assert.deepStrictEqual((await client.models.list()).data.map((model) => model.id), ['tiny']);
assert.strictEqual((await client.models.retrieve('tiny')).id, 'tiny');

await assert.rejects(client.chat.completions.create({ ...request, temperature: 9 }),
                     (error) => error.status === 400 && error.param === 'temperature');
await assert.rejects(client.chat.completions.create({ ...request, model: 'none' }),
                     (error) => error.status === 404 && error.code === 'model_not_found');

await assert.rejects(client.models.retrieve('none'), OpenAI.NotFoundError);
await assert.rejects(new OpenAI({ baseURL: process.env.MALINA_URL, apiKey: 'wrong', maxRetries: 0 }).models.list(),
                     (error) => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key');
const few = new OpenAI({ baseURL: process.env.MALINA_URL, apiKey: process.env.MALINA_FEW, maxRetries: 0 });
await assert.rejects(few.completions.create({ model: 'tiny', prompt: 'x', max_tokens: 100 }),
                     (error) => error instanceof OpenAI.RateLimitError && error.code === 'insufficient_quota' &&
                                error.headers.get('x-should-retry') === 'false');
const short = { model: 'tiny', prompt: 'x', max_tokens: 1 };
await few.completions.create(short);
await assert.rejects(few.completions.create(short),
                     (error) => error.status === 429 && error.code === 'rate_limit_exceeded' &&
                                Number(error.headers.get('retry-after')) >= 1);

const fruits = ['apple pie', 'banana split', 'cherry tart'];
const rows = Array.from({ length: 120 }, (_, i) =>
  `order ${(i * 7) % 100} of ${fruits[i % 3]} to table ${i % 13},fruit${i % 3}\n`);
const file = await client.files.create({
  file: await OpenAI.toFile(Buffer.from('text,label\n' + rows.join('')), 'train.csv'), purpose: 'fine-tune' });
const created = await client.fineTuning.jobs.create({
  model: 'tiny', training_file: file.id, suffix: 'node',
  method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 1 } } } });
let job = created;
for (let i = 0; i < 600 && job.status !== 'succeeded'; i++) {
  assert.notStrictEqual(job.status, 'failed', JSON.stringify(job));
  await new Promise((resolve) => setTimeout(resolve, 100));
  job = await client.fineTuning.jobs.retrieve(created.id);
}
assert.strictEqual(job.fine_tuned_model, 'tiny:node');
const events = [];
for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 3 })) events.push(event.message);
assert.strictEqual(events.at(-1), `Created fine-tuning job: ${job.id}`);
const checkpoints = await client.fineTuning.jobs.checkpoints.list(job.id);
assert.strictEqual(checkpoints.data[0].fine_tuned_model_checkpoint, 'tiny:node');
const insistent = client.withOptions({ maxRetries: 2 });  // of itself it repeats a 409
await assert.rejects(insistent.fineTuning.jobs.cancel(job.id),
                     (error) => error instanceof OpenAI.ConflictError && error.headers.get('x-should-retry') === 'false');
assert.strictEqual((await client.files.delete(file.id)).deleted, true);

console.log(`all well, job ${job.id}`);

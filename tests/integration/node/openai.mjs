// The OpenAI Node SDK, unmodified, on its own dialect.
import OpenAI, { AzureOpenAI } from 'openai'
import { TEXT, assert, base, errorOf, key, play } from './lib.mjs'

const client = new OpenAI({ baseURL: base + '/v1', apiKey: key, maxRetries: 0, timeout: 20000 })
const messages = [{ role: 'user', content: 'Say something.' }]
const tools = [
  {
    type: 'function',
    function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
]

await play({
  async chat_plain() {
    const done = await client.chat.completions.create({ model: 'gpt-pub', messages })
    assert.equal(done.model, 'gpt-pub')
    assert.equal(done.choices[0].message.content, TEXT)
    assert.equal(done.usage.total_tokens, 34)
  },
  async chat_stream() {
    let text = ''
    for await (const c of await client.chat.completions.create({ model: 'gpt-pub', messages, stream: true })) {
      assert.equal(c.model, 'gpt-pub')
      assert.ok(c.usage == null && c.choices.length)
      text += c.choices[0].delta.content ?? ''
    }
    assert.equal(text, TEXT)
  },
  async chat_stream_usage() {
    let last
    for await (const c of await client.chat.completions.create({
      model: 'gpt-pub', messages, stream: true, stream_options: { include_usage: true },
    })) last = c
    assert.deepEqual(last.choices, [])
    assert.equal(last.usage.total_tokens, 34)
  },
  async chat_stream_helper() {
    const stream = client.chat.completions.stream({ model: 'gpt-pub', messages, n: 2 })
    const done = await stream.finalChatCompletion()
    assert.deepEqual(done.choices.map((c) => c.message.content), [TEXT, TEXT])
    assert.equal(done.model, 'gpt-pub')
  },
  async chat_tools() {
    const stream = client.chat.completions.stream({ model: 'gpt-pub', messages, tools })
    const { message } = (await stream.finalChatCompletion()).choices[0]
    assert.equal(message.tool_calls[0].function.arguments, '{"city": "Zürich"}')
    const done = await client.chat.completions.create({
      model: 'gpt-pub', tools,
      messages: [...messages, message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '12 °C' }],
    })
    assert.equal(done.choices[0].message.content, 'The tool said 12 °C')
  },
  async chat_image() {
    const url = 'data:image/png;base64,' + 'A'.repeat(4096)
    const done = await client.chat.completions.create({
      model: 'gpt-pub', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    })
    assert.equal(done.choices[0].message.content, `I see 1 image(s) of ${url.length} characters`)
  },
  async errors() {
    const kinds = {
      400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 403: OpenAI.PermissionDeniedError,
      404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError, 500: OpenAI.InternalServerError,
    }
    for (const [status, kind] of Object.entries(kinds))
      for (const stream of [false, true]) {
        const e = await errorOf(client.chat.completions.create({ model: `err-${status}`, messages, stream }))
        assert.ok(e instanceof kind, `${status}: ${e.constructor.name}`)
        assert.equal(e.status, Number(status))
        assert.match(e.message, new RegExp(`upstream says ${status}`))
      }
  },
  async abort_stream() {
    const stream = await client.chat.completions.create({ model: 'slow-pub', messages, stream: true })
    let n = 0
    for await (const _ of stream) if (++n === 2) stream.controller.abort()
    assert.equal(n, 2)
  },
  async completions() {
    const done = await client.completions.create({ model: 'instruct-pub', prompt: 'Say' })
    assert.equal(done.choices[0].text, TEXT)
    let text = ''
    for await (const c of await client.completions.create({ model: 'instruct-pub', prompt: 'Say', stream: true }))
      text += c.choices[0].text
    assert.equal(text, TEXT)
  },
  async embeddings() {
    const done = await client.embeddings.create({ model: 'emb-pub', input: 'x' })
    assert.deepEqual(done.data[0].embedding, [0.25, -1.5, Math.fround(0.03), 0])
    assert.equal(done.model, 'emb-pub')
  },
  async moderations() {
    assert.equal((await client.moderations.create({ model: 'mod-pub', input: 'x' })).results[0].flagged, true)
  },
  async responses() {
    const done = await client.responses.create({ model: 'gpt-pub', input: 'Say' })
    assert.equal(done.output_text, TEXT)
    assert.equal(done.model, 'gpt-pub')
    assert.equal((await client.responses.retrieve(done.id)).id, done.id)
    assert.equal((await client.responses.inputItems.list(done.id)).data.length, 1)
    assert.equal((await client.responses.cancel(done.id)).status, 'cancelled')
    await client.responses.delete(done.id)
  },
  async responses_stream() {
    const stream = client.responses.stream({ model: 'gpt-pub', input: 'Say' })
    let n = 0
    for await (const e of stream) assert.equal(e.sequence_number, n++)
    assert.equal(n, 13)
    assert.equal((await stream.finalResponse()).output_text, TEXT)
  },
  async azure() {
    const azure = new AzureOpenAI({ endpoint: base, apiKey: key, apiVersion: '2024-10-21', maxRetries: 0 })
    const done = await azure.chat.completions.create({ model: 'azure-pub', messages })
    assert.equal(done.choices[0].message.content, TEXT)
  },
})

// The Anthropic Node SDK, unmodified, on its own dialect.
import Anthropic from '@anthropic-ai/sdk'
import { TEXT, assert, base, errorOf, key, play } from './lib.mjs'

const client = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0, timeout: 20000 })
const messages = [{ role: 'user', content: 'Say something.' }]
const ask = { model: 'claude-pub', max_tokens: 2048, messages }
const tools = [{ name: 'get_weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }]

await play({
  async plain() {
    const done = await client.messages.create(ask)
    assert.equal(done.model, 'claude-pub')
    assert.equal(done.content[0].text, TEXT)
    assert.equal(done.usage.cache_read_input_tokens, 120)
  },
  async stream() {
    const done = await client.messages.stream(ask).finalMessage()
    assert.equal(done.model, 'claude-pub')
    assert.equal(done.content[0].text, TEXT)
    assert.equal(done.usage.output_tokens, 31)
  },
  async tools() {
    const done = await client.messages.stream({ ...ask, tools }).finalMessage()
    const call = done.content.at(-1)
    assert.deepEqual(call.input, { city: 'Zürich' })
    const result = { type: 'tool_result', tool_use_id: call.id, content: '12 °C' }
    const next = await client.messages.create({
      ...ask, tools,
      messages: [...messages, { role: 'assistant', content: done.content }, { role: 'user', content: [result] }],
    })
    assert.equal(next.content[0].text, 'The tool said 12 °C')
  },
  async thinking() {
    const done = await client.messages.stream({ ...ask, thinking: { type: 'enabled', budget_tokens: 1024 } }).finalMessage()
    assert.equal(done.content[0].thinking, 'Water flows downhill.')
    assert.equal(done.content[0].signature, 'c2lnbmF0dXJl')
  },
  async errors() {
    const kinds = {
      400: Anthropic.BadRequestError, 401: Anthropic.AuthenticationError, 403: Anthropic.PermissionDeniedError,
      404: Anthropic.NotFoundError, 429: Anthropic.RateLimitError, 500: Anthropic.InternalServerError,
      529: Anthropic.InternalServerError,
    }
    for (const [status, kind] of Object.entries(kinds)) {
      const e = await errorOf(client.messages.create({ ...ask, model: `claude-err-${status}` }))
      assert.ok(e instanceof kind, `${status}: ${e.constructor.name}`)
      assert.equal(e.status, Number(status))
    }
  },
  async stream_error() {
    const e = await errorOf(client.messages.stream({ ...ask, model: 'claude-fail-pub' }).finalMessage())
    assert.match(e.message, /Overloaded/)
  },
  async abort_stream() {
    const stream = await client.messages.create({ ...ask, model: 'claude-slow-pub', stream: true })
    let n = 0
    for await (const _ of stream) if (++n === 2) stream.controller.abort()
    assert.equal(n, 2)
  },
  async count_tokens() {
    assert.equal((await client.messages.countTokens({ model: 'claude-pub', messages })).input_tokens, 14)
  },
  async x_api_key() {
    const old = new Anthropic({ baseURL: base, apiKey: null, authToken: null, maxRetries: 0,
      defaultHeaders: { 'X-Api-Key': key, Authorization: null } })
    assert.equal((await old.messages.create(ask)).content[0].text, TEXT)
  },
})

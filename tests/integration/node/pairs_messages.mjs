// The Anthropic Node SDK, unmodified, on upstreams of every API: the model of support/plans.py.
import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import * as z from 'zod/v4'
import { PERSON, PNG, STATUSES, TEXT, THOUGHT, URL_, ask, assert, base, errorOf, key, playPairs } from './lib.mjs'

const { messages, beta } = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0, timeout: 20000 })
const weather = { name: 'get_weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }
const now = { name: 'now', input_schema: { type: 'object', properties: {} } }
const Person = z.object({
  name: z.string(), age: z.number().int(), tags: z.array(z.string()), home: z.object({ city: z.string() }),
})
const kinds = {
  400: Anthropic.BadRequestError, 401: Anthropic.AuthenticationError, 404: Anthropic.NotFoundError,
  429: Anthropic.RateLimitError, 500: Anthropic.InternalServerError,
}
const asked = (model, plan) => ({ model, max_tokens: 4096, messages: ask(plan) })
const textOf = (done) => done.content.filter((b) => b.type === 'text').map((b) => b.text).join('')

// Plays the tools until the model is done.
async function loop(body, streamed) {
  for (let turn = 0; turn < 8; turn++) {
    const done = await (streamed ? messages.stream(body).finalMessage() : messages.create(body))
    const calls = done.content.filter((b) => b.type === 'tool_use')
    if (!calls.length) return done
    const results = calls.map((c) => ({ type: 'tool_result', tool_use_id: c.id, content: '12 °C' }))
    body.messages.push({ role: 'assistant', content: done.content }, { role: 'user', content: results })
  }
  assert.fail('no end')
}

await playPairs({
  async plain(model) {
    const done = await messages.create(asked(model, 'say'))
    assert.equal(done.model, model)
    assert.equal(textOf(done), TEXT)
    assert.equal(done.stop_reason, 'end_turn')
    assert.ok(done.usage.input_tokens >= 0 && done.usage.output_tokens > 0)
  },
  async stream(model) {
    let text = ''
    const types = []
    for await (const e of await messages.create({ ...asked(model, 'say'), stream: true })) {
      types.push(e.type)
      text += e.delta?.text ?? ''
    }
    assert.equal(text, TEXT)
    assert.equal(types[0], 'message_start')
    assert.equal(types.at(-1), 'message_stop')
  },
  async stream_helper(model) {
    const stream = messages.stream(asked(model, 'say'))
    let text = ''
    stream.on('text', (delta) => (text += delta))
    const done = await stream.finalMessage()
    assert.equal(text, TEXT)
    assert.equal(textOf(done), TEXT)
    assert.ok(done.usage.output_tokens > 0)
  },
  async tool_loop(model) {
    for (const streamed of [false, true])
      assert.equal(textOf(await loop({ ...asked(model, 'weather'), tools: [weather] }, streamed)), 'The tool said 12 °C')
  },
  async parallel_calls(model) {
    for (const streamed of [false, true])
      assert.equal(textOf(await loop({ ...asked(model, 'both'), tools: [weather, now] }, streamed)), '12 °C; 12 °C')
  },
  async tool_runner(model) {
    const cities = []
    const tool = betaZodTool({
      name: 'get_weather', description: 'The weather', inputSchema: z.object({ city: z.string() }),
      run: ({ city }) => (cities.push(city), '12 °C'),
    })
    const done = await beta.messages.toolRunner({ ...asked(model, 'weather'), tools: [tool] })
    assert.equal(textOf(done), 'The tool said 12 °C')
    assert.deepEqual(cities, ['Zürich'])
  },
  async images(model) {
    const content = [
      { type: 'text', text: 'plan:report' },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } },
      { type: 'image', source: { type: 'url', url: URL_ } },
    ]
    const done = await messages.create({ model, max_tokens: 1024, messages: [{ role: 'user', content }] })
    const { images } = JSON.parse(textOf(done))
    assert.equal(images[0][0], 'image/png')
    assert.deepEqual(images[1], [URL_])
  },
  async structured_output(model) {
    const body = { ...asked(model, 'person'), output_config: { format: zodOutputFormat(Person) } }
    assert.deepEqual((await messages.parse(body)).parsed_output, PERSON)
    assert.deepEqual((await messages.stream(body).finalMessage()).parsed_output, PERSON)
  },
  async thinking_in_a_tool_loop(model, upstream) {
    if (upstream === 'chat') return // does not reason
    const body = { ...asked(model, 'ponder'), tools: [weather], thinking: { type: 'enabled', budget_tokens: 2048 } }
    const done = await loop(body, true)
    assert.equal(body.messages[1].content[0].thinking, THOUGHT)
    assert.match(textOf(done), upstream === 'groq' ? /12 °C/ : /I remember: 12 °C/) // it does not want them back
  },
  async refusal(model) {
    assert.equal((await messages.stream(asked(model, 'refuse')).finalMessage()).stop_reason, 'refusal')
  },
  async errors(model) {
    for (const status of STATUSES)
      for (const stream of [false, true]) {
        const e = await errorOf(messages.create({ ...asked(model, `err-${status}`), stream }))
        assert.ok(e instanceof kinds[status], `${status}: ${e.constructor.name}`)
        assert.match(e.message, new RegExp(`upstream says ${status}`))
      }
    const e = await errorOf(messages.create(asked(model, 'err-529')))
    assert.equal(e.status, 529)
    assert.equal(e.error.error.type, 'overloaded_error')
  },
  async error_in_mid_stream(model) {
    assert.match((await errorOf(messages.stream(asked(model, 'fail')).finalMessage())).message, /Overloaded/)
  },
  async abort(model) {
    const stream = await messages.create({ ...asked(model, 'slow'), stream: true })
    let n = 0
    for await (const _ of stream) if (++n === 2) stream.controller.abort()
    assert.ok(n < 6, `${n} events`) // some had come already
  },
  async count_tokens(model) {
    assert.ok((await messages.countTokens({ model, messages: ask('say') })).input_tokens > 0)
  },
})

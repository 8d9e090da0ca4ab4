// The OpenAI Node SDK's Chat Completions, unmodified, on upstreams of every API: the model of support/plans.py.
import OpenAI from 'openai'
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod'
import * as z from 'zod/v4'
import { PERSON, PNG, REFUSAL, STATUSES, TEXT, THOUGHT, URL_, ask, assert, base, errorOf, key, playPairs } from './lib.mjs'

const client = new OpenAI({ baseURL: base + '/v1', apiKey: key, maxRetries: 0, timeout: 20000 })
const { completions } = client.chat
const weather = {
  type: 'function',
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}
const Person = z.object({
  name: z.string(), age: z.number().int(), tags: z.array(z.string()), home: z.object({ city: z.string() }),
})
const kinds = {
  400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError,
  500: OpenAI.InternalServerError,
}

await playPairs({
  async plain(model) {
    const done = await completions.create({ model, messages: ask('say') })
    assert.equal(done.model, model)
    assert.equal(done.choices[0].message.content, TEXT)
    assert.equal(done.choices[0].finish_reason, 'stop')
    assert.equal(done.usage.total_tokens, done.usage.prompt_tokens + done.usage.completion_tokens)
  },
  async stream(model) {
    let text = ''
    let last
    const more = { stream: true, stream_options: { include_usage: true } }
    for await (const c of await completions.create({ model, messages: ask('say'), ...more })) {
      text += c.choices[0]?.delta.content ?? ''
      last = c
    }
    assert.equal(text, TEXT)
    assert.deepEqual(last.choices, [])
    assert.ok(last.usage.total_tokens > 0)
  },
  async stream_helper(model) {
    const stream = completions.stream({ model, messages: ask('say') })
    let text = ''
    stream.on('content', (delta) => (text += delta))
    const done = await stream.finalChatCompletion()
    assert.equal(text, TEXT)
    assert.equal(done.choices[0].message.content, TEXT)
    assert.equal(done.model, model)
  },
  async tool_loop(model) {
    for (const streamed of [false, true]) {
      const messages = ask('weather')
      let message
      for (let turn = 0; turn < 2; turn++) {
        const body = { model, messages, tools: [weather] }
        const done = await (streamed ? completions.stream(body).finalChatCompletion() : completions.create(body))
        message = done.choices[0].message
        messages.push(message)
        for (const call of message.tool_calls ?? []) {
          assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Zürich' })
          messages.push({ role: 'tool', tool_call_id: call.id, content: '12 °C' })
        }
      }
      assert.equal(message.content, 'The tool said 12 °C')
    }
  },
  async tool_runner(model) {
    const n = []
    const tool = zodFunction({
      name: 'count', parameters: z.object({ n: z.number() }), function: (given) => (n.push(given.n), `seen ${given.n}`),
    })
    for (const stream of [false, true])
      assert.equal(
        await completions.runTools({ model, messages: ask('rounds'), tools: [tool], stream }).finalContent(),
        '{"n":0}; {"n":1}; {"n":2}',
      )
    assert.deepEqual(n, [0, 1, 2, 0, 1, 2])
  },
  async parallel_calls(model) {
    const now = { type: 'function', function: { name: 'now' } }
    const stream = completions.stream({ model, messages: ask('both'), tools: [weather, now] })
    const { message } = (await stream.finalChatCompletion()).choices[0]
    assert.deepEqual(message.tool_calls.map((c) => c.function.name), ['get_weather', 'now'])
    assert.match(message.tool_calls[0].function.arguments, /9007199254740993/)
    assert.equal(message.tool_calls[1].function.arguments, '{}')
  },
  async images(model) {
    const parts = [
      { type: 'text', text: 'plan:report' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,' + PNG } },
      { type: 'image_url', image_url: { url: URL_ } },
    ]
    const done = await completions.create({ model, messages: [{ role: 'user', content: parts }] })
    const { images } = JSON.parse(done.choices[0].message.content)
    assert.equal(images[0][0], 'image/png')
    assert.deepEqual(images[1], [URL_])
  },
  async structured_output(model) {
    const body = { model, messages: ask('person'), response_format: zodResponseFormat(Person, 'person') }
    assert.deepEqual((await completions.parse(body)).choices[0].message.parsed, PERSON)
    const done = await completions.stream(body).finalChatCompletion()
    assert.deepEqual(done.choices[0].message.parsed, PERSON)
  },
  async refusal(model) {
    const { message } = (await completions.stream({ model, messages: ask('refuse') }).finalChatCompletion()).choices[0]
    assert.equal(message.refusal, REFUSAL)
    assert.ok(!message.content)
  },
  // This accumulator overwrites members it does not know; what comes out of it must still be taken back.
  async reasoning_in_a_tool_loop(model, upstream) {
    if (upstream === 'chat') return // does not reason
    const now = { type: 'function', function: { name: 'now' } }
    const messages = ask('muse')
    let thought = ''
    for (const _ of [1, 2]) {
      const stream = completions.stream({ model, messages, tools: [weather, now], reasoning_effort: 'low' })
      stream.on('chunk', (c) => (thought += c.choices[0]?.delta.reasoning_content ?? ''))
      const { message } = (await stream.finalChatCompletion()).choices[0]
      messages.push(message)
      for (const call of message.tool_calls ?? []) messages.push({ role: 'tool', tool_call_id: call.id, content: 'yes' })
    }
    assert.ok(thought.startsWith(THOUGHT))
    assert.equal(messages.at(-1).content, '2 thoughts, 2 results')
  },
  async errors(model) {
    for (const status of STATUSES)
      for (const stream of [false, true]) {
        const e = await errorOf(completions.create({ model, messages: ask(`err-${status}`), stream }))
        assert.ok(e instanceof kinds[status], `${status}: ${e.constructor.name}`)
        assert.match(e.message, new RegExp(`upstream says ${status}`))
      }
    const e = await errorOf(completions.create({ model, messages: ask('err-529') }))
    assert.ok(e instanceof OpenAI.InternalServerError)
  },
  async error_in_mid_stream(model) {
    let text = ''
    const e = await errorOf(
      (async () => {
        for await (const c of await completions.create({ model, messages: ask('fail'), stream: true }))
          text += c.choices[0]?.delta.content ?? ''
      })(),
    )
    assert.ok(e instanceof OpenAI.APIError)
    assert.match(e.message, /Overloaded/)
    assert.equal(text, TEXT)
    assert.match((await errorOf(completions.stream({ model, messages: ask('fail') }).finalChatCompletion())).message, /Overloaded/)
  },
  async abort(model) {
    const stream = await completions.create({ model, messages: ask('slow'), stream: true })
    let n = 0
    for await (const _ of stream) if (++n === 2) stream.controller.abort()
    assert.ok(n < 6, `${n} events`) // some had come already
  },
})

// The OpenAI Node SDK's Responses, unmodified, on upstreams of every API: the model of support/plans.py.
import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { toResponseInputItems } from 'openai/lib/responses/ResponseInputItems'
import * as z from 'zod/v4'
import { PERSON, PNG, REFUSAL, STATUSES, TEXT, URL_, assert, base, errorOf, key, playPairs } from './lib.mjs'

const { responses } = new OpenAI({ baseURL: base + '/v1', apiKey: key, maxRetries: 0, timeout: 20000 })
const weather = {
  type: 'function', name: 'get_weather', strict: false,
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
}
const now = { ...weather, name: 'now', parameters: { type: 'object', properties: {} } }
const Person = z.object({
  name: z.string(), age: z.number().int(), tags: z.array(z.string()), home: z.object({ city: z.string() }),
})
const kinds = {
  400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 404: OpenAI.NotFoundError, 429: OpenAI.RateLimitError,
  500: OpenAI.InternalServerError,
}
const respond = (body, streamed) => (streamed ? responses.stream(body).finalResponse() : responses.create(body))

// Plays the tools until the model is done: by previous_response_id, or with the whole history each time.
async function loop(body, chained, streamed) {
  for (let turn = 0; turn < 8; turn++) {
    const done = await respond(body, streamed)
    const calls = done.output.filter((i) => i.type === 'function_call')
    if (!calls.length) return done
    const outputs = calls.map((c) => ({ type: 'function_call_output', call_id: c.call_id, output: '12 °C' }))
    if (chained) body = { ...body, input: outputs, previous_response_id: done.id }
    else body = { ...body, input: [...body.input, ...toResponseInputItems(done.output), ...outputs] }
  }
  assert.fail('no end')
}

await playPairs({
  async plain(model) {
    const done = await responses.create({ model, input: 'plan:say' })
    assert.equal(done.model, model)
    assert.equal(done.status, 'completed')
    assert.equal(done.output_text, TEXT)
    assert.ok(done.usage.total_tokens > 0)
  },
  async stream(model) {
    const stream = responses.stream({ model, input: 'plan:say' })
    let n = 0
    let text = ''
    for await (const e of stream) {
      assert.equal(e.sequence_number, n++)
      if (e.type === 'response.output_text.delta') text += e.delta
    }
    assert.equal(text, TEXT)
    assert.equal((await stream.finalResponse()).output_text, TEXT)
  },
  async tool_loop(model) {
    for (const chained of [false, true])
      for (const streamed of [false, true]) {
        const body = { model, input: [{ role: 'user', content: 'plan:weather' }], tools: [weather] }
        assert.equal((await loop(body, chained, streamed)).output_text, 'The tool said 12 °C')
      }
  },
  async parallel_calls(model) {
    for (const chained of [false, true]) {
      const body = { model, input: [{ role: 'user', content: 'plan:both' }], tools: [weather, now] }
      assert.equal((await loop(body, chained, true)).output_text, '12 °C; 12 °C')
    }
  },
  async images(model) {
    const content = [
      { type: 'input_text', text: 'plan:report' },
      { type: 'input_image', image_url: 'data:image/png;base64,' + PNG, detail: 'auto' },
      { type: 'input_image', image_url: URL_, detail: 'auto' },
    ]
    const { images } = JSON.parse((await responses.create({ model, input: [{ role: 'user', content }] })).output_text)
    assert.equal(images[0][0], 'image/png')
    assert.deepEqual(images[1], [URL_])
  },
  async structured_output(model) {
    const body = { model, input: 'plan:person', text: { format: zodTextFormat(Person, 'person') } }
    assert.deepEqual((await responses.parse(body)).output_parsed, PERSON)
    assert.deepEqual((await responses.stream(body).finalResponse()).output_parsed, PERSON)
  },
  async reasoning_kept_by_the_client(model, upstream) {
    if (upstream === 'groq') return // does not reason
    const body = {
      model, input: [{ role: 'user', content: 'plan:ponder' }], tools: [weather], reasoning: { effort: 'low' }, store: false,
      include: ['reasoning.encrypted_content'],
    }
    for (const streamed of [false, true])
      assert.equal((await loop(body, false, streamed)).output_text, 'I remember: 12 °C')
  },
  async refusal(model) {
    const done = await responses.create({ model, input: 'plan:refuse' })
    assert.equal(done.output.flatMap((i) => i.content).find((p) => p.type === 'refusal').refusal, REFUSAL)
  },
  async conversation(model) {
    const first = await responses.create({ model, input: 'plan:say' })
    const second = await responses.create({ model, input: 'plan:report', previous_response_id: first.id })
    assert.deepEqual(JSON.parse(second.output_text).roles, ['user', 'assistant', 'user'])
    assert.equal((await responses.retrieve(first.id)).output_text, TEXT)
    const items = await responses.inputItems.list(first.id)
    assert.equal(items.data[0].content[0].text, 'plan:say')
    await responses.delete(first.id)
    assert.ok((await errorOf(responses.retrieve(first.id))) instanceof OpenAI.NotFoundError)
  },
  async errors(model) {
    for (const status of STATUSES)
      for (const stream of [false, true]) {
        const e = await errorOf(responses.create({ model, input: `plan:err-${status}`, stream }))
        assert.ok(e instanceof kinds[status], `${status}: ${e.constructor.name}`)
        assert.match(e.message, new RegExp(`upstream says ${status}`))
      }
  },
  async failure_in_mid_stream(model) {
    let last
    for await (const e of await responses.create({ model, input: 'plan:fail', stream: true })) last = e
    assert.equal(last.type, 'response.failed')
    assert.match(last.response.error.message, /Overloaded/)
  },
  async abort(model) {
    const stream = await responses.create({ model, input: 'plan:slow', stream: true })
    let n = 0
    for await (const _ of stream) if (++n === 2) stream.controller.abort()
    assert.ok(n < 6, `${n} events`) // some had come already
  },
})

// Plays named scenarios and prints {name: result or {error}} as one line of JSON.
// usage: node FILE.mjs BASE_URL KEY
import assert from 'node:assert/strict'

export const [, , base, key] = process.argv

export async function play(scenarios) {
  const results = {}
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      results[name] = { ok: (await scenario()) ?? true }
    } catch (e) {
      results[name] = { error: `${e.constructor.name}: ${e.message}`, stack: e.stack }
    }
  }
  console.log(JSON.stringify(results))
}

// The error a promise ends with.
export async function errorOf(promise) {
  try {
    await promise
  } catch (e) {
    return e
  }
  assert.fail('no error')
}

export { assert }

// Every scenario on every upstream: {"NAME UPSTREAM": result}. A scenario is given the model's name and the upstream's.
export async function playPairs(scenarios) {
  const each = {}
  for (const [upstream, model] of Object.entries(JSON.parse(process.argv[4])))
    for (const [name, scenario] of Object.entries(scenarios)) each[`${name} ${upstream}`] = () => scenario(model, upstream)
  await play(each)
}

export const TEXT = 'Grüße vom Wehr 🌊, said the upstream.'
export const THOUGHT = 'Water flows downhill.'
export const REFUSAL = 'I cannot help with that.'
export const PERSON = { name: 'Ada', age: 36, tags: ['math', 'engine'], home: { city: 'London' } }
export const PNG = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(64, 7)]).toString('base64')
export const URL_ = 'https://images.example/wehr.png'
export const STATUSES = [400, 401, 404, 429, 500]

export const ask = (plan) => [{ role: 'user', content: `plan:${plan} please` }]

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

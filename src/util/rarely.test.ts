import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rarely } from './rarely.ts'

test('it is due at once, and then again only when the interval is over', () => {
  let nowMs = 50
  const rarely = new Rarely(100, () => nowMs)
  const asked = [50, 50, 149, 150, 151, 249, 1000].map((ms) => {
    nowMs = ms
    return rarely.due()
  })
  assert.deepEqual(asked, [true, false, false, true, false, false, true])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeOf, isTimeout, pauseOf, within } from './server-failure.ts'

const NOW_MS = 1_700_000_000_000

function pauseFor(value: string | null): number {
  return pauseOf({ status: 503, headers: { get: () => value }, body: new Uint8Array() }, NOW_MS)
}

test('Retry-After counts as seconds or as a date, is bounded, and anything else is no pause', () => {
  assert.equal(pauseFor('7'), 7)
  assert.equal(pauseFor(new Date(NOW_MS + 9000).toUTCString()), 9)
  assert.equal(pauseFor('86400'), 30)
  assert.equal(pauseFor(new Date(NOW_MS - 9000).toUTCString()), 0)
  for (const value of [null, '', '-1', '1.5', 'soon']) assert.equal(pauseFor(value), 0)
})

test('an error is named by the code at its bottom, never by its message', () => {
  const low = Object.assign(new Error('secret-token refused'), { code: 'ECONNREFUSED' })
  assert.equal(codeOf(new Error('secret-token', { cause: low })), 'ECONNREFUSED')
  assert.equal(codeOf(new TypeError('secret-token')), 'TypeError')
  assert.equal(codeOf('secret-token'), 'unknown')
})

test('a call that takes too long ends as a timeout, one in time as it would', async () => {
  await assert.rejects(within(1, new Promise(() => undefined)), (error) => isTimeout(error))
  assert.equal(await within(10_000, Promise.resolve(1)), 1)
  await assert.rejects(within(10_000, Promise.reject(new Error('own'))), /own/)
  assert.equal(isTimeout(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })), false)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createConsumerDirectory } from '../entities/consumer-directory.ts'
import { type ConsumerMapping, mapConsumer } from './consumer-mapping.ts'

const consumers = createConsumerDirectory([
  { id: 'i1', username: 'alex', custom_id: 'x-1', tags: null },
  { id: 'i2', username: 'x-1', custom_id: '42', tags: null },
  { id: 'i3', username: 'Sam', custom_id: null, tags: null },
  { id: 'i4', username: 'sam', custom_id: null, tags: null },
])
const BASE: ConsumerMapping = {
  claims: [['sub']],
  by: ['username'],
  ignoreUsernameCase: false,
  accepts: new Set(['string']),
  optional: true,
}
const idFor = (sub: string | number | null, more: Partial<ConsumerMapping> = {}) =>
  mapConsumer([{ sub }], { ...BASE, ...more }, consumers)?.id

test('the comparison is exact, unless case is to be ignored and the match is the only one', () => {
  assert.equal(idFor('alex'), 'i1')
  assert.equal(idFor('ALEX'), undefined)
  assert.equal(idFor('ALEX', { ignoreUsernameCase: true }), 'i1')
  assert.equal(idFor('SAM', { ignoreUsernameCase: true }), undefined)
})

test('keys are tried in their order', () => {
  assert.equal(idFor('x-1', { by: ['username', 'custom_id'] }), 'i2')
  assert.equal(idFor('x-1', { by: ['custom_id'] }), 'i1')
  assert.equal(idFor('i3', { by: ['id', 'username'] }), 'i3')
})

test('an empty or foreign value names nobody; numbers only where they may', () => {
  assert.equal(idFor(''), undefined)
  assert.equal(idFor(null), undefined)
  assert.equal(idFor(42, { by: ['custom_id'] }), undefined)
  assert.equal(idFor(42, { by: ['custom_id'], accepts: new Set(['string', 'number']) }), 'i2')
})

test('the first path that names a consumer decides', () => {
  const mapping = { ...BASE, claims: [['a'], ['b'], ['c']] }
  assert.equal(mapConsumer([{ b: 'nobody', c: 'alex' }], mapping, consumers)?.id, 'i1')
  assert.equal(mapConsumer([{}], mapping, consumers), null)
})

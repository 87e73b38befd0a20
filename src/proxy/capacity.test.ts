import assert from 'node:assert/strict'
import { test } from 'node:test'
import { automaticLimit, Capacity } from './capacity.ts'

test('as many requests have a place as the limit says, and each gives its own back', () => {
  const told: number[] = []
  const capacity = new Capacity(2, (total) => told.push(total))
  assert.deepEqual([capacity.enterRequest(), capacity.enterRequest(), capacity.enterRequest()], [true, true, false])
  capacity.leaveRequest()
  assert.equal(capacity.enterRequest(), true)
  assert.equal(capacity.enterRequest(), false)
  assert.equal(capacity.turnedAway, 2)
  assert.deepEqual(told, [1])
})

test('the answers to those that are turned away are a part of the limit', () => {
  const capacity = new Capacity(1000, () => {})
  let answers = 0
  while (capacity.takeAnswer()) answers++
  assert.equal(answers, 125)
  assert.equal(capacity.reserve, 125)
})

test('the automatic limit is Kong’s, less where few files may be open', () => {
  assert.deepEqual([null, 1_048_576, 1024, 10].map(automaticLimit), [16_384, 16_384, 480, 1])
})

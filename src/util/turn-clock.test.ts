import assert from 'node:assert/strict'
import { test } from 'node:test'
import { turnMonotonicMs, turnMs } from './turn-clock.ts'

/** Keeps the event loop from its next turn for a while. */
function block(ms: number): void {
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}

const nextTurn = () => new Promise((resolve) => setImmediate(() => setTimeout(resolve, 0)))

test('within a turn of the event loop the time stands still, however long it takes', () => {
  const [epoch, monotonic] = [turnMs(), turnMonotonicMs()]
  block(5)
  assert.deepEqual([turnMs(), turnMonotonicMs()], [epoch, monotonic])
})

test('the next turn has the time of the system', async () => {
  const [epoch, monotonic] = [turnMs(), turnMonotonicMs()]
  block(5)
  await nextTurn()
  const [before, monotonicBefore] = [Date.now(), performance.now()]
  assert.ok(turnMs() >= epoch + 4 && turnMs() >= before - 1, `${turnMs()} after ${epoch}, ${before}`)
  assert.ok(turnMonotonicMs() >= monotonic + 5 && turnMonotonicMs() >= monotonicBefore - 1)
})

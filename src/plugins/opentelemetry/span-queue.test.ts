import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { recordingLog } from '../../../test/support/fake-context.ts'
import { type QueueSettings, SpanQueue } from './span-queue.ts'

const SETTINGS: QueueSettings = {
  max_batch_size: 2,
  max_coalescing_delay: 3600,
  max_entries: 10,
  max_bytes: null,
  max_retry_time: 60,
  initial_retry_delay: 0.001,
  max_retry_delay: 0.002,
  concurrency_limit: 1,
}

/** A queue of texts, each as heavy as it is long; `held` deliveries wait for `release`. */
function setUp(change: Partial<QueueSettings> = {}, failures = 0, held = false) {
  const batches: string[][] = []
  const waiting: (() => void)[] = []
  const logged = recordingLog()
  const queue = new SpanQueue<string>({
    settings: { ...SETTINGS, ...change },
    async send(batch) {
      batches.push([...batch])
      if (held) await new Promise<void>((resolve) => waiting.push(resolve))
      if (failures-- > 0) throw new Error('refused')
    },
    weigh: (item) => item.length,
    log: logged.log,
    about: {},
  })
  const release = (): void => waiting.shift()?.()
  return { queue, batches, logged, release }
}

test('a full batch goes at once, what is left when the queue is closed', async () => {
  const { queue, batches } = setUp()
  for (const item of ['a', 'b', 'c']) queue.enqueue(item)
  assert.deepEqual(batches, [['a', 'b']])
  await queue.close()
  assert.deepEqual(batches, [['a', 'b'], ['c']])
  queue.enqueue('late')
  await queue.close()
  assert.equal(batches.length, 2)
})

test('an item waits for others for a time only', () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const { queue, batches } = setUp({ max_coalescing_delay: 2 })
    queue.enqueue('a')
    mock.timers.tick(1999)
    assert.deepEqual(batches, [])
    mock.timers.tick(1)
    assert.deepEqual(batches, [['a']])
  } finally {
    mock.timers.reset()
  }
})

test('one batch is on its way at a time, or as many as there are', async () => {
  const one = setUp({}, 0, true)
  for (const item of ['a', 'b', 'c', 'd']) one.queue.enqueue(item)
  assert.equal(one.batches.length, 1)
  one.release()
  await turn()
  assert.equal(one.batches.length, 2)
  const many = setUp({ concurrency_limit: -1 }, 0, true)
  for (const item of ['a', 'b', 'c', 'd']) many.queue.enqueue(item)
  assert.equal(many.batches.length, 2)
})

test('beyond the bounds in number and bytes the oldest goes, and the log says so once', async () => {
  const number = setUp({ max_entries: 2 }, 0, true)
  for (const item of ['a', 'b', 'c', 'd', 'e', 'f']) number.queue.enqueue(item)
  number.release()
  await turn()
  assert.deepEqual(number.batches, [
    ['a', 'b'],
    ['e', 'f'],
  ])
  assert.deepEqual(
    number.logged.lines.map(({ message, members }) => [message, members['entries']]),
    [
      ['queue is full, the oldest entries are dropped', undefined],
      ['entries were dropped because the queue was full', 2],
    ],
  )
  const bytes = setUp({ max_bytes: 5, max_batch_size: 100 })
  for (const item of ['aaa', 'bb', 'c', 'too long']) bytes.queue.enqueue(item)
  await bytes.queue.close()
  assert.deepEqual(bytes.batches, [['bb', 'c']])
})

test('what fails is tried again until its time is over; then it is dropped and logged', async () => {
  const again = setUp({}, 2)
  again.queue.enqueue('a')
  again.queue.enqueue('b')
  while (again.batches.length < 3) await turn()
  assert.deepEqual(again.batches, [
    ['a', 'b'],
    ['a', 'b'],
    ['a', 'b'],
  ])
  assert.deepEqual(
    again.logged.lines.map(({ level }) => level),
    ['warn', 'warn'],
  )
  const never = setUp({ max_retry_time: 0 }, 1)
  never.queue.enqueue('a')
  never.queue.enqueue('b')
  while (never.logged.lines.length === 0) await turn()
  assert.equal(never.batches.length, 1)
  assert.equal(never.logged.lines[0]?.level, 'error')
  assert.equal(never.logged.lines[0]?.members['reason'], 'refused')
})

test('a queue that is closed while it waits to try again tries once more and ends', async () => {
  const { queue, batches } = setUp({ initial_retry_delay: 3600, max_retry_delay: 3600, max_retry_time: 1e9 }, 5)
  queue.enqueue('a')
  queue.enqueue('b')
  await turn()
  await queue.close()
  assert.equal(batches.length, 2)
})

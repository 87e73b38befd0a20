import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { recordingLog } from '../../test/support/fake-context.ts'
import { Queue, type QueueClock, type QueueLimits, Queues } from './queue.ts'

const LIMITS: QueueLimits = {
  maxBatchSize: 1,
  maxCoalescingDelayMs: 1000,
  maxEntries: 10_000,
  maxBytes: 1_000_000,
  maxRetryTimeMs: 60_000,
  initialRetryDelayMs: 10,
  maxRetryDelayMs: 60_000,
  concurrency: 1,
}

/** Time that stands still until a test moves it. */
class VirtualClock implements QueueClock {
  nowMs = 0
  readonly #due = new Set<{ readonly atMs: number; readonly act: () => void }>()

  now(): number {
    return this.nowMs
  }

  after(delayMs: number, act: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, act }
    this.#due.add(timer)
    return () => void this.#due.delete(timer)
  }

  get timers(): number {
    return this.#due.size
  }

  /** Moves on, stopping at each timer until everything that follows from it has happened. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    await settled()
    for (;;) {
      const next = [...this.#due].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#due.delete(next)
      this.nowMs = next.atMs
      next.act()
      await settled()
    }
    this.nowMs = endMs
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A server that answers when it is told to. */
function setUp(change: Partial<QueueLimits> = {}) {
  const clock = new VirtualClock()
  const logged = recordingLog()
  const calls: { readonly atMs: number; readonly batch: readonly string[] }[] = []
  const server = { mode: 'good' as 'good' | 'bad' | 'silent', answer: [] as (() => void)[] }
  const make = () =>
    new Queue<string>({
      entries: 'log entries',
      plugin: 'p',
      server: 'http://logs',
      limits: { ...LIMITS, ...change },
      log: logged.log,
      clock,
      send: async (batch) => {
        calls.push({ atMs: clock.nowMs, batch })
        if (server.mode === 'bad') throw new Error('down')
        if (server.mode === 'silent') await new Promise<void>((resolve) => server.answer.push(resolve))
      },
    })
  const queue = make()
  const add = (...entries: string[]): void => {
    for (const entry of entries) queue.add(entry, entry.length)
  }
  return { clock, logged, calls, server, queue, add, make, batches: () => calls.map(({ batch }) => batch.join('')) }
}

describe('batches', () => {
  test('with a batch size of one each entry goes out at once, in order, one after the other', async () => {
    const { clock, add, batches, server } = setUp()
    server.mode = 'silent'
    add('a', 'b', 'c')
    await clock.pass(0)
    assert.deepEqual(batches(), ['a'])
    server.answer.shift()?.()
    await clock.pass(0)
    assert.deepEqual(batches(), ['a', 'b'])
  })

  test('a full batch does not wait', async () => {
    const { clock, add, batches, queue } = setUp({ maxBatchSize: 3 })
    add('a', 'b', 'c', 'd')
    await clock.pass(0)
    assert.deepEqual(batches(), ['abc'])
    assert.equal(queue.size, 1)
  })

  test('an incomplete batch goes out when its first entry has waited for max_coalescing_delay', async () => {
    const { clock, add, calls } = setUp({ maxBatchSize: 3 })
    add('a')
    await clock.pass(600)
    add('b')
    await clock.pass(399)
    assert.deepEqual(calls, [])
    await clock.pass(1)
    assert.deepEqual(calls, [{ atMs: 1000, batch: ['a', 'b'] }])
    await clock.pass(10_000)
    assert.equal(calls.length, 1)
  })

  test('what came while a batch was under way longer than the delay goes out right after it', async () => {
    const { clock, add, batches, server } = setUp({ maxBatchSize: 2 })
    server.mode = 'silent'
    add('a', 'b', 'c')
    await clock.pass(2000)
    assert.deepEqual(batches(), ['ab'])
    server.answer.shift()?.()
    await clock.pass(0)
    assert.deepEqual(batches(), ['ab', 'c'])
  })

  test('without a limit of concurrency, batches go out side by side up to the bound', async () => {
    const { clock, add, batches, server, queue } = setUp({ concurrency: 2 })
    server.mode = 'silent'
    add('a', 'b', 'c')
    await clock.pass(0)
    assert.deepEqual(batches(), ['a', 'b'])
    assert.equal(queue.size, 1)
  })

  test('an idle queue has no timer', async () => {
    const { clock, add, queue } = setUp({ maxBatchSize: 3 })
    add('a', 'b', 'c')
    await clock.pass(5000)
    assert.equal(clock.timers, 0)
    assert.equal(queue.isIdle, true)
    assert.equal(queue.bytes, 0)
  })
})

describe('failures', () => {
  test('a batch is tried again after pauses that double up to the longest', async () => {
    const { clock, add, calls, server } = setUp({ maxRetryDelayMs: 50 })
    server.mode = 'bad'
    add('a')
    await clock.pass(200)
    assert.deepEqual(
      calls.map(({ atMs }) => atMs),
      [0, 10, 30, 70, 120, 170],
    )
  })

  test('after max_retry_time a batch is lost and the next one has its turn', async () => {
    const { clock, add, calls, server, queue, logged } = setUp({ maxRetryTimeMs: 100, maxRetryDelayMs: 50 })
    server.mode = 'bad'
    add('a', 'b')
    await clock.pass(100)
    assert.equal(queue.lost, 1)
    server.mode = 'good'
    await clock.pass(100)
    assert.deepEqual(calls.at(-1)?.batch, ['b'])
    assert.equal(queue.lost, 1)
    assert.equal(queue.isIdle, true)
    assert.equal(logged.lines[0]?.message, 'log entries could not be sent, trying again')
  })

  test('a server that comes back gets everything that waited', async () => {
    const { clock, add, batches, server } = setUp({ maxBatchSize: 10 })
    server.mode = 'bad'
    add(...'abcdefghijklm')
    await clock.pass(5000)
    server.mode = 'good'
    await clock.pass(20_000)
    assert.deepEqual(batches().slice(-2), ['abcdefghij', 'klm'])
  })

  test('losses are told once in ten seconds, with their number', async () => {
    const { clock, add, server, logged } = setUp({ maxEntries: 1 })
    server.mode = 'silent'
    add('a', 'b', 'c', 'd')
    await clock.pass(10_000)
    add('e')
    assert.deepEqual(
      logged.lines.map(({ message, members }) => [message, members['lost']]),
      [
        ['log entries are lost', 1],
        ['log entries are lost', 2],
      ],
    )
  })
})

describe('bounds', () => {
  test('one entry more than max_entries pushes out the oldest that waits', async () => {
    const { clock, add, batches, server, queue } = setUp({ maxEntries: 3 })
    server.mode = 'silent'
    add(...'abcdef')
    assert.equal(queue.size, 3)
    assert.equal(queue.lost, 2)
    for (let i = 0; i < 4; i++) {
      server.answer.shift()?.()
      await clock.pass(0)
    }
    assert.deepEqual(batches(), ['a', 'd', 'e', 'f'])
  })

  test('bytes are bounded together with what is under way', () => {
    const { add, server, queue } = setUp({ maxBytes: 10 })
    server.mode = 'silent'
    add('aaaa', 'bbbb', 'cc')
    assert.equal(queue.bytes, 10)
    add('dddd')
    assert.equal(queue.bytes, 10)
    assert.equal(queue.lost, 1)
    add('e'.repeat(7))
    assert.deepEqual([queue.bytes, queue.size, queue.lost], [4, 0, 4])
    add('f'.repeat(11))
    assert.deepEqual([queue.bytes, queue.size, queue.lost], [4, 0, 5])
  })

  test('a server that is down for long costs entries, not memory', async () => {
    const { clock, server, queue } = setUp({ maxEntries: 100, maxBatchSize: 10 })
    server.mode = 'bad'
    for (let i = 0; i < 100_000; i++) queue.add(String(i), 5)
    assert.ok(queue.size <= 100 && queue.bytes <= 550, `${queue.size} entries, ${queue.bytes} bytes`)
    await clock.pass(1_000_000)
    assert.equal(queue.isIdle, true)
    assert.equal(queue.bytes, 0)
    assert.equal(queue.lost, 100_000)
  })
})

describe('the end', () => {
  test('a flush sends at once what waits for company, or for another attempt', async () => {
    const { clock, add, batches, server, queue } = setUp({ maxBatchSize: 2, initialRetryDelayMs: 30_000 })
    server.mode = 'bad'
    add('a', 'b', 'c')
    await clock.pass(0)
    server.mode = 'good'
    const flushed = queue.flush(1000)
    await clock.pass(0)
    await flushed
    assert.deepEqual(batches(), ['ab', 'ab', 'c'])
    assert.equal(queue.isIdle, true)
  })

  test('a flush ends in time also where the server is down', async () => {
    const { clock, add, server, queue } = setUp()
    server.mode = 'bad'
    add('a')
    let done = false
    const flushed = queue.flush(1000).then(() => {
      done = true
    })
    await clock.pass(999)
    assert.equal(done, false)
    await clock.pass(1)
    await flushed
    assert.equal(queue.isIdle, false)
  })

  test('a flush of an idle queue is done', async () => {
    await setUp().queue.flush(1000)
  })
})

describe('sharing', () => {
  test('equal keys share a queue; it goes when its last user went and all is sent', async () => {
    const { make, clock, server } = setUp({ maxBatchSize: 5 })
    const queues = new Queues<string>()
    const first = queues.acquire('k', make)
    assert.equal(queues.acquire('k', make), first)
    assert.notEqual(queues.acquire('other', make), first)
    queues.release('other')
    first.add('a', 1)
    queues.release('k')
    await clock.pass(0)
    assert.equal(first.size, 1)
    server.mode = 'silent'
    queues.release('k')
    await clock.pass(0)
    assert.deepEqual([first.isIdle, queues.size], [false, 1])
    server.answer.shift()?.()
    await clock.pass(0)
    assert.deepEqual([first.isIdle, queues.size], [true, 0])
  })

  test('a queue without users gives up after max_retry_time, whatever waits', async () => {
    const { make, clock, server } = setUp({ maxRetryTimeMs: 1000 })
    const queues = new Queues<string>()
    const queue = queues.acquire('k', make)
    server.mode = 'bad'
    for (let i = 0; i < 50; i++) queue.add('a', 1)
    queues.release('k')
    await clock.pass(2000)
    assert.deepEqual([queue.isIdle, queue.lost, queues.size, clock.timers], [true, 50, 0, 0])
  })

  test('a queue that gets a new user in time goes on as before', async () => {
    const { make, clock, server, calls } = setUp({ maxBatchSize: 5, maxRetryTimeMs: 5000 })
    const queues = new Queues<string>()
    const queue = queues.acquire('k', make)
    server.mode = 'bad'
    queue.add('a', 1)
    queues.release('k')
    await clock.pass(100)
    assert.equal(queues.acquire('k', make), queue)
    server.mode = 'good'
    await clock.pass(4900)
    calls.length = 0
    queue.add('b', 1)
    await clock.pass(999)
    assert.deepEqual(calls, [])
    await clock.pass(1)
    assert.deepEqual(
      calls.map(({ batch }) => batch),
      [['b']],
    )
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cache, isRefreshDue, type Loaded } from './cache.ts'

const LIMITS = { maxEntries: 100, maxBytes: 100_000, maxNegativeEntries: 10 }

function setUp(limits: Partial<typeof LIMITS> = {}) {
  const clock = { nowMs: 1_000_000 }
  const cache = new Cache<string>({ ...LIMITS, ...limits, now: () => clock.nowMs })
  return { clock, cache, space: cache.space() }
}

function positive(
  value: string,
  expiresAtMs: number,
  more: { staleUntilMs?: number; refreshAtMs?: number; bytes?: number } = {},
): Loaded<string> {
  return { store: 'positive', value, expiresAtMs, bytes: 10, ...more }
}

/** Loads that end when the test says so. */
function scripted() {
  const calls: ReturnType<typeof Promise.withResolvers<Loaded<string>>>[] = []
  const load = () => {
    const call = Promise.withResolvers<Loaded<string>>()
    calls.push(call)
    return call.promise
  }
  return { calls, load }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a hit is a value and not a promise', async () => {
  const { space, clock } = setUp()
  await space.get('k', async () => positive('v', clock.nowMs + 1000))
  assert.equal(
    space.get('k', () => assert.fail('loaded again')),
    'v',
  )
  assert.equal(space.peek('k')?.value, 'v')
})

test('an entry ends at the time that its loader gave, however often it is read', async () => {
  const { space, clock } = setUp()
  await space.get('k', async () => positive('v', clock.nowMs + 1000))
  for (let i = 0; i < 9; i++) {
    clock.nowMs += 111
    assert.equal(space.peek('k')?.value, 'v')
  }
  clock.nowMs += 1
  assert.equal(space.peek('k'), undefined)
})

test('what is loaded with an end in the past is not stored', async () => {
  const { space, clock, cache } = setUp()
  assert.equal(await space.get('k', async () => positive('v', clock.nowMs)), 'v')
  assert.equal(cache.size.positive, 0)
})

test('a clock put back beyond the age of an entry drops it', async () => {
  const { space, clock } = setUp()
  await space.get('k', async () => positive('v', clock.nowMs + 1000))
  clock.nowMs -= 3_600_000
  assert.equal(space.peek('k'), undefined)
})

test('a thousand callers share one load', async () => {
  const { space, clock } = setUp()
  const { calls, load } = scripted()
  const waiting = Array.from({ length: 1000 }, () => space.get('k', load))
  assert.equal(calls.length, 1)
  calls[0]?.resolve(positive('v', clock.nowMs + 1000))
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['v']))
})

test('a failed load is told to those who wait and to nobody later', async () => {
  const { space, clock } = setUp()
  const { calls, load } = scripted()
  const waiting = [space.get('k', load), space.get('k', load)]
  calls[0]?.reject(new Error('down'))
  const outcomes = await Promise.allSettled(waiting)
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  const next = space.get('k', load)
  calls[1]?.resolve(positive('v', clock.nowMs + 1))
  assert.equal(await next, 'v')
})

test('an answer asked for before an invalidation is neither stored nor handed out', async () => {
  const { space, clock } = setUp()
  for (const invalidate of [() => space.invalidate('k'), () => space.invalidateAll()]) {
    const { calls, load } = scripted()
    const waiting = space.get('k', load)
    invalidate()
    calls[0]?.resolve(positive('old', clock.nowMs + 1000))
    await turn()
    assert.equal(space.peek('k'), undefined)
    assert.equal(calls.length, 2)
    calls[1]?.resolve(positive('new', clock.nowMs + 1000))
    assert.equal(await waiting, 'new')
    assert.equal(space.peek('k')?.value, 'new')
    space.invalidate('k')
  }
})

test('a load that is invalidated again and again ends, and is not stored', async () => {
  const { space, clock } = setUp()
  let loads = 0
  const value = await space.get('k', async () => {
    loads++
    space.invalidate('k')
    return positive('v', clock.nowMs + 1000)
  })
  assert.equal(value, 'v')
  assert.equal(loads, 4)
  assert.equal(space.peek('k'), undefined)
})

test('a refresh keeps the old value visible and then replaces it', async () => {
  const { space, clock } = setUp()
  await space.get('k', async () => positive('old', clock.nowMs + 1000))
  const { calls, load } = scripted()
  const refreshed = space.load('k', load)
  assert.equal(space.peek('k')?.value, 'old')
  calls[0]?.resolve(positive('new', clock.nowMs + 5000))
  await refreshed
  assert.equal(space.peek('k')?.value, 'new')
})

test('leave keeps what is stored, drop and negative end it at once', async () => {
  const { space, clock } = setUp()
  const store = () => space.load('k', async () => positive('v', clock.nowMs + 1000))
  await store()
  assert.equal(await space.load('k', async () => ({ store: 'leave', value: 'failed' })), 'failed')
  assert.equal(space.peek('k')?.value, 'v')
  await space.load('k', async () => ({ store: 'drop', value: 'gone' }))
  assert.equal(space.peek('k'), undefined)
  await store()
  await space.load('k', async () => ({ store: 'negative', value: 'no', expiresAtMs: clock.nowMs + 10, bytes: 1 }))
  assert.equal(space.peek('k')?.value, 'no')
  clock.nowMs += 10
  assert.equal(space.peek('k'), undefined)
})

test('a flood of negatives cannot push out a positive entry', async () => {
  const { space, clock, cache } = setUp()
  await space.get('good', async () => positive('v', clock.nowMs + 1000))
  for (let i = 0; i < 1000; i++) {
    await space.get(`bad${i}`, async () => ({ store: 'negative', value: 'no', expiresAtMs: clock.nowMs + 1000, bytes: 1 }))
  }
  assert.equal(space.peek('good')?.value, 'v')
  assert.equal(cache.size.negative, LIMITS.maxNegativeEntries)
})

test('entries are bounded in number and in bytes', async () => {
  const { space, clock, cache } = setUp({ maxEntries: 50, maxBytes: 1000 })
  for (let i = 0; i < 200; i++) await space.get(`k${i}`, async () => positive('v', clock.nowMs + 1000, { bytes: 1 }))
  assert.equal(cache.size.positive, 50)
  for (let i = 0; i < 200; i++) await space.get(`big${i}`, async () => positive('v', clock.nowMs + 1000, { bytes: 300 }))
  assert.equal(cache.size.positive, 3)
  assert.ok(cache.size.bytes <= 1000)
  await space.get('huge', async () => positive('v', clock.nowMs + 1000, { bytes: 5000 }))
  assert.equal(space.peek('huge'), undefined)
})

test('a stale entry is found only by who asks for one, and only as long as its loader allowed', async () => {
  const { space, clock } = setUp()
  await space.get('k', async () => positive('v', clock.nowMs + 100, { staleUntilMs: clock.nowMs + 300 }))
  clock.nowMs += 200
  assert.equal(space.peek('k'), undefined)
  assert.equal(space.stale('k'), 'v')
  clock.nowMs += 100
  assert.equal(space.stale('k'), undefined)
})

test('an invalidated entry is not found as a stale one either', async () => {
  const { space, clock } = setUp()
  const store = () => space.load('k', async () => positive('v', clock.nowMs + 100, { staleUntilMs: clock.nowMs + 300 }))
  await store()
  space.invalidate('k')
  assert.equal(space.stale('k'), undefined)
  await store()
  space.invalidateAll()
  assert.equal(space.stale('k'), undefined)
})

test('spaces share the bounds and nothing else, also under one key', async () => {
  const { cache, space, clock } = setUp()
  const other = cache.space()
  await space.get('k', async () => positive('mine', clock.nowMs + 1000))
  assert.equal(other.peek('k'), undefined)
  other.invalidate('k')
  assert.equal(space.peek('k')?.value, 'mine')
})

test('emptying a space takes nothing from another one and frees its memory', async () => {
  const { cache, space, clock } = setUp()
  const other = cache.space()
  await space.get('a', async () => positive('v', clock.nowMs + 1000))
  await other.get('b', async () => positive('w', clock.nowMs + 1000))
  space.invalidateAll()
  assert.equal(space.peek('a'), undefined)
  assert.equal(other.peek('b')?.value, 'w')
  await turn()
  assert.equal(cache.size.positive, 1)
})

test('a closed space stores no more, and loads under way are handed out', async () => {
  const { cache, space, clock } = setUp()
  const { calls, load } = scripted()
  const waiting = space.get('k', load)
  space.close()
  calls[0]?.resolve(positive('v', clock.nowMs + 1000))
  assert.equal(await waiting, 'v')
  assert.equal(calls.length, 1)
  assert.equal(cache.size.positive, 0)
})

test('invalidating everything reaches every space', async () => {
  const { cache, space, clock } = setUp()
  const other = cache.space()
  for (const each of [space, other]) await each.get('k', async () => positive('v', clock.nowMs + 1000))
  cache.invalidateAll()
  assert.equal(space.peek('k') ?? other.peek('k'), undefined)
  assert.equal(cache.size.positive, 0)
})

test('an entry is due for refresh when it was hit twice, is near its end, and nobody refreshes it yet', async () => {
  const { space, clock } = setUp()
  await space.get('k', async () => positive('v', clock.nowMs + 1000, { refreshAtMs: clock.nowMs + 900 }))
  clock.nowMs += 900
  const once = space.peek('k')
  assert.ok(once !== undefined)
  assert.equal(isRefreshDue(once, clock.nowMs), false)
  const twice = space.peek('k')
  assert.ok(twice !== undefined)
  assert.equal(isRefreshDue(twice, clock.nowMs - 1), false)
  assert.equal(isRefreshDue(twice, clock.nowMs), true)
  twice.refreshed = true
  assert.equal(isRefreshDue(twice, clock.nowMs), false)
})

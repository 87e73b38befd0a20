import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createIntrospectionCache, IntrospectionCache, lifeOf } from './introspection-cache.ts'
import type { Lifetimes } from './profile.ts'

const NOW = 1_700_000_000_000
const NEVER = Number.POSITIVE_INFINITY
const LIFE: Lifetimes = { withoutExpS: 30, minS: 0, maxS: 30, negativeS: 5, staleS: 0 }
const lives = (expInS: number, lifetimes: Partial<Lifetimes> = {}): number =>
  (lifeOf(NOW + expInS * 1000, { ...LIFE, ...lifetimes }, NOW).expiresAtMs - NOW) / 1000

test('an answer lives for its setting and never beyond exp', () => {
  assert.equal(lives(NEVER), 30)
  assert.equal(lives(3600), 30)
  assert.equal(lives(2), 2)
  assert.equal(lives(3600, { maxS: NEVER }), 3600)
  assert.equal(lives(NEVER, { withoutExpS: 3600, maxS: NEVER }), 3600)
  assert.equal(lives(3600, { maxS: 0 }), 0)
})

test('a minimum raises a life, but not beyond exp (RFC 7662 section 4)', () => {
  assert.equal(lives(NEVER, { withoutExpS: 1, minS: 10 }), 10)
  assert.equal(lives(2, { minS: 60, maxS: 600 }), 2)
})

test('no answer is fresh or stale beyond exp, whatever is set', () => {
  const seconds = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e6, noNaN: true }))
  fc.assert(
    fc.property(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      seconds,
      seconds,
      seconds,
      seconds,
      (expInS, withoutExpS, minS, maxS, staleS) => {
        const expMs = NOW + expInS * 1000
        const life = lifeOf(expMs, { withoutExpS, minS, maxS, negativeS: 5, staleS }, NOW)
        assert.ok(life.expiresAtMs <= expMs)
        assert.ok(life.staleUntilMs <= expMs)
        assert.ok(life.refreshAtMs === NEVER || (life.refreshAtMs < life.expiresAtMs && life.refreshAtMs > NOW))
      },
    ),
  )
})

test('the last tenth of a life, one to ten seconds, is for refreshing; short lives and those that exp ends are left alone', () => {
  const window = (expInS: number, maxS: number): number => {
    const { expiresAtMs, refreshAtMs } = lifeOf(NOW + expInS * 1000, { ...LIFE, withoutExpS: maxS, maxS }, NOW)
    return (expiresAtMs - refreshAtMs) / 1000
  }
  assert.equal(window(NEVER, 30), 3)
  assert.equal(window(NEVER, 10), 1)
  assert.equal(window(NEVER, 3600), 10)
  assert.equal(window(3600, 30), 3)
  assert.equal(window(NEVER, 9), -NEVER)
  assert.equal(window(20, 30), -NEVER)
})

test('a key is no token, and differs by token, fingerprint and variation', () => {
  const settings = { introspection_cache_max_entries: 1, introspection_cache_negative_max_entries: 1, introspection_cache_max_bytes: 1000 }
  const shared = createIntrospectionCache(settings, () => NOW)
  const a = new IntrospectionCache(shared.space(), 'a', LIFE, () => NOW)
  const b = new IntrospectionCache(shared.space(), 'b', LIFE, () => NOW)
  const keys = [a.keyOf('T', ''), a.keyOf('U', ''), b.keyOf('T', ''), a.keyOf('T', 'GET /a'), a.keyOf('T', 'GET /b')]
  assert.equal(new Set(keys).size, keys.length)
  for (const key of keys) assert.match(key, /^[\x00-\xff]{32}$/s)
  assert.equal(a.keyOf('T', ''), keys[0])
})

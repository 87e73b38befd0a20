import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CallGuard, CallGuards } from './call-guard.ts'

function setUp() {
  const clock = { nowMs: 1_000_000 }
  return { clock, guard: new CallGuard(() => clock.nowMs) }
}

function fail(guard: CallGuard, times: number): void {
  for (let i = 0; i < times; i++) guard.failed()
}

test('after ten failures in a row calls are refused at once, and each half second one is tried', () => {
  const { clock, guard } = setUp()
  fail(guard, 9)
  assert.equal(guard.enter(0), 'go')
  guard.failed()
  assert.equal(guard.enter(0), 'suspended')
  clock.nowMs += 500
  assert.equal(guard.enter(0), 'go')
  assert.equal(guard.enter(0), 'suspended')
  // The first probe is still waiting; the server's return is noticed all the same.
  clock.nowMs += 500
  assert.equal(guard.enter(0), 'go')
  guard.succeeded()
  assert.equal(guard.enter(0), 'go')
  assert.equal(guard.enter(0), 'go')
})

test('an answer in between starts the count anew', () => {
  const { guard } = setUp()
  fail(guard, 9)
  guard.succeeded()
  fail(guard, 9)
  assert.equal(guard.enter(0), 'go')
})

test('a pause that the server asks for is kept, but not longer than half a minute', () => {
  const { clock, guard } = setUp()
  guard.failed(3)
  assert.equal(guard.retryAfterS, 3)
  assert.equal(guard.enter(0), 'suspended')
  clock.nowMs += 3000
  assert.equal(guard.enter(0), 'go')
  guard.failed(86_400)
  assert.equal(guard.retryAfterS, 30)
  clock.nowMs += 30_000
  assert.equal(guard.enter(0), 'go')
})

test('calls at a time are bounded; the next one waits and is let in by who leaves', async () => {
  const { guard } = setUp()
  for (let i = 0; i < 256; i++) assert.equal(guard.enter(0), 'go')
  const first = guard.enter(10_000)
  const second = guard.enter(10_000)
  guard.leave()
  assert.equal(await first, 'go')
  guard.leave()
  assert.equal(await second, 'go')
})

test('who waits too long, or finds the queue full, is told so', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { guard } = setUp()
  for (let i = 0; i < 256; i++) guard.enter(0)
  const waiting = Array.from({ length: 1024 }, () => guard.enter(1000))
  assert.equal(guard.enter(1000), 'saturated')
  t.mock.timers.tick(1000)
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['saturated']))
  for (let i = 0; i < 256; i++) guard.leave()
  assert.equal(guard.enter(0), 'go')
})

test('who waits while the server goes down is not made to wait longer', async () => {
  const { guard } = setUp()
  for (let i = 0; i < 256; i++) guard.enter(0)
  const waiting = guard.enter(10_000)
  fail(guard, 10)
  assert.equal(await waiting, 'suspended')
})

test('who calls one server shares one guard, as long as anybody does', () => {
  const guards = new CallGuards(() => 0)
  const first = guards.acquire('https://as/introspect')
  assert.equal(guards.acquire('https://as/introspect'), first)
  assert.notEqual(guards.acquire('https://other/introspect'), first)
  guards.release('https://as/introspect')
  assert.equal(guards.acquire('https://as/introspect'), first)
  guards.release('https://as/introspect')
  guards.release('https://as/introspect')
  assert.notEqual(guards.acquire('https://as/introspect'), first)
})

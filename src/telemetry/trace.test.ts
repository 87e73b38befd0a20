import assert from 'node:assert/strict'
import { test } from 'node:test'
import { currentSpan, inSpan, readTraceSettings, type Span, Trace } from './trace.ts'

const ALL = readTraceSettings(['all'], 1)

const begun = (settings = ALL): Trace => new Trace(settings, 1_700_000_000_000, performance.now())

test('tracing_instrumentations: all, the request alone, a list, off', () => {
  assert.equal(readTraceSettings(['all'], 1).instrumentations.size, 7)
  assert.deepEqual([...readTraceSettings(['request'], 1).instrumentations], [])
  assert.deepEqual([...readTraceSettings(['router', 'db_query'], 1).instrumentations], ['router'])
  assert.deepEqual([readTraceSettings(['request'], 1).on, readTraceSettings([], 1).on], [true, false])
})

test('a trace that is not sampled keeps nothing, also of what was recorded before that was known', () => {
  const trace = begun()
  assert.notEqual(trace.start('router', 'kong.router', 'internal'), null)
  trace.decide(false)
  assert.equal(trace.start('balancer', 'kong.balancer', 'client'), null)
  assert.deepEqual(trace.finish(), [])
})

test('a sampled trace hands over its spans once, ended and no earlier than begun', () => {
  const trace = begun()
  const span = trace.start('router', 'kong.router', 'internal')
  trace.decide(true)
  const spans = trace.finish(0)
  assert.deepEqual(spans, [trace.root, span])
  for (const { startMs, endMs } of spans) assert.ok(endMs >= startMs && startMs > 0)
  assert.deepEqual(trace.finish(), [])
  assert.equal(trace.start('balancer', 'late', 'client'), null)
})

test('spans and values are bounded', () => {
  const trace = begun()
  for (let i = 0; i < 1000; i++) trace.start('http_client', 'kong.internal.request', 'client')
  trace.root.set('http.url', 'x'.repeat(100_000))
  trace.decide(true)
  assert.equal(String(trace.root.attributes['http.url']).length, 2048)
  assert.equal(trace.finish().length, 256)
})

test('what runs in a span finds it, at once and later, until its request is over', async () => {
  const trace = begun()
  assert.equal(currentSpan(), undefined)
  const later = inSpan(trace.root, async (): Promise<[Span | undefined, Span | undefined]> => {
    const first = currentSpan()
    await null
    return [first, currentSpan()]
  })
  assert.equal(currentSpan(), undefined)
  assert.deepEqual(await later, [trace.root, trace.root])
  trace.finish()
  inSpan(trace.root, () => assert.equal(currentSpan(), undefined))
})

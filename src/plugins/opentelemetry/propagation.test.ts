import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderList } from '../../http/headers.ts'
import { readTraceSettings, Trace } from '../../telemetry/trace.ts'
import type { FormatName } from './formats.ts'
import { isSampled, joinTrace, readPropagation } from './propagation.ts'
import type { Config } from './schema.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const OTHER = '1bf7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const B3 = `${TRACE}-${SPAN}-1`
const W3C = `00-${OTHER}-${SPAN}-01`

type Fields = Partial<Config['propagation']> & { header_type?: Config['header_type'] }

/** The trace of a request with these headers, and the headers that the upstream gets. */
function pass(lines: Readonly<Record<string, string>>, { header_type = 'preserve', ...fields }: Fields = {}, names = ['all'], rate = 1) {
  const propagation = readPropagation({
    header_type,
    propagation: { extract: null, clear: null, inject: null, default_format: 'w3c', ...fields },
  })
  const headers = HeaderList.fromRaw(Object.entries(lines).flat())
  const trace = new Trace(readTraceSettings(names, 0.5), 1000, 0)
  joinTrace(trace, headers, propagation, rate)
  const span = trace.startTry(headers, 'upstream', 1)
  return { trace, headers, spanId: span?.id ?? trace.root.id }
}

test('preserve: the upstream is told in the format that the client used, or in the default one', () => {
  const used = pass({ b3: B3 })
  assert.equal(used.headers.get('b3'), `${TRACE}-${used.spanId}-1-${used.trace.root.id}`)
  assert.equal(used.headers.has('traceparent'), false)
  const none = pass({})
  assert.equal(none.headers.get('traceparent'), `00-${none.trace.id}-${none.spanId}-01`)
  assert.equal(none.headers.has('b3'), false)
  const jaeger = pass({}, { default_format: 'jaeger' })
  assert.equal(jaeger.headers.get('uber-trace-id'), `${jaeger.trace.id}:${jaeger.spanId}:${jaeger.trace.root.id}:01`)
})

test('formats are looked for in the order of Kong: b3, w3c, jaeger, ot, datadog, aws, gcp, instana', () => {
  const lines: [FormatName, string, string][] = [
    ['b3-single', 'b3', B3],
    ['w3c', 'traceparent', W3C],
    ['jaeger', 'uber-trace-id', `${TRACE}:${SPAN}:0:1`],
    ['datadog', 'x-datadog-trace-id', '5'],
    ['aws', 'x-amzn-trace-id', `Root=1-${TRACE.slice(0, 8)}-${TRACE.slice(8)}`],
    ['gcp', 'x-cloud-trace-context', `${TRACE}/5`],
    ['instana', 'x-instana-l', '0'],
  ]
  for (let i = 0; i < lines.length; i++) {
    const { trace } = pass(Object.fromEntries(lines.slice(i).map(([, name, value]) => [name, value])))
    assert.deepEqual(Object.keys(trace.loggedIds ?? {}), [lines[i]?.[0]])
  }
})

test('header_type: a format adds itself to the one that the client used; ignore looks at nothing', () => {
  const both = pass({ b3: B3 }, { header_type: 'w3c' })
  assert.equal(both.headers.get('traceparent'), `00-${TRACE}-${both.spanId}-01`)
  assert.match(both.headers.get('b3') ?? '', new RegExp(`^${TRACE}-${both.spanId}-1`))
  const alone = pass({}, { header_type: 'jaeger' })
  assert.equal(alone.headers.has('uber-trace-id'), true)
  assert.equal(alone.headers.has('traceparent'), false)
  const ignored = pass({ b3: B3 }, { header_type: 'ignore' })
  assert.notEqual(ignored.trace.id, TRACE)
  assert.equal(ignored.headers.get('traceparent'), `00-${ignored.trace.id}-${ignored.spanId}-01`)
})

test('propagation takes the place of header_type: what is extracted, cleared and injected', () => {
  const chosen = pass(
    { b3: B3, traceparent: W3C },
    { header_type: 'b3', extract: ['w3c', 'b3'], clear: ['B3', 'X-Own'], inject: ['gcp', 'datadog'] },
  )
  assert.equal(chosen.trace.id, OTHER)
  assert.equal(chosen.trace.root.parentId, SPAN)
  assert.equal(chosen.headers.has('b3'), false)
  assert.equal(chosen.headers.get('traceparent'), W3C)
  assert.match(chosen.headers.get('x-cloud-trace-context') ?? '', new RegExp(`^${OTHER}/\\d+;o=1$`))
  assert.deepEqual(chosen.trace.loggedIds, { gcp: OTHER, datadog: BigInt('0x8448eb211c80319c').toString() })
  const nothing = pass({ b3: B3 }, { inject: [] })
  assert.deepEqual(nothing.headers.toRaw(), ['b3', B3])
  assert.notEqual(nothing.trace.id, TRACE)
})

test('the decision of the client counts, whatever the rate; without one the rate decides', () => {
  assert.equal(pass({ b3: B3 }, {}, ['all'], 0).trace.sampled, true)
  assert.equal(pass({ b3: `${TRACE}-${SPAN}-0` }, {}, ['all'], 1).trace.sampled, false)
  assert.equal(pass({ b3: `${TRACE}-${SPAN}` }, {}, ['all'], 1).trace.sampled, true)
  assert.equal(pass({ b3: `${TRACE}-${SPAN}` }, {}, ['all'], 0).trace.sampled, false)
  assert.equal(pass({ b3: '0' }, {}, ['all'], 1).trace.sampled, false)
  assert.equal(pass({ traceparent: 'nonsense' }, {}, ['all'], 0).trace.sampled, false)
})

test('without instrumentations nothing is recorded, and the decision of the client goes on', () => {
  const { trace, headers } = pass({ b3: B3 }, {}, [])
  assert.equal(trace.sampled, false)
  assert.equal(headers.get('b3'), `${TRACE}-${trace.root.id}-1-${SPAN}`)
  assert.deepEqual(trace.finish(), [])
})

test('each attempt tells a span of its own', () => {
  const { trace, headers, spanId } = pass({ traceparent: W3C })
  const second = trace.startTry(headers, 'upstream', 2)
  assert.notEqual(second?.id, spanId)
  assert.equal(headers.get('traceparent'), `00-${OTHER}-${second?.id}-01`)
})

test('the rate is that of the trace ids', () => {
  assert.equal(isSampled('f'.repeat(32), 1), true)
  assert.equal(isSampled('f'.repeat(32), 0.999), false)
  assert.equal(isSampled(`${'f'.repeat(19)}${'0'.repeat(13)}`, 0), false)
  assert.equal(isSampled(`${'f'.repeat(19)}4000000000000`, 0.3), true)
  assert.equal(isSampled(`${'f'.repeat(19)}5000000000000`, 0.3), false)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HeaderList } from '../../http/headers.ts'
import { type Extracted, FORMATS, type FormatName } from './formats.ts'

const LONG = '0af7651916cd43dd8448eb211c80319c'
const SHORT = '8448eb211c80319c'
const FILLED = `0000000000000000${SHORT}`
const SPAN = 'b7ad6b7169203331'
/** The same numbers in decimal digits. */
const SHORT_DECIMAL = '9532127138774266268'
const SPAN_DECIMAL = '13235353014750950193'

type Lines = Readonly<Record<string, string>>

const list = (lines: Lines): HeaderList => HeaderList.fromRaw(Object.entries(lines).flat())
const extract = (name: FormatName, lines: Lines): Extracted | null => FORMATS[name].extract(list(lines))
const ids = (found: Extracted | null) => found && [found.traceId, found.spanId, found.sampled]

const GOOD: readonly [name: FormatName, lines: Lines, traceId: string | null, spanId: string | null, sampled: boolean | null][] = [
  ['w3c', { traceparent: `00-${LONG}-${SPAN}-01` }, LONG, SPAN, true],
  ['w3c', { traceparent: `00-${LONG}-${SPAN}-00` }, LONG, SPAN, false],
  ['w3c', { traceparent: ` 00-${LONG}-${SPAN}-03 ` }, LONG, SPAN, true],
  ['w3c', { traceparent: `cc-${LONG}-${SPAN}-01-what-comes-later` }, LONG, SPAN, true],
  ['b3', { 'X-B3-TraceId': LONG, 'X-B3-SpanId': SPAN, 'X-B3-Sampled': '1' }, LONG, SPAN, true],
  ['b3', { 'X-B3-TraceId': SHORT.toUpperCase(), 'X-B3-SpanId': SPAN, 'X-B3-Sampled': 'false' }, FILLED, SPAN, false],
  ['b3', { 'X-B3-TraceId': LONG, 'X-B3-SpanId': SPAN }, LONG, SPAN, null],
  ['b3', { 'X-B3-TraceId': LONG, 'X-B3-SpanId': SPAN, 'X-B3-Flags': '1' }, LONG, SPAN, true],
  ['b3', { 'X-B3-Sampled': '0' }, null, null, false],
  ['b3', { b3: `${LONG}-${SPAN}-1` }, LONG, SPAN, true],
  ['b3-single', { b3: `${LONG}-${SPAN}` }, LONG, SPAN, null],
  ['b3-single', { b3: `${SHORT}-${SPAN}-0-05e3ac9a4f6e3b90` }, FILLED, SPAN, false],
  ['b3-single', { b3: `${LONG}-${SPAN}-d` }, LONG, SPAN, true],
  ['b3-single', { b3: '0' }, null, null, false],
  ['jaeger', { 'uber-trace-id': `${LONG}:${SPAN}:0:1` }, LONG, SPAN, true],
  ['jaeger', { 'uber-trace-id': `${LONG}%3A${SPAN}%3A0%3A0` }, LONG, SPAN, false],
  ['jaeger', { 'uber-trace-id': `ab:cd:0:3` }, 'ab'.padStart(32, '0'), 'cd'.padStart(16, '0'), true],
  ['ot', { 'ot-tracer-traceid': SHORT, 'ot-tracer-spanid': SPAN, 'ot-tracer-sampled': 'true' }, FILLED, SPAN, true],
  ['ot', { 'ot-tracer-traceid': LONG, 'ot-tracer-spanid': SPAN, 'ot-tracer-sampled': '0' }, LONG, SPAN, false],
  [
    'datadog',
    { 'x-datadog-trace-id': SHORT_DECIMAL, 'x-datadog-parent-id': SPAN_DECIMAL, 'x-datadog-sampling-priority': '2' },
    FILLED,
    SPAN,
    true,
  ],
  ['datadog', { 'x-datadog-trace-id': SHORT_DECIMAL, 'x-datadog-sampling-priority': '-1' }, FILLED, null, false],
  ['aws', { 'X-Amzn-Trace-Id': `Root=1-${LONG.slice(0, 8)}-${LONG.slice(8)};Parent=${SPAN};Sampled=1;Own=field` }, LONG, SPAN, true],
  ['aws', { 'X-Amzn-Trace-Id': `Self=x; Sampled=? ;Root=1-${LONG.slice(0, 8)}-${LONG.slice(8)}` }, LONG, null, null],
  ['gcp', { 'X-Cloud-Trace-Context': `${LONG}/${SPAN_DECIMAL};o=1` }, LONG, SPAN, true],
  ['gcp', { 'X-Cloud-Trace-Context': `${LONG}/${SPAN_DECIMAL}` }, LONG, SPAN, null],
  ['instana', { 'X-INSTANA-T': SHORT, 'X-INSTANA-S': SPAN, 'X-INSTANA-L': '1,correlationType=web' }, FILLED, SPAN, true],
  ['instana', { 'X-INSTANA-L': '0' }, null, null, false],
]

for (const [name, lines, traceId, spanId, sampled] of GOOD) {
  test(`${name}: ${JSON.stringify(lines)} is taken`, () => assert.deepEqual(ids(extract(name, lines)), [traceId, spanId, sampled]))
}

const ZERO = '0'.repeat(32)
const BAD: readonly [name: FormatName, lines: Lines][] = [
  ['w3c', {}],
  ['w3c', { traceparent: `ff-${LONG}-${SPAN}-01` }],
  ['w3c', { traceparent: `00-${LONG}-${SPAN}-01-more` }],
  ['w3c', { traceparent: `00-${ZERO}-${SPAN}-01` }],
  ['w3c', { traceparent: `00-${LONG}-${ZERO.slice(16)}-01` }],
  ['w3c', { traceparent: `00-${LONG.toUpperCase()}-${SPAN}-01` }],
  ['w3c', { traceparent: `00-${LONG}-${SPAN}-1` }],
  ['w3c', { traceparent: `00-${LONG}-${SPAN}-01`, Traceparent: `00-${LONG}-${SPAN}-01` }],
  ['b3', { 'X-B3-TraceId': LONG, 'X-B3-Sampled': '1' }],
  ['b3', { 'X-B3-TraceId': 'g'.repeat(32), 'X-B3-SpanId': SPAN, 'X-B3-Sampled': '1' }],
  ['b3-single', { b3: `${LONG}-${SPAN}-x` }],
  ['b3-single', { b3: `${LONG}-${SPAN}-1-short` }],
  ['b3-single', { b3: `${LONG}-${SPAN}-1-${SPAN}-more` }],
  ['b3-single', { b3: '' }],
  ['jaeger', { 'uber-trace-id': `${LONG}:${SPAN}:1` }],
  ['jaeger', { 'uber-trace-id': `${LONG}:${SPAN}:0:xyz` }],
  ['jaeger', { 'uber-trace-id': `${LONG}0:${SPAN}:0:1` }],
  ['ot', { 'ot-tracer-traceid': LONG }],
  ['datadog', { 'x-datadog-trace-id': '18446744073709551616' }],
  ['datadog', { 'x-datadog-trace-id': '0' }],
  ['datadog', { 'x-datadog-trace-id': '-5' }],
  ['aws', { 'X-Amzn-Trace-Id': `Root=2-${LONG.slice(0, 8)}-${LONG.slice(8)}` }],
  ['aws', { 'X-Amzn-Trace-Id': `Root=1-${LONG.slice(0, 8)}-${LONG.slice(8)};Parent=x` }],
  ['gcp', { 'X-Cloud-Trace-Context': `${LONG}/0` }],
  ['gcp', { 'X-Cloud-Trace-Context': `${LONG}/${SPAN}` }],
  ['instana', { 'X-INSTANA-T': SHORT, 'X-INSTANA-L': '1' }],
  ['instana', { 'X-INSTANA-L': '1' }],
]

for (const [name, lines] of BAD) {
  test(`${name}: ${JSON.stringify(lines)} counts as absent`, () => assert.equal(extract(name, lines), null))
}

const context = { traceId: LONG, digits: 32, spanId: SPAN, parentId: '05e3ac9a4f6e3b90', sampled: true, flags: 0, from: null } as const

const WRITTEN: Readonly<Record<FormatName, Lines>> = {
  w3c: { traceparent: `00-${LONG}-${SPAN}-01` },
  b3: { 'x-b3-traceid': LONG, 'x-b3-spanid': SPAN, 'x-b3-parentspanid': context.parentId, 'x-b3-sampled': '1' },
  'b3-single': { b3: `${LONG}-${SPAN}-1-${context.parentId}` },
  jaeger: { 'uber-trace-id': `${LONG}:${SPAN}:${context.parentId}:01` },
  ot: { 'ot-tracer-traceid': LONG, 'ot-tracer-spanid': SPAN, 'ot-tracer-sampled': '1' },
  datadog: { 'x-datadog-trace-id': SHORT_DECIMAL, 'x-datadog-parent-id': SPAN_DECIMAL, 'x-datadog-sampling-priority': '1' },
  aws: { 'x-amzn-trace-id': `Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=${SPAN};Sampled=1` },
  gcp: { 'x-cloud-trace-context': `${LONG}/${SPAN_DECIMAL};o=1` },
  instana: { 'x-instana-t': LONG, 'x-instana-s': SPAN, 'x-instana-l': '1' },
}

const names = Object.keys(FORMATS) as FormatName[]

for (const name of names) {
  test(`${name}: what is written has its form and is understood again, sampled or not`, () => {
    const headers = new HeaderList()
    FORMATS[name].inject(headers, context)
    assert.deepEqual(headers.toRaw(), Object.entries(WRITTEN[name]).flat())
    for (const sampled of [true, false]) {
      FORMATS[name].inject(headers, { ...context, sampled })
      assert.deepEqual(ids(FORMATS[name].extract(headers)), [name === 'datadog' ? FILLED : LONG, SPAN, sampled])
    }
  })

  test(`${name}: whatever a client sends is refused or becomes ids of the right form`, () => {
    const hex = fc.constantFrom(
      '0',
      '1',
      'a',
      'f',
      'F',
      LONG,
      SHORT,
      SPAN,
      ZERO,
      SHORT_DECIMAL,
      '-',
      ':',
      '%3A',
      '/',
      ';o=',
      '00',
      '1-',
      'Root=',
      ';',
      'd',
      ' ',
      '\t',
    )
    const value = fc.oneof(
      fc.array(hex, { maxLength: 9 }).map((parts) => parts.join('')),
      fc.string({ maxLength: 80 }),
    )
    const headerNames = Object.keys(WRITTEN[name])
    fc.assert(
      fc.property(fc.tuple(...headerNames.map(() => fc.option(value, { nil: undefined }))), (values) => {
        const headers = new HeaderList()
        values.forEach((text, index) => {
          if (text !== undefined) headers.add(headerNames[index] as string, text)
        })
        const found = FORMATS[name].extract(headers)
        if (found === null) return
        if (found.traceId !== null) assert.match(found.traceId, /^(?!0{32})[0-9a-f]{32}$/)
        if (found.spanId !== null) assert.match(found.spanId, /^(?!0{16})[0-9a-f]{16}$/)
        const told = new HeaderList()
        FORMATS[name].inject(told, {
          ...context,
          ...found,
          traceId: found.traceId ?? LONG,
          spanId: SPAN,
          sampled: found.sampled ?? true,
          from: found.format,
        })
        assert.equal(told.unsafeName(), undefined)
        assert.equal(FORMATS[name].extract(told)?.spanId, SPAN)
      }),
      { numRuns: 2000 },
    )
  })
}

test('a header of any length costs no more than a look at its length', () => {
  for (const name of names)
    assert.equal(extract(name, Object.fromEntries(Object.keys(WRITTEN[name]).map((key) => [key, '1'.repeat(100_000)]))), null)
})

test('an id of 64 bits goes on as one where the format knows two lengths', () => {
  const headers = new HeaderList()
  for (const name of names) FORMATS[name].inject(headers, { ...context, traceId: FILLED, digits: 16 })
  for (const name of ['x-b3-traceid', 'ot-tracer-traceid', 'x-instana-t']) assert.equal(headers.get(name), SHORT)
  assert.equal(headers.get('traceparent'), `00-${FILLED}-${SPAN}-01`)
})

test('a tracestate goes on with its own trace only', () => {
  const headers = list({ tracestate: 'a=1' })
  FORMATS.w3c.inject(headers, { ...context, from: 'w3c', flags: 2 })
  assert.equal(headers.get('tracestate'), 'a=1')
  assert.equal(headers.get('traceparent'), `00-${LONG}-${SPAN}-03`)
  FORMATS.w3c.inject(headers, { ...context, from: 'b3', flags: 1 })
  assert.equal(headers.has('tracestate'), false)
  assert.equal(headers.get('traceparent'), `00-${LONG}-${SPAN}-01`)
})

test('the debug flag of B3 goes on in place of the decision', () => {
  const headers = list({ 'X-B3-TraceId': LONG, 'X-B3-SpanId': SPAN, 'X-B3-Flags': '1', 'X-B3-Sampled': '0', 'X-B3-ParentSpanId': SPAN })
  const found = FORMATS.b3.extract(headers)
  assert.equal(found?.sampled, true)
  FORMATS.b3.inject(headers, { ...context, flags: found?.flags ?? 0, from: 'b3', parentId: null })
  assert.equal(headers.get('x-b3-flags'), '1')
  assert.equal(headers.has('x-b3-sampled'), false)
  assert.equal(headers.has('x-b3-parentspanid'), false)
})

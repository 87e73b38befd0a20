/**
 * The headers by which a trace travels, one entry for each format. What a client sends is taken only where it is exactly what its format says; anything else,
 * also a header that is there twice, counts as absent.
 */
import type { TraceHeaders } from '../../telemetry/trace.ts'

/** What a client told of its trace. */
export interface Extracted {
  /** 32 lower-case hexadecimal digits; null where only the sampling decision was sent. */
  readonly traceId: string | null
  /** Digits of the id as it was sent, for formats that know two lengths. */
  readonly digits: 16 | 32
  /** 16 hexadecimal digits; null where none was sent. */
  readonly spanId: string | null
  /** Null where the client leaves the decision open. */
  readonly sampled: boolean | null
  /** Flags of a `traceparent`, or that B3's debug flag was set. */
  readonly flags: number
  /** The format as which it is passed on. */
  readonly format: FormatName
}

/** What the upstream is told. */
export interface Injected {
  readonly traceId: string
  readonly digits: 16 | 32
  readonly spanId: string
  /** Null for a span that is the first of its trace. */
  readonly parentId: string | null
  readonly sampled: boolean
  readonly flags: number
  readonly from: FormatName | null
}

export type FormatName = 'w3c' | 'b3' | 'b3-single' | 'jaeger' | 'ot' | 'datadog' | 'aws' | 'gcp' | 'instana'

interface Format {
  readonly extract: (headers: TraceHeaders) => Extracted | null
  readonly inject: (headers: TraceHeaders, context: Injected) => void
  /** The trace's id as this format writes it. */
  readonly writeId: (traceId: string, digits: 16 | 32) => string
}

/** Longest header that is looked at; `Root=…` of AWS may be followed by fields of one's own. */
const MAX_LENGTH = 1024

/** The value of a header that is there once, without surrounding space. */
function only(headers: TraceHeaders, lowerName: string): string | undefined {
  const value = headers.get(lowerName)
  if (value === undefined || value.length > MAX_LENGTH || headers.count(lowerName) > 1) return undefined
  return value.trim()
}

/** A trace's id of 1 to 32 digits in any case, filled up; null for anything else and for zero. */
function readTraceId(text: string | undefined, shapes = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i): { traceId: string; digits: 16 | 32 } | null {
  if (text === undefined || !shapes.test(text) || !/[^0]/.test(text)) return null
  return { traceId: text.toLowerCase().padStart(32, '0'), digits: text.length > 16 ? 32 : 16 }
}

function readSpanId(text: string | undefined, shape = /^[0-9a-f]{16}$/i): string | null {
  return text !== undefined && shape.test(text) && /[^0]/.test(text) ? text.toLowerCase().padStart(16, '0') : null
}

const UINT64_MAX = 0xffff_ffff_ffff_ffffn

/** An unsigned number of 64 bits in decimal digits as 16 hexadecimal ones; null for anything else and for zero. */
function readDecimal(text: string | undefined): string | null {
  if (text === undefined || !/^\d{1,20}$/.test(text)) return null
  const value = BigInt(text)
  return value === 0n || value > UINT64_MAX ? null : value.toString(16).padStart(16, '0')
}

const decimal = (hex: string): string => BigInt(`0x${hex}`).toString()
const bit = (sampled: boolean): '0' | '1' => (sampled ? '1' : '0')
const fitted = (traceId: string, digits: 16 | 32): string => (digits === 16 ? traceId.slice(16) : traceId)
const whole = (traceId: string): string => traceId

const SAMPLED: Readonly<Record<string, boolean>> = { '0': false, '1': true, false: false, true: true }
const readSampled = (text: string | undefined): boolean | null => SAMPLED[text?.toLowerCase() ?? ''] ?? null

/** Of a `traceparent`: sampled; and that the trace's id is random (Trace Context level 2). */
const FLAG_SAMPLED = 1
const FLAG_RANDOM = 2

/** W3C Trace Context. `tracestate` goes on as it came, with the trace that it belongs to. */
const w3c: Format = {
  extract(headers) {
    const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(only(headers, 'traceparent') ?? '')
    const [, version = 'ff', trace, span, flagDigits = '', rest] = match ?? []
    const id = readTraceId(trace)
    const spanId = readSpanId(span)
    if (version === 'ff' || id === null || spanId === null || (version === '00' && rest !== undefined)) return null
    const flags = Number.parseInt(flagDigits, 16)
    return { ...id, spanId, sampled: (flags & FLAG_SAMPLED) !== 0, flags: flags & FLAG_RANDOM, format: 'w3c' }
  },
  inject(headers, { traceId, spanId, sampled, flags, from }) {
    // A state whose traceparent does not go on with it says nothing about this trace (section 3.3).
    if (from !== 'w3c') headers.remove('tracestate')
    const kept = from === 'w3c' ? flags : 0
    headers.set('traceparent', `00-${traceId}-${spanId}-0${(kept | (sampled ? FLAG_SAMPLED : 0)).toString(16)}`)
  },
  writeId: whole,
}

const FLAG_DEBUG = 1

/** B3 in one header: ids, the decision and the parent; or the decision alone. */
function extractB3Single(headers: TraceHeaders): Extracted | null {
  const text = only(headers, 'b3')
  if (text === undefined) return null
  const [first = '', span, decision, parent, ...rest] = text.split('-')
  const alone = span === undefined
  const state = (alone ? first : (decision ?? '')).toLowerCase()
  if (rest.length > 0 || (state !== '' && !/^[01d]$/.test(state)) || (parent !== undefined && readSpanId(parent) === null)) return null
  const known = { sampled: state === '' ? null : state !== '0', flags: state === 'd' ? FLAG_DEBUG : 0, format: 'b3-single' as const }
  if (alone) return state === '' ? null : { traceId: null, digits: 32, spanId: null, ...known }
  const id = readTraceId(first)
  const spanId = readSpanId(span)
  return id === null || spanId === null ? null : { ...id, spanId, ...known }
}

/** B3 in several headers. The decision may come alone. */
function extractB3(headers: TraceHeaders): Extracted | null {
  const debug = only(headers, 'x-b3-flags') === '1'
  const sampled = debug ? true : readSampled(only(headers, 'x-b3-sampled'))
  const known = { sampled, flags: debug ? FLAG_DEBUG : 0, format: 'b3' as const }
  const id = readTraceId(only(headers, 'x-b3-traceid'))
  const spanId = readSpanId(only(headers, 'x-b3-spanid'))
  if (id !== null && spanId !== null) return { ...id, spanId, ...known }
  const started = headers.get('x-b3-traceid') !== undefined || headers.get('x-b3-spanid') !== undefined
  return started || sampled === null ? null : { traceId: null, digits: 32, spanId: null, ...known }
}

/** Debug is a decision of the client's; it goes on in either form of B3 only. */
const isDebug = ({ from, flags }: Injected): boolean => (from === 'b3' || from === 'b3-single') && flags === FLAG_DEBUG

const b3: Format = {
  extract: (headers) => extractB3Single(headers) ?? extractB3(headers),
  inject(headers, context) {
    const { traceId, digits, spanId, parentId, sampled } = context
    headers.set('x-b3-traceid', fitted(traceId, digits))
    headers.set('x-b3-spanid', spanId)
    if (parentId === null) headers.remove('x-b3-parentspanid')
    else headers.set('x-b3-parentspanid', parentId)
    if (isDebug(context)) {
      headers.set('x-b3-flags', '1')
      headers.remove('x-b3-sampled')
    } else {
      headers.set('x-b3-sampled', bit(sampled))
      headers.remove('x-b3-flags')
    }
  },
  writeId: fitted,
}

const b3Single: Format = {
  extract: extractB3Single,
  inject(headers, context) {
    const { traceId, digits, spanId, parentId, sampled } = context
    const state = isDebug(context) ? 'd' : bit(sampled)
    headers.set('b3', `${fitted(traceId, digits)}-${spanId}-${state}${parentId === null ? '' : `-${parentId}`}`)
  },
  writeId: fitted,
}

/** `uber-trace-id`: trace:span:parent:flags; the colons may be escaped. */
const jaeger: Format = {
  extract(headers) {
    const parts = (only(headers, 'uber-trace-id') ?? '').replaceAll(/%3a/gi, ':').split(':')
    const [trace, span, parent = '', flagDigits = ''] = parts
    const id = readTraceId(trace, /^[0-9a-f]{1,32}$/i)
    const spanId = readSpanId(span, /^[0-9a-f]{1,16}$/i)
    if (parts.length !== 4 || id === null || spanId === null) return null
    if (!/^[0-9a-f]{1,16}$/i.test(parent) || !/^[0-9a-f]{1,2}$/i.test(flagDigits)) return null
    return { ...id, spanId, sampled: (Number.parseInt(flagDigits, 16) & FLAG_SAMPLED) !== 0, flags: 0, format: 'jaeger' }
  },
  inject(headers, { traceId, digits, spanId, parentId, sampled }) {
    headers.set('uber-trace-id', `${fitted(traceId, digits)}:${spanId}:${parentId ?? '0'}:0${bit(sampled)}`)
  },
  writeId: fitted,
}

/** OpenTracing's `ot-tracer-*`. */
const ot: Format = {
  extract(headers) {
    const id = readTraceId(only(headers, 'ot-tracer-traceid'))
    const spanId = readSpanId(only(headers, 'ot-tracer-spanid'))
    if (id === null || spanId === null) return null
    return { ...id, spanId, sampled: readSampled(only(headers, 'ot-tracer-sampled')), flags: 0, format: 'ot' }
  },
  inject(headers, { traceId, digits, spanId, sampled }) {
    headers.set('ot-tracer-traceid', fitted(traceId, digits))
    headers.set('ot-tracer-spanid', spanId)
    headers.set('ot-tracer-sampled', bit(sampled))
  },
  writeId: fitted,
}

/** Ids are decimal; of a longer trace id, the lower 64 bits travel. */
const datadog: Format = {
  extract(headers) {
    const trace = readDecimal(only(headers, 'x-datadog-trace-id'))
    if (trace === null) return null
    const priority = only(headers, 'x-datadog-sampling-priority') ?? ''
    return {
      traceId: trace.padStart(32, '0'),
      digits: 16,
      spanId: readDecimal(only(headers, 'x-datadog-parent-id')),
      sampled: /^(?:-1|0|1|2)$/.test(priority) ? Number(priority) > 0 : null,
      flags: 0,
      format: 'datadog',
    }
  },
  inject(headers, { traceId, spanId, sampled }) {
    headers.set('x-datadog-trace-id', decimal(traceId.slice(16)))
    headers.set('x-datadog-parent-id', decimal(spanId))
    headers.set('x-datadog-sampling-priority', bit(sampled))
  },
  writeId: (traceId) => decimal(traceId.slice(16)),
}

const awsId = (traceId: string): string => `1-${traceId.slice(0, 8)}-${traceId.slice(8)}`

/** `Root=1-8 digits-24 digits;Parent=…;Sampled=…` in any order, with fields of one's own among them. */
const aws: Format = {
  extract(headers) {
    const fields = new Map<string, string>()
    for (const field of (only(headers, 'x-amzn-trace-id') ?? '').split(';')) {
      const at = field.indexOf('=')
      if (at > 0) fields.set(field.slice(0, at).trim().toLowerCase(), field.slice(at + 1).trim())
    }
    const [, time, rest] = /^1-([0-9a-f]{8})-([0-9a-f]{24})$/i.exec(fields.get('root') ?? '') ?? []
    const id = readTraceId(`${time ?? ''}${rest ?? ''}`)
    if (id === null) return null
    const parent = fields.get('parent')
    const spanId = readSpanId(parent)
    if (parent !== undefined && spanId === null) return null
    const state = fields.get('sampled') ?? ''
    return { ...id, spanId, sampled: /^[01]$/.test(state) ? state === '1' : null, flags: 0, format: 'aws' }
  },
  inject(headers, { traceId, spanId, sampled }) {
    headers.set('x-amzn-trace-id', `Root=${awsId(traceId)};Parent=${spanId};Sampled=${bit(sampled)}`)
  },
  writeId: awsId,
}

/** `trace/span;o=options`, the span in decimal digits. */
const gcp: Format = {
  extract(headers) {
    const match = /^([0-9a-f]{32})\/(\d{1,20})(?:;o=(\d{1,3}))?$/i.exec(only(headers, 'x-cloud-trace-context') ?? '')
    const id = readTraceId(match?.[1])
    const spanId = readDecimal(match?.[2])
    if (id === null || spanId === null) return null
    const options = match?.[3]
    return { ...id, spanId, sampled: options === undefined ? null : (Number(options) & 1) === 1, flags: 0, format: 'gcp' }
  },
  inject(headers, { traceId, spanId, sampled }) {
    headers.set('x-cloud-trace-context', `${traceId}/${decimal(spanId)};o=${bit(sampled)}`)
  },
  writeId: whole,
}

/** The level `0` alone asks for no trace. */
const instana: Format = {
  extract(headers) {
    const level = /^([01])(?:,.*)?$/.exec(only(headers, 'x-instana-l') ?? '')?.[1]
    const known = { sampled: level === undefined ? null : level === '1', flags: 0, format: 'instana' as const }
    const id = readTraceId(only(headers, 'x-instana-t'))
    const spanId = readSpanId(only(headers, 'x-instana-s'))
    if (id !== null && spanId !== null) return { ...id, spanId, ...known }
    const started = headers.get('x-instana-t') !== undefined || headers.get('x-instana-s') !== undefined
    return started || known.sampled !== false ? null : { traceId: null, digits: 32, spanId: null, ...known }
  },
  inject(headers, { traceId, digits, spanId, sampled }) {
    headers.set('x-instana-t', fitted(traceId, digits))
    headers.set('x-instana-s', spanId)
    headers.set('x-instana-l', bit(sampled))
  },
  writeId: fitted,
}

/** Format → what it does. */
export const FORMATS: Readonly<Record<FormatName, Format>> = {
  w3c,
  b3,
  'b3-single': b3Single,
  jaeger,
  ot,
  datadog,
  aws,
  gcp,
  instana,
}

/**
 * The trace of one request: spans that say where its time went. Free while nobody asks for one: a request that is not traced has no {@link Trace}, and what
 * might add a span looks for the one that runs only after some request has been traced.
 *
 * A trace is begun before it is known whether the request is sampled; `decide` says so, and from then on an unsampled one makes no spans and only carries the
 * ids that the upstream is told. Spans end once; after `finish` nothing is added any more, whatever still runs in the request's name.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomFillSync } from 'node:crypto'

export type SpanKind = 'internal' | 'server' | 'client'
export type SpanValue = string | number | boolean

/** Spans of one trace: what an upstream or a plugin makes happen over and over must not grow without bound. */
const MAX_SPANS = 256
/** Characters of an attribute: clients choose the longest ones. */
const MAX_VALUE_LENGTH = 2048

/** Something that happened at one moment of a span. */
export interface SpanEvent {
  readonly name: string
  /** Epoch milliseconds, with fractions. */
  readonly atMs: number
  readonly attributes: Readonly<Record<string, SpanValue>>
}

/** Parts of a request that have spans of their own: names in kong.conf's `tracing_instrumentations`. */
export const INSTRUMENTATIONS = [
  'dns_query',
  'router',
  'http_client',
  'balancer',
  'plugin_rewrite',
  'plugin_access',
  'plugin_header_filter',
] as const

export type Instrumentation = (typeof INSTRUMENTATIONS)[number]

/** How requests of this process are traced. */
export interface TraceSettings {
  readonly instrumentations: ReadonlySet<Instrumentation>
  /** 0 to 1, where neither the client nor a plugin decides. */
  readonly samplingRate: number
  /** False: nothing is recorded, and headers are passed on. */
  readonly on: boolean
}

/** Reads `tracing_instrumentations` (empty for `off`) and `tracing_sampling_rate`. */
export function readTraceSettings(names: readonly string[], samplingRate: number): TraceSettings {
  const instrumentations = new Set(INSTRUMENTATIONS.filter((name) => names.includes('all') || names.includes(name)))
  return { instrumentations, samplingRate, on: names.length > 0 }
}

export class Span {
  readonly trace: Trace
  readonly id = newSpanId()
  readonly name: string
  readonly kind: SpanKind
  /** Id of the span that this one is part of; of another process for the first span of ours, and null where that is the first of all. */
  parentId: string | null
  /** Epoch milliseconds, with fractions. */
  readonly startMs: number
  endMs = 0
  readonly attributes: Record<string, SpanValue> = {}
  events: SpanEvent[] | null = null
  /** What went wrong: a static text; null where nothing did. */
  error: string | null = null

  constructor(trace: Trace, name: string, kind: SpanKind, parentId: string | null, startMs: number) {
    this.trace = trace
    this.name = name
    this.kind = kind
    this.parentId = parentId
    this.startMs = startMs
  }

  /** Sets an attribute; undefined and null are left out. Never a token, a credential or a subject. */
  set(name: string, value: SpanValue | null | undefined): void {
    if (value === null || value === undefined) return
    this.attributes[name] = typeof value === 'string' && value.length > MAX_VALUE_LENGTH ? value.slice(0, MAX_VALUE_LENGTH) : value
  }

  /** Marks the span as failed. @param reason static text */
  fail(reason = ''): void {
    this.error = reason
  }

  /** Marks the span as failed and notes the exception. Of the error only `type` is kept, and `message` where the caller knows that it holds nothing secret. */
  failWith(type: string, message?: string): void {
    this.fail(message)
    const attributes = { 'exception.type': type, ...(message === undefined ? {} : { 'exception.message': message }) }
    this.events ??= []
    this.events.push({ name: 'exception', atMs: this.trace.nowMs(), attributes })
  }

  end(endMs = this.trace.nowMs()): void {
    if (this.endMs === 0) this.endMs = Math.max(endMs, this.startMs)
  }

  get ended(): boolean {
    return this.endMs !== 0
  }
}

/** Header lines as propagation sees them. */
export interface TraceHeaders {
  get(lowerName: string): string | undefined
  count(lowerName: string): number
  set(name: string, value: string): void
  remove(lowerName: string): void
}

/** Writes the headers that tell the upstream of the trace. @param parentId of the span `spanId` */
export type InjectTrace = (headers: TraceHeaders, spanId: string, parentId: string | null) => void

export class Trace {
  readonly settings: TraceSettings
  /** 32 lower-case hexadecimal digits. */
  id: string = newTraceId()
  /** Null: not known yet. */
  sampled: boolean | null = null
  readonly root: Span
  /** Set by the plugin that traces. */
  inject: InjectTrace | null = null
  /** The trace's id as each format of header writes it, for log entries; null until it is decided. */
  loggedIds: Readonly<Record<string, string>> | null = null
  #spans: Span[]
  #finished = false
  /** Epoch minus monotonic clock, in milliseconds. */
  readonly #offsetMs: number

  /** @param startedAtMs epoch milliseconds @param startedMs the same moment on the monotonic clock */
  constructor(settings: TraceSettings, startedAtMs: number, startedMs: number) {
    this.settings = settings
    this.#offsetMs = startedAtMs - startedMs
    this.root = new Span(this, settings.on ? 'kong' : 'root', 'server', null, startedAtMs)
    this.#spans = [this.root]
  }

  /** Epoch milliseconds, with fractions. @param markMs a moment on the monotonic clock */
  nowMs(markMs: number = performance.now()): number {
    return markMs + this.#offsetMs
  }

  /** Spans are being kept. */
  get records(): boolean {
    return this.settings.on && this.sampled !== false && !this.#finished
  }

  /** Whether spans of this kind are being kept. */
  has(part: Instrumentation): boolean {
    return this.records && this.settings.instrumentations.has(part)
  }

  /** Says whether the request is sampled. What was recorded before is dropped where it is not. */
  decide(sampled: boolean): void {
    this.sampled = sampled && this.settings.on
    if (!this.sampled) this.#spans = [this.root]
  }

  /** Begins a span if spans of this kind are being kept. Its parent is the root unless another is named. */
  start(part: Instrumentation, name: string, kind: SpanKind, parent: Span = this.root, startMs = this.nowMs()): Span | null {
    if (!this.has(part) || this.#spans.length >= MAX_SPANS) return null
    const span = new Span(this, name, kind, parent.id, startMs)
    this.#spans.push(span)
    return span
  }

  /** Begins an attempt at an upstream: tells it in `headers` whose child its own spans are. */
  startTry(headers: TraceHeaders, host: string, number: number): Span | null {
    const span = this.start('balancer', 'kong.balancer', 'client')
    if (span === null) {
      this.inject?.(headers, this.root.id, this.root.parentId)
      return null
    }
    span.set('try_count', number)
    span.set('net.peer.name', host)
    this.inject?.(headers, span.id, this.root.id)
    return span
  }

  /** Ends the trace and hands over its spans, the root first; none where the request is not sampled. */
  finish(endMs: number = this.nowMs()): readonly Span[] {
    if (this.#finished) return NONE
    this.#finished = true
    const spans = this.sampled === true ? this.#spans : NONE
    for (const span of spans) span.end(endMs)
    this.#spans = []
    return spans
  }

  get finished(): boolean {
    return this.#finished
  }
}

const NONE: readonly Span[] = []

// ---------------------------------------------------------------------------------------------------------------------------- the span that runs

const running = new AsyncLocalStorage<Span>()
/** No request of this process was ever traced: then there is nothing to look up. */
let unused = true

/** Runs `step` as part of `span`: what it calls, at once or later, finds it by {@link currentSpan}. */
export function inSpan<T>(span: Span, step: () => T): T {
  unused = false
  return running.run(span, step)
}

/** The span of a traced request that the caller runs in; undefined for everything else, also once that request is over. */
export function currentSpan(): Span | undefined {
  if (unused) return undefined
  const span = running.getStore()
  return span === undefined || span.trace.finished ? undefined : span
}

// ------------------------------------------------------------------------------------------------------------------------------------------- ids

function newTraceId(): string {
  return randomHex(16)
}

function newSpanId(): string {
  return randomHex(8)
}

/** An id of zeros alone is no id (W3C Trace Context section 3.2.2.3). */
function randomHex(bytes: number): string {
  for (;;) {
    if (randomness.at + bytes > randomness.bytes.length) {
      randomFillSync(randomness.bytes)
      randomness.at = 0
    }
    const { at } = randomness
    randomness.at += bytes
    const hex = randomness.bytes.toString('hex', at, at + bytes)
    if (/[^0]/.test(hex)) return hex
  }
}

/** Random bytes for the next ids: asking the system for each would cost more than the id. */
const randomness = { bytes: Buffer.alloc(4096), at: 4096 }

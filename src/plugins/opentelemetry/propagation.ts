/**
 * How a trace comes in and goes on. Two generations of fields say so: `propagation`, and before it `header_type`, which counts as long as `propagation` names
 * neither what to extract, nor what to clear, nor what to inject.
 */
import type { InjectTrace, Trace, TraceHeaders } from '../../telemetry/trace.ts'
import { type Extracted, FORMATS, type FormatName } from './formats.ts'
import type { Config } from './schema.ts'

/** Formats that are looked for, first one first, where the configuration does not say. `b3` stands for both of its forms. */
const EXTRACT_ORDER: readonly FormatName[] = ['b3', 'w3c', 'jaeger', 'ot', 'datadog', 'aws', 'gcp', 'instana']

/** A configuration in terms of the newer generation. */
export interface Propagation {
  readonly extract: readonly FormatName[]
  /** Lower-case names of headers that do not go on. */
  readonly clear: readonly string[]
  readonly inject: readonly (FormatName | 'preserve')[]
  readonly defaultFormat: FormatName
}

/** Reads either generation of fields. */
export function readPropagation({ propagation, header_type }: Pick<Config, 'propagation' | 'header_type'>): Propagation {
  const { extract, clear, inject, default_format: defaultFormat } = propagation
  if (extract !== null || clear !== null || inject !== null) {
    return { extract: extract ?? [], clear: (clear ?? []).map((name) => name.toLowerCase()), inject: inject ?? [], defaultFormat }
  }
  switch (header_type) {
    case null:
    case 'preserve':
      return { extract: EXTRACT_ORDER, clear: [], inject: ['preserve'], defaultFormat }
    case 'ignore':
      return { extract: [], clear: [], inject: [defaultFormat], defaultFormat }
    default:
      // What the client sent goes on in its own format too, so that a mixed chain does not break.
      return { extract: EXTRACT_ORDER, clear: [], inject: ['preserve', header_type], defaultFormat: header_type }
  }
}

/** What the client told of its trace, in the first format that it used; null where it told nothing that makes sense. */
export function extractTrace(headers: TraceHeaders, { extract }: Propagation): Extracted | null {
  for (const name of extract) {
    const found = FORMATS[name].extract(headers)
    if (found !== null) return found
  }
  return null
}

/**
 * Makes `trace` go on from what the client told: its ids, whether it is sampled, and what the upstream will be told.
 *
 * @param samplingRate 0 to 1, for traces that begin here; a client's decision counts for the others
 */
export function joinTrace(trace: Trace, headers: TraceHeaders, propagation: Propagation, samplingRate: number): void {
  const found = extractTrace(headers, propagation)
  for (const name of propagation.clear) headers.remove(name)
  if (found?.traceId != null) trace.id = found.traceId
  trace.root.parentId = found?.spanId ?? null
  trace.decide(found?.sampled ?? isSampled(trace.id, samplingRate))
  const formats = new Set(propagation.inject.map((name) => (name === 'preserve' ? (found?.format ?? propagation.defaultFormat) : name)))
  const digits = found?.digits ?? 32
  trace.loggedIds = Object.fromEntries([...formats].map((name) => [name, FORMATS[name].writeId(trace.id, digits)]))
  if (formats.size > 0) trace.inject = injector(trace, [...formats], found)
}

function injector(trace: Trace, formats: readonly FormatName[], found: Extracted | null): InjectTrace {
  // What is told is the client's own decision where nothing is recorded here, so that those behind us follow it.
  const sampled = trace.settings.on ? trace.sampled === true : (found?.sampled ?? false)
  const common = { traceId: trace.id, digits: found?.digits ?? 32, sampled, flags: found?.flags ?? 0, from: found?.format ?? null } as const
  return (headers, spanId, parentId) => {
    for (const name of formats) FORMATS[name].inject(headers, { ...common, spanId, parentId })
  }
}

/** Decides from the trace's id, so that all who see the trace with the same rate decide alike. */
export function isSampled(traceId: string, rate: number): boolean {
  return Number.parseInt(traceId.slice(-13), 16) < rate * 2 ** 52
}

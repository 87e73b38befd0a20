/**
 * What operators see of introspection. Counters belong to a configuration and an endpoint, not to the object that counts: they go on where a configuration is
 * made anew. Labels come from configuration alone; an endpoint is shown without query and user information.
 */
import type { Cache } from '../cache/cache.ts'
import { createIntrospectionCounters, type IntrospectionCounters, type IntrospectionFailureKind } from '../telemetry/counters.ts'
import { type MetricDefinition, type MetricRegistry, type MetricSnapshot, observe, type Series } from '../telemetry/metrics.ts'
import type { Answer } from './answer.ts'
import type { CallGuards } from './call-guard.ts'

/** Bounds for the time of a call, in milliseconds. */
const CALL_BUCKETS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000] as const

const OWNER = ['plugin', 'plugin_id', 'endpoint'] as const

const DURATION: MetricDefinition = {
  name: 'kong_introspection_call_duration_ms',
  help: 'Milliseconds that calls to introspection endpoints took, failed ones included.',
  type: 'histogram',
  labels: OWNER,
  buckets: CALL_BUCKETS,
}

const LOOKUPS: MetricDefinition = {
  name: 'kong_introspection_lookups_total',
  help: 'Tokens looked up: stored answer (hit, negative_hit), own call (miss) or a call under way (coalesced).',
  type: 'counter',
  labels: [...OWNER, 'result'],
}
const STALE: MetricDefinition = {
  name: 'kong_introspection_stale_answers_total',
  help: 'Lookups answered from a stored answer past its end, because the server failed.',
  type: 'counter',
  labels: OWNER,
}
const REFRESHES: MetricDefinition = {
  name: 'kong_introspection_refreshes_total',
  help: 'Calls ahead of the end of a stored answer.',
  type: 'counter',
  labels: OWNER,
}
const CALLS: MetricDefinition = {
  name: 'kong_introspection_calls_total',
  help: 'Requests sent to introspection endpoints.',
  type: 'counter',
  labels: OWNER,
}
const FAILURES: MetricDefinition = {
  name: 'kong_introspection_failures_total',
  help: 'Lookups and refreshes that brought no answer, by kind.',
  type: 'counter',
  labels: [...OWNER, 'kind'],
}
const ENTRIES: MetricDefinition = {
  name: 'kong_introspection_cache_entries',
  help: 'Stored introspection answers by kind, of all workers together.',
  type: 'gauge',
  labels: ['kind'],
}
const BYTES: MetricDefinition = {
  name: 'kong_introspection_cache_bytes',
  help: 'Estimated bytes of stored positive introspection answers, of all workers together.',
  type: 'gauge',
  labels: [],
}
const BREAKER: MetricDefinition = {
  name: 'kong_idp_breaker_state',
  help: 'Whether calls to an endpoint are let through: 0 closed (yes), 1 open after failures, 2 paused as the server asked; of the worst worker.',
  type: 'gauge',
  labels: ['endpoint'],
  merge: 'max',
}
const RUNNING: MetricDefinition = {
  name: 'kong_idp_calls_running',
  help: 'Calls to an endpoint that are under way.',
  type: 'gauge',
  labels: ['endpoint'],
}
const WAITING: MetricDefinition = {
  name: 'kong_idp_calls_waiting',
  help: 'Calls to an endpoint that wait for a place.',
  type: 'gauge',
  labels: ['endpoint'],
}

const BREAKER_STATES = { closed: 0, open: 1, paused: 2 } as const

/** The numbers of one configuration at one endpoint. */
export interface IntrospectionMeter {
  readonly counters: IntrospectionCounters
  /** Counts a call that took so many milliseconds. */
  duration(ms: number): void
}

interface Owned {
  readonly labels: readonly string[]
  readonly meter: IntrospectionMeter
}

/** The meters of a process. */
export class IntrospectionMeters {
  readonly #registry: MetricRegistry
  readonly #meters = new Map<string, Owned>()

  constructor(registry: MetricRegistry, cache: Cache<Answer>, guards: CallGuards) {
    this.#registry = registry
    registry.collect(() => [...this.#counted(), ...cacheMetrics(cache), ...guardMetrics(guards)])
  }

  /** The meter of a configuration at an endpoint; the same one each time. @param endpoint without query and user information */
  of(plugin: string, pluginId: string, endpoint: string): IntrospectionMeter {
    const labels = [plugin, pluginId, endpoint]
    const key = JSON.stringify(labels)
    const known = this.#meters.get(key)
    if (known !== undefined) return known.meter
    const durations = this.#registry.metric(DURATION).series(labels)
    const meter: IntrospectionMeter = {
      counters: createIntrospectionCounters(),
      duration: (ms) => observe(durations, ms, CALL_BUCKETS),
    }
    if (this.#registry.admit()) this.#meters.set(key, { labels, meter })
    return meter
  }

  #counted(): MetricSnapshot[] {
    const owned = [...this.#meters.values()]
    const per = (definition: MetricDefinition, read: (counters: IntrospectionCounters) => number): MetricSnapshot => ({
      ...definition,
      series: owned.map(({ labels, meter }) => series(labels, read(meter.counters))),
    })
    return [
      { ...LOOKUPS, series: owned.flatMap(lookups) },
      per(STALE, ({ stale }) => stale),
      per(REFRESHES, ({ refreshes }) => refreshes),
      per(CALLS, ({ calls }) => calls),
      { ...FAILURES, series: owned.flatMap(failures) },
    ]
  }
}

function lookups({ labels, meter }: Owned): Series[] {
  const { hits, negatives, misses, coalesced } = meter.counters
  const results = { hit: hits - negatives, negative_hit: negatives, miss: misses - coalesced, coalesced }
  return Object.entries(results).map(([result, value]) => series([...labels, result], value))
}

function failures({ labels, meter }: Owned): Series[] {
  const { failures } = meter.counters
  return (Object.keys(failures) as IntrospectionFailureKind[]).map((kind) => series([...labels, kind], failures[kind]))
}

function cacheMetrics(cache: Cache<Answer>): MetricSnapshot[] {
  const { positive, negative, bytes } = cache.size
  return [
    { ...ENTRIES, series: [series(['positive'], positive), series(['negative'], negative)] },
    { ...BYTES, series: [series([], bytes)] },
  ]
}

function guardMetrics(guards: CallGuards): MetricSnapshot[] {
  const all = guards.all()
  return [
    { ...BREAKER, series: all.map(([server, guard]) => series([server], BREAKER_STATES[guard.state])) },
    { ...RUNNING, series: all.map(([server, guard]) => series([server], guard.running)) },
    { ...WAITING, series: all.map(([server, guard]) => series([server], guard.waiting)) },
  ]
}

function series(labels: readonly string[], value: number): Series {
  return { labels, value, counts: null }
}

/**
 * Counters and histograms of one process. Who counts keeps the series that it counts on and adds to its numbers in place: nothing is looked up, hashed or
 * rendered while requests are served. A snapshot is plain data that travels between processes; snapshots are added up by `mergeMetrics`.
 */

/** What a metric is called, what it means and how snapshots of several processes come together. */
export interface MetricDefinition {
  /** Name with its prefix. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  /** Upper bounds of a histogram, ascending; the last, infinite one goes without saying. */
  readonly buckets?: readonly number[]
  /** How values of several processes come together; default `sum`. */
  readonly merge?: 'sum' | 'max'
}

/** One combination of label values, with what was counted under it. */
export interface Series {
  /** In the order of the definition's labels. */
  readonly labels: readonly string[]
  /** Of a histogram: the sum of all observations. */
  value: number
  /** Observations by bucket, not cumulated, the infinite one last; null where the metric is no histogram. */
  readonly counts: number[] | null
}

/** A metric as it stands at one moment. */
export interface MetricSnapshot extends MetricDefinition {
  readonly series: readonly Series[]
}

/** Series of one process at most: entities that come and go leave theirs behind, and memory must not grow without end. */
const MAX_SERIES = 100_000

/** Counts values above each bucket's bound in the next one. */
export function observe(series: Series, value: number, buckets: readonly number[]): void {
  const counts = series.counts as number[]
  let index = 0
  while (index < buckets.length && value > (buckets[index] as number)) index++
  counts[index] = (counts[index] as number) + 1
  series.value += value
}

/** One metric of a process, with its series. Made by {@link MetricRegistry.metric}. */
export class Metric {
  readonly definition: MetricDefinition
  readonly #series = new Map<string, Series>()
  readonly #admit: () => boolean

  /** @param admit whether a further series has a place */
  constructor(definition: MetricDefinition, admit: () => boolean) {
    this.definition = definition
    this.#admit = admit
  }

  /** The series with these label values, made at first use. To be kept by who counts. Past the bound it is one that nobody reads. */
  series(labels: readonly string[]): Series {
    const key = labels.length === 1 ? (labels[0] as string) : JSON.stringify(labels)
    const known = this.#series.get(key)
    if (known !== undefined) return known
    const { buckets } = this.definition
    const made: Series = { labels, value: 0, counts: buckets === undefined ? null : new Array<number>(buckets.length + 1).fill(0) }
    if (this.#admit()) this.#series.set(key, made)
    return made
  }

  snapshot(): MetricSnapshot {
    return { ...this.definition, series: [...this.#series.values()] }
  }
}

/** What is read only when somebody looks. */
export type MetricCollector = () => readonly MetricSnapshot[]

/** The metrics of a process. */
export class MetricRegistry {
  readonly #metrics = new Map<string, Metric>()
  readonly #collectors: MetricCollector[] = []
  #left = MAX_SERIES
  #dropped = 0

  /** Series that found no place. */
  get dropped(): number {
    return this.#dropped
  }

  /** The metric of this name, made at first use. */
  metric(definition: MetricDefinition): Metric {
    const known = this.#metrics.get(definition.name)
    if (known !== undefined) return known
    const made = new Metric(definition, () => this.admit())
    this.#metrics.set(definition.name, made)
    return made
  }

  /** Takes a place among the series; false, and counted as dropped, where there is none. */
  admit(): boolean {
    if (this.#left === 0) {
      this.#dropped++
      return false
    }
    this.#left--
    return true
  }

  /** Adds metrics that are read at each snapshot. */
  collect(collector: MetricCollector): void {
    this.#collectors.push(collector)
  }

  snapshot(): readonly MetricSnapshot[] {
    return [...[...this.#metrics.values()].map((metric) => metric.snapshot()), ...this.#collectors.flatMap((collector) => collector())]
  }
}

/** Under this name the parts of a process find its registry. */
export const METRICS_NAME = 'metrics'

/** The registry of a process, from whoever lends shared objects. */
export function metricsOf(kit: { shared<T>(name: string, make: () => T): T }): MetricRegistry {
  return kit.shared(METRICS_NAME, () => new MetricRegistry())
}

/** Adds up snapshots of several processes: metrics of one name, series of equal labels. What is given is left as it is. */
export function mergeMetrics(snapshots: readonly (readonly MetricSnapshot[])[]): readonly MetricSnapshot[] {
  const merged = new Map<string, { readonly definition: MetricSnapshot; readonly series: Map<string, Series> }>()
  for (const metric of snapshots.flat()) {
    const known = merged.get(metric.name) ?? { definition: metric, series: new Map<string, Series>() }
    merged.set(metric.name, known)
    for (const one of metric.series) {
      const key = JSON.stringify(one.labels)
      const sum = known.series.get(key)
      if (sum === undefined) known.series.set(key, { labels: one.labels, value: one.value, counts: one.counts?.slice() ?? null })
      else add(sum, one, metric.merge)
    }
  }
  return [...merged.values()].map(({ definition, series }) => ({ ...definition, series: [...series.values()] }))
}

function add(sum: Series, one: Series, merge: MetricDefinition['merge']): void {
  sum.value = merge === 'max' ? Math.max(sum.value, one.value) : sum.value + one.value
  const { counts } = sum
  if (counts === null || one.counts === null) return
  for (const [index, count] of one.counts.entries()) counts[index] = (counts[index] ?? 0) + count
}

/** What of a snapshot outlives its process: what only ever grows. */
export function lastingMetrics(snapshot: readonly MetricSnapshot[]): readonly MetricSnapshot[] {
  return snapshot.filter(({ type }) => type !== 'gauge')
}

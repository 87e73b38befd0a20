import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastingMetrics, type MetricDefinition, MetricRegistry, mergeMetrics, metricsOf, observe } from './metrics.ts'

const COUNTER: MetricDefinition = { name: 'c', help: 'C.', type: 'counter', labels: ['a', 'b'] }
const BUCKETS = [1, 5]
const HISTOGRAM: MetricDefinition = { name: 'h', help: 'H.', type: 'histogram', labels: [], buckets: BUCKETS }

test('equal label values are one series, also where a part of one could be taken for the other', () => {
  const metric = new MetricRegistry().metric(COUNTER)
  assert.equal(metric.series(['x', 'y']), metric.series(['x', 'y']))
  assert.notEqual(metric.series(['x,y', '']), metric.series(['x', 'y,']))
})

test('an observation belongs to the first bucket whose bound it does not pass', () => {
  const series = new MetricRegistry().metric(HISTOGRAM).series([])
  for (const value of [0, 1, 1.5, 5, 6]) observe(series, value, BUCKETS)
  assert.deepEqual(series, { labels: [], value: 13.5, counts: [2, 2, 1] })
})

test('series past the bound are counted as dropped and show nowhere, and those that are there go on', () => {
  const registry = new MetricRegistry()
  const metric = registry.metric(COUNTER)
  for (let i = 0; i < 100_000; i++) metric.series([String(i), ''])
  assert.equal(registry.dropped, 0)
  metric.series(['late', '']).value++
  metric.series(['7', '']).value++
  assert.equal(registry.dropped, 1)
  const [snapshot] = registry.snapshot()
  assert.equal(snapshot?.series.length, 100_000)
  assert.equal(snapshot?.series[7]?.value, 1)
})

test('snapshots add up by name and labels, and are left as they were', () => {
  const snapshots = [1, 2].map((amount) => {
    const registry = new MetricRegistry()
    registry.metric(COUNTER).series(['x', 'y']).value += amount
    registry.metric(COUNTER).series([`own-${amount}`, '']).value++
    observe(registry.metric(HISTOGRAM).series([]), amount, BUCKETS)
    return registry.snapshot()
  })
  const before = structuredClone(snapshots)
  const [counter, histogram] = mergeMetrics(snapshots)
  assert.deepEqual(
    counter?.series.map(({ labels, value }) => [labels[0], value]),
    [
      ['x', 3],
      ['own-1', 1],
      ['own-2', 1],
    ],
  )
  assert.deepEqual(histogram?.series, [{ labels: [], value: 3, counts: [1, 1, 0] }])
  assert.deepEqual(snapshots, before)
})

test('of gauges the sum or the highest counts, and none outlives its process', () => {
  const gauge = (merge: 'sum' | 'max', value: number) =>
    [{ name: 'g', help: 'G.', type: 'gauge', labels: [], merge, series: [{ labels: [], value, counts: null }] }] as const
  assert.equal(mergeMetrics([gauge('max', 2), gauge('max', 1)])[0]?.series[0]?.value, 2)
  assert.equal(mergeMetrics([gauge('sum', 2), gauge('sum', 1)])[0]?.series[0]?.value, 3)
  assert.deepEqual(lastingMetrics(gauge('sum', 1)), [])
})

test('collectors are asked at each snapshot', () => {
  const registry = metricsOf({ shared: (_name, make) => make() })
  let value = 0
  registry.collect(() => [{ ...COUNTER, series: [{ labels: ['', ''], value: ++value, counts: null }] }])
  registry.snapshot()
  assert.equal(registry.snapshot()[0]?.series[0]?.value, 2)
})

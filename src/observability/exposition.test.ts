import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseExposition } from '../../test/support/exposition.ts'
import { renderMetrics } from './exposition.ts'

test('metrics come in alphabetical order, a histogram cumulated and with its sum', () => {
  const text = renderMetrics([
    { name: 'z_total', help: 'Z.', type: 'counter', labels: ['a'], series: [{ labels: ['x'], value: 3, counts: null }] },
    {
      name: 'h',
      help: 'H.',
      type: 'histogram',
      labels: ['a'],
      buckets: [1, 2.5],
      series: [{ labels: ['x'], value: 4.25, counts: [1, 0, 2] }],
    },
    { name: 'empty', help: 'E.', type: 'gauge', labels: [], series: [] },
  ])
  assert.equal(
    text,
    [
      '# HELP h H.',
      '# TYPE h histogram',
      'h_bucket{a="x",le="1"} 1',
      'h_bucket{a="x",le="2.5"} 1',
      'h_bucket{a="x",le="+Inf"} 3',
      'h_count{a="x"} 3',
      'h_sum{a="x"} 4.25',
      '# HELP z_total Z.',
      '# TYPE z_total counter',
      'z_total{a="x"} 3',
      '',
    ].join('\n'),
  )
})

test('no label value ends its quotes or its line', () => {
  for (const value of ['a"b', 'a\\b', 'a\nb', '\\n', 'a"} 1\nfake 2', 'ü', '']) {
    const text = renderMetrics([
      { name: 'm', help: 'A\nB\\', type: 'gauge', labels: ['v'], series: [{ labels: [value], value: 1, counts: null }] },
    ])
    assert.deepEqual(parseExposition(text).samples, [{ name: 'm', labels: { v: value }, value: 1 }])
  }
})

test('a metric without labels has no braces', () => {
  const text = renderMetrics([{ name: 'm', help: 'M.', type: 'gauge', labels: [], series: [{ labels: [], value: 1, counts: null }] }])
  assert.match(text, /^m 1$/m)
})

/** Metrics as text for Prometheus, format 0.0.4. */
import type { MetricSnapshot, Series } from '../telemetry/metrics.ts'

/** Media type of that text. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=UTF-8'

/** Metrics in alphabetical order; one without series is left out. */
export function renderMetrics(metrics: readonly MetricSnapshot[]): string {
  const lines: string[] = []
  for (const metric of [...metrics].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (metric.series.length === 0) continue
    lines.push(`# HELP ${metric.name} ${escaped(metric.help)}`, `# TYPE ${metric.name} ${metric.type}`)
    for (const series of metric.series) {
      if (series.counts === null) lines.push(`${metric.name}${labelsOf(metric, series)} ${series.value}`)
      else renderHistogram(metric, series, series.counts, lines)
    }
  }
  lines.push('')
  return lines.join('\n')
}

function renderHistogram(metric: MetricSnapshot, series: Series, counts: readonly number[], lines: string[]): void {
  let total = 0
  for (const [index, count] of counts.entries()) {
    total += count
    const bound = metric.buckets?.[index]
    lines.push(`${metric.name}_bucket${labelsOf(metric, series, bound === undefined ? '+Inf' : String(bound))} ${total}`)
  }
  const labels = labelsOf(metric, series)
  lines.push(`${metric.name}_count${labels} ${total}`, `${metric.name}_sum${labels} ${series.value}`)
}

function labelsOf({ labels }: MetricSnapshot, series: Series, le?: string): string {
  const pairs = labels.map((name, index) => `${name}="${escaped(series.labels[index] ?? '').replaceAll('"', '\\"')}"`)
  if (le !== undefined) pairs.push(`le="${le}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

/** Reads the text format 0.0.4 of Prometheus strictly: what it does not know it refuses, with the line. */

export type Sample = { name: string; labels: Readonly<Record<string, string>>; value: number }

export type Exposition = {
  /** `counter`, `gauge` or `histogram` by name of the metric. */
  readonly types: ReadonlyMap<string, string>
  readonly samples: readonly Sample[]
  /** The value of the one sample whose name and labels are these; labels that are not named may be anything. Undefined for none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
  /** The sum of all such samples. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/
const VALUE = /^ (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)$/
const ESCAPES: Readonly<Record<string, string>> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' }

/** @throws for any line that the format does not allow, a sample outside its metric's group, a series that comes twice, or a histogram that does not add up */
export function parseExposition(text: string): Exposition {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const types = new Map<string, string>()
  const samples: Sample[] = []
  const seen = new Set<string>()
  let helped = ''
  let current = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const [, mark, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (mark === 'HELP') helped = about
    else if (mark === 'TYPE') {
      if (types.has(about) || helped !== about || !['counter', 'gauge', 'histogram'].includes(rest)) throw new Error(`bad line: ${line}`)
      types.set(about, rest)
      current = about
    } else {
      const sample = parseSample(line)
      const own = types.get(current) === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => current + end) : [current]
      if (!own.includes(sample.name)) throw new Error(`outside of its metric: ${line}`)
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()])
      if (seen.has(key)) throw new Error(`twice: ${line}`)
      seen.add(key)
      samples.push(sample)
    }
  }
  const found = (name: string, labels: Readonly<Record<string, string>> = {}): Sample[] =>
    samples.filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
  for (const [name, type] of types) if (type === 'histogram') checkHistogram(name, found)
  return {
    types,
    samples,
    value(name, labels) {
      const all = found(name, labels)
      if (all.length > 1) throw new Error(`${name}: ${all.length} samples`)
      return all[0]?.value
    },
    sum: (name, labels) => found(name, labels).reduce((total, { value }) => total + value, 0),
  }
}

function parseSample(line: string): Sample {
  const name = NAME.exec(line)?.[0]
  if (name === undefined) throw new Error(`bad line: ${line}`)
  let rest = line.slice(name.length)
  const labels: Record<string, string> = {}
  if (rest.startsWith('{')) {
    do {
      const match = LABEL.exec(rest.slice(1))
      if (match === null) throw new Error(`bad labels: ${line}`)
      const [whole, label = '', value = ''] = match
      if (label in labels) throw new Error(`label twice: ${line}`)
      labels[label] = value.replace(/\\["\\n]/g, (pair) => ESCAPES[pair] ?? '')
      rest = rest.slice(1 + whole.length)
    } while (rest.startsWith(','))
    if (!rest.startsWith('}')) throw new Error(`bad labels: ${line}`)
    rest = rest.slice(1)
  }
  const value = VALUE.exec(rest)?.[1]
  if (value === undefined) throw new Error(`bad value: ${line}`)
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) }
}

/** Buckets never fall, and the last one holds all. */
function checkHistogram(name: string, found: (name: string, labels?: Record<string, string>) => Sample[]): void {
  for (const { labels, value } of found(`${name}_count`)) {
    const buckets = found(`${name}_bucket`, labels)
    const last = buckets.at(-1)
    if (last?.labels['le'] !== '+Inf' || last.value !== value) throw new Error(`${name}: the last bucket does not hold all`)
    for (const [index, bucket] of buckets.entries()) {
      if (index > 0 && bucket.value < (buckets[index - 1]?.value ?? 0)) throw new Error(`${name}: buckets fall`)
    }
    if (found(`${name}_sum`, labels).length !== 1) throw new Error(`${name}: no sum`)
  }
}

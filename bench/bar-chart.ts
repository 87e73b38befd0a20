/** Horizontal bars with their values, as SVG that reads well on a light page and on a dark one. */
import { format } from './summary.ts'

export interface BarChart {
  readonly title: string
  /** What the values are. */
  readonly caption: string
  readonly bars: readonly Bar[]
}

export interface Bar {
  readonly label: string
  readonly value: number
  readonly emphasised?: boolean
}

const WIDTH = 760
const MARGIN = 24
const LABELS = 270
const VALUES = 60
const HEAD = 80
const ROW = 36
const BAR = 20
/** From the middle of a bar to the baseline of the text beside it. */
const BASELINE = 5

export function barChart({ title, caption, bars }: BarChart): string {
  const height = HEAD + bars.length * ROW + MARGIN - (ROW - BAR)
  const greatest = Math.max(...bars.map(({ value }) => value))
  const left = MARGIN + LABELS
  const room = WIDTH - left - VALUES - MARGIN
  const rows = bars.map(({ label, value, emphasised = false }, row) => {
    const y = HEAD + row * ROW
    const baseline = y + BAR / 2 + BASELINE
    const width = Math.max(1, (room * value) / greatest)
    const kind = emphasised ? ' ours' : ''
    return `
  <text class="label${kind}" x="${left - 12}" y="${baseline}" text-anchor="end">${escapeText(label)}</text>
  <rect class="bar${kind}" x="${left}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3"/>
  <text class="value${kind}" x="${(left + width + 8).toFixed(1)}" y="${baseline}">${format(value)}</text>`
  })
  // The picture brings its own ground: a page may be dark while the system is light, and the other way round.
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
  <title>${escapeText(`${title}: ${caption}`)}</title>
  <style>
    text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
    .ground { fill: #ffffff; stroke: #d1d9e0; }
    .title { font-size: 17px; font-weight: 600; }
    .caption { font-size: 13px; fill: #59636e; }
    .bar { fill: #9aa4af; }
    .bar.ours { fill: #0b6bcb; }
    .value { font-variant-numeric: tabular-nums; }
    .ours { font-weight: 600; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .ground { fill: #0d1117; stroke: #3d444d; }
      .caption { fill: #9198a1; }
      .bar { fill: #656c76; }
      .bar.ours { fill: #4493f8; }
    }
  </style>
  <rect class="ground" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
  <text class="title" x="${MARGIN}" y="34">${escapeText(title)}</text>
  <text class="caption" x="${MARGIN}" y="57">${escapeText(caption)}</text>${rows.join('')}
</svg>
`
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

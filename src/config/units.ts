/** Splits a comma list; items are trimmed and empty ones dropped (Kong). */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** Bytes in each unit that nginx knows; a number alone is bytes. */
const BYTES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** Milliseconds in each unit that nginx knows; a number alone is seconds. */
const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, '': 1000, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Reads a size as nginx writes it: `8k`, `10m`, `1g`, or a number of bytes.
 *
 * @returns bytes, or null if the text is not a size
 */
export function parseSize(text: string): number | null {
  const match = /^(\d+)([kmg]?)$/i.exec(text)
  if (match === null) return null
  return safe(Number(match[1]) * (BYTES[match[2]!.toLowerCase()] ?? Number.NaN))
}

/** Writes bytes in the largest unit that loses nothing: 8192 is `8k`. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0'
  const unit = ['g', 'm', 'k'].find((candidate) => bytes % BYTES[candidate]! === 0) ?? ''
  return `${bytes / BYTES[unit]!}${unit}`
}

/**
 * Reads a time as nginx writes it: `60s`, `500ms`, `1m`, `1h`, `1d`, or a number of seconds.
 *
 * @returns milliseconds, or null if the text is not a time
 */
export function parseDuration(text: string): number | null {
  const match = /^(\d+)(ms|[smhd]?)$/.exec(text)
  if (match === null) return null
  return safe(Number(match[1]) * (MILLISECONDS[match[2]!] ?? Number.NaN))
}

/** Writes milliseconds as whole seconds where that loses nothing: 60000 is `60s`. */
export function formatDuration(milliseconds: number): string {
  return milliseconds % 1000 === 0 ? `${milliseconds / 1000}s` : `${milliseconds}ms`
}

function safe(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null
}

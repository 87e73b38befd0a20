/** Several measurements of one thing, as one figure with its spread. */

export interface Summary {
  readonly median: number
  /** Half the distance between the least and the greatest. */
  readonly spread: number
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b)
  const [least = 0, median = 0, greatest = 0] = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
  return { median, spread: (greatest - least) / 2 }
}

/** `compare` of the two measurements of each round: what slows a whole round down is in both, and falls out. */
export function summarisePairs<T>(ours: readonly T[], theirs: readonly T[], compare: (our: T, their: T) => number): Summary {
  const rounds = Math.min(ours.length, theirs.length)
  return summarise(Array.from({ length: rounds }, (_, round) => compare(ours[round] as T, theirs[round] as T)))
}

/** The same in another unit. */
export function scale({ median, spread }: Summary, factor: number): Summary {
  return { median: median * factor, spread: spread * factor }
}

/** A number with about three digits that matter. */
export function format(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

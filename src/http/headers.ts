/**
 * One ordered, case-preserving, multi-valued list of header lines, from the wire to the wire. Values are byte strings (util/bytes.ts). Look-ups take
 * lower-case names.
 */
export class HeaderList {
  readonly #names: string[] = []
  readonly #lower: string[] = []
  readonly #values: string[] = []

  /** From the flat `[name, value, name, value, …]` form. */
  static fromRaw(raw: readonly string[]): HeaderList {
    const list = new HeaderList()
    for (let i = 0; i + 1 < raw.length; i += 2) list.add(raw[i] as string, raw[i + 1] as string)
    return list
  }

  /** Number of lines. */
  get size(): number {
    return this.#names.length
  }

  /** Value of the first line of this name. */
  get(lowerName: string): string | undefined {
    const index = this.#lower.indexOf(lowerName)
    return index === -1 ? undefined : this.#values[index]
  }

  /** Values of all lines of this name, in order. */
  all(lowerName: string): readonly string[] {
    let found: string[] | undefined
    for (let i = 0; i < this.#lower.length; i++) {
      if (this.#lower[i] !== lowerName) continue
      found ??= []
      found.push(this.#values[i] as string)
    }
    return found ?? NONE
  }

  has(lowerName: string): boolean {
    return this.#lower.indexOf(lowerName) !== -1
  }

  /** How many lines bear this name. */
  count(lowerName: string): number {
    let count = 0
    for (const lower of this.#lower) if (lower === lowerName) count++
    return count
  }

  /** Adds a line at the end. */
  add(name: string, value: string): void {
    this.#names.push(name)
    this.#lower.push(lowerCase(name))
    this.#values.push(value)
  }

  /** Replaces all lines of this name by one, at the place of the first; adds it at the end where there was none. */
  set(name: string, value: string): void {
    const lower = lowerCase(name)
    const index = this.#lower.indexOf(lower)
    if (index === -1) {
      this.#names.push(name)
      this.#lower.push(lower)
      this.#values.push(value)
      return
    }
    this.#names[index] = name
    this.#values[index] = value
    if (this.#lower.indexOf(lower, index + 1) !== -1) this.#removeFrom(index + 1, (other) => other === lower)
  }

  /** Removes all lines of this name. */
  remove(lowerName: string): void {
    const index = this.#lower.indexOf(lowerName)
    if (index !== -1) this.#removeFrom(index, (other) => other === lowerName)
  }

  /** Removes every line whose lower-case name fulfils `predicate`. */
  removeWhere(predicate: (lowerName: string) => boolean): void {
    const index = this.#lower.findIndex(predicate)
    if (index !== -1) this.#removeFrom(index, predicate)
  }

  #removeFrom(start: number, predicate: (lowerName: string) => boolean): void {
    let kept = start
    for (let i = start; i < this.#lower.length; i++) {
      const lower = this.#lower[i] as string
      if (predicate(lower)) continue
      this.#names[kept] = this.#names[i] as string
      this.#lower[kept] = lower
      this.#values[kept] = this.#values[i] as string
      kept++
    }
    this.#names.length = kept
    this.#lower.length = kept
    this.#values.length = kept
  }

  /** Calls `visit` for each line, in order. */
  each(visit: (name: string, value: string, lowerName: string) => void): void {
    for (let i = 0; i < this.#names.length; i++) visit(this.#names[i] as string, this.#values[i] as string, this.#lower[i] as string)
  }

  /** The flat form. */
  toRaw(): string[] {
    const raw: string[] = new Array(this.#names.length * 2)
    for (let i = 0; i < this.#names.length; i++) {
      raw[i * 2] = this.#names[i] as string
      raw[i * 2 + 1] = this.#values[i] as string
    }
    return raw
  }
}

const NONE: readonly string[] = []

/** Lower-case forms of the names that were seen, so that usual names cost no new string. Bounded: clients choose names. */
const LOWERED = new Map<string, string>()
const LOWERED_MAX = 1024

function lowerCase(name: string): string {
  const known = LOWERED.get(name)
  if (known !== undefined) return known
  const lower = name.toLowerCase()
  if (LOWERED.size < LOWERED_MAX) LOWERED.set(name, lower)
  return lower
}

import { marksOf } from './field-marks.ts'
import { consistsOf, TOKEN, VALUE } from './octets.ts'

/** A name as it was spelt, with what is asked of it over and over. One object stands for all lines of a usual name. */
export interface FieldName {
  readonly name: string
  readonly lower: string
  /** How its line begins on the wire, with the end of the line before. */
  readonly lineStart: string
  /** Whether it may stand on the wire (RFC 9110 section 5.1). */
  readonly token: boolean
  /** Whether it is one of the two fields that decide a message's length. */
  readonly framing: boolean
  /** Bits of field-marks.ts. */
  readonly marks: number
  /** One bit of {@link bitOf} its lower-case form. */
  readonly bit: number
}

/** One of 32 bits for a name: a list whose names have other bits does not hold it. */
function bitOf(lowerName: string): number {
  const last = lowerName.length - 1
  return 1 << ((lowerName.charCodeAt(0) + 3 * lowerName.charCodeAt(last) + last) & 31)
}

/** Makes the object for a name. */
export function fieldName(name: string): FieldName {
  const lower = name.toLowerCase()
  return {
    name,
    lower,
    lineStart: `\r\n${name}: `,
    token: name !== '' && consistsOf(TOKEN, name),
    framing: lower === 'content-length' || lower === 'transfer-encoding',
    marks: marksOf(lower),
    bit: bitOf(lower),
  }
}

/** Lines from `start` to before `end`, and how they stand on the wire. */
interface Block {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Lines that a list has room for from the start: to make room costs more than to have it. */
const LINES = 24

/**
 * One ordered, case-preserving, multi-valued list of header lines, from the wire to the wire. Values are byte strings (util/bytes.ts). Look-ups take
 * lower-case names.
 */
export class HeaderList {
  // Lines from #size on are left over: to shorten an array costs more than to forget where it ends.
  readonly #names: FieldName[] = new Array(LINES)
  readonly #values: string[] = new Array(LINES)
  #size = 0
  /** Bits of all names that are, or were, in the list. Most names that are asked for are not. */
  #bits = 0
  /** A line was added whose name is no token or whose value would end its line. */
  #suspect = false
  #framed = false
  /** Lines that were added together and stand as they were: their text is ready. */
  #blocks: Block[] | null = null

  /** From the flat `[name, value, name, value, …]` form. */
  static fromRaw(raw: readonly string[]): HeaderList {
    const list = new HeaderList()
    for (let i = 0; i + 1 < raw.length; i += 2) list.add(raw[i] as string, raw[i + 1] as string)
    return list
  }

  /** Number of lines. */
  get size(): number {
    return this.#size
  }

  /** False where no line ever told a length: `Content-Length` and `Transfer-Encoding` need not be looked for. */
  get framed(): boolean {
    return this.#framed
  }

  /** Index of the first line of this name from `from` on, or -1. */
  #indexOf(lowerName: string, from: number): number {
    const bit = bitOf(lowerName)
    return (this.#bits & bit) === 0 ? -1 : this.#find(lowerName, bit, from)
  }

  #find(lowerName: string, bit: number, from: number): number {
    const names = this.#names
    for (let i = from; i < this.#size; i++) {
      const name = names[i] as FieldName
      if (name.bit === bit && name.lower === lowerName) return i
    }
    return -1
  }

  /** Value of the first line of this name. */
  get(lowerName: string): string | undefined {
    const index = this.#indexOf(lowerName, 0)
    return index === -1 ? undefined : this.#values[index]
  }

  /** Value of the one line of this name; undefined where there is none, null where there are several. */
  only(lowerName: string): string | null | undefined {
    const index = this.#indexOf(lowerName, 0)
    if (index === -1) return undefined
    return this.#find(lowerName, bitOf(lowerName), index + 1) === -1 ? (this.#values[index] as string) : null
  }

  /** Values of all lines of this name, in order. */
  all(lowerName: string): readonly string[] {
    const bit = bitOf(lowerName)
    let index = this.#indexOf(lowerName, 0)
    if (index === -1) return NONE
    const found: string[] = []
    for (; index !== -1; index = this.#find(lowerName, bit, index + 1)) found.push(this.#values[index] as string)
    return found
  }

  has(lowerName: string): boolean {
    return this.#indexOf(lowerName, 0) !== -1
  }

  /** How many lines bear this name. */
  count(lowerName: string): number {
    const bit = bitOf(lowerName)
    let count = 0
    for (let index = this.#indexOf(lowerName, 0); index !== -1; index = this.#find(lowerName, bit, index + 1)) count++
    return count
  }

  /** Adds a line at the end. */
  add(name: string, value: string): void {
    const known = knownName(name)
    this.#check(known, value)
    this.addParsed(known, value)
  }

  /** Adds a line whose name is known to be a token and whose value to hold no control but HTAB: for parsers, which have looked at each byte. */
  addParsed(name: FieldName, value: string): void {
    if (name.framing) this.#framed = true
    this.#bits |= name.bit
    this.#names[this.#size] = name
    this.#values[this.#size++] = value
  }

  /** {@link set} for a name that is known to be a token and a value known to hold no control but HTAB. */
  setParsed(name: FieldName, value: string): void {
    const { lower, bit } = name
    const index = (this.#bits & bit) === 0 ? -1 : this.#find(lower, bit, 0)
    if (index === -1) return this.addParsed(name, value)
    if (this.#blocks !== null && index >= (this.#blocks[0] as Block).start) this.#blocks = null
    // The lower-case name stays what it was, and so does what it says about framing.
    this.#names[index] = name
    this.#values[index] = value
    const next = this.#find(lower, bit, index + 1)
    if (next !== -1) this.#removeFrom(next, (other) => other === lower)
  }

  /** Replaces all lines of this name by one, at the place of the first; adds it at the end where there was none. */
  set(name: string, value: string): void {
    this.setField(knownName(name), value)
  }

  /** {@link set} for a name that is made once. */
  setField(name: FieldName, value: string): void {
    this.#check(name, value)
    this.setParsed(name, value)
  }

  /** Removes all lines of this name. */
  remove(lowerName: string): void {
    const index = this.#indexOf(lowerName, 0)
    if (index !== -1) this.#removeFrom(index, (other) => other === lowerName)
  }

  /** Adds lines that were made before. */
  append(lines: HeaderLines): void {
    const { names, values } = lines
    const text = lines.textForUse()
    if (text !== '') {
      this.#blocks ??= []
      this.#blocks.push({ start: this.#size, end: this.#size + names.length, text })
    }
    for (let i = 0; i < names.length; i++) this.addParsed(names[i] as FieldName, values[i] as string)
    if (!lines.clean) this.#suspect = true
  }

  /** Whether a line's name bears one of the bits `marks` (field-marks.ts). */
  hasMarked(marks: number): boolean {
    for (let i = 0; i < this.#size; i++) if (((this.#names[i] as FieldName).marks & marks) !== 0) return true
    return false
  }

  /** Removes every line whose name bears one of the bits `marks` (field-marks.ts). */
  removeMarked(marks: number): void {
    let kept = 0
    for (let i = 0; i < this.#size; i++) if (((this.#names[i] as FieldName).marks & marks) === 0) this.#move(i, kept++)
    this.#shrink(kept)
  }

  /** Removes every line whose lower-case name fulfils `predicate`. */
  removeWhere(predicate: (lowerName: string) => boolean): void {
    this.#removeFrom(0, predicate)
  }

  #removeFrom(start: number, predicate: (lowerName: string) => boolean): void {
    let kept = start
    for (let i = start; i < this.#size; i++) if (!predicate((this.#names[i] as FieldName).lower)) this.#move(i, kept++)
    this.#shrink(kept)
  }

  #move(from: number, to: number): void {
    if (from === to) return
    this.#names[to] = this.#names[from] as FieldName
    this.#values[to] = this.#values[from] as string
  }

  /** Lines were removed: blocks may not be where they were, or not whole. */
  #shrink(size: number): void {
    if (size === this.#size) return
    this.#size = size
    this.#blocks = null
  }

  /** Calls `visit` for each line, in order. */
  each(visit: (name: string, value: string, lowerName: string) => void): void {
    for (let i = 0; i < this.#size; i++) {
      const { name, lower } = this.#names[i] as FieldName
      visit(name, this.#values[i] as string, lower)
    }
  }

  /** Name of line `index` (0 to size - 1). */
  nameAt(index: number): FieldName {
    return this.#names[index] as FieldName
  }

  /** Value of line `index`. */
  valueAt(index: number): string {
    return this.#values[index] as string
  }

  /**
   * A start line with the lines behind it as they stand on the wire. Those that tell a length are left out.
   *
   * @param start without its end
   * @param withLength Content-Length is not
   */
  text(start: string, withLength: boolean): string {
    let text = start
    let next = 0
    for (let i = 0; i < this.#size; ) {
      const block = this.#blocks?.[next]
      if (block?.start === i) {
        text += block.text
        i = block.end
        next++
        continue
      }
      const name = this.#names[i] as FieldName
      if (!name.framing || (withLength && name.lower === 'content-length')) text += name.lineStart + (this.#values[i] as string)
      i++
    }
    return text
  }

  /** Name of the first line that must not go on the wire: its name is no token, or its value holds a control or what is no byte. Undefined: all are clean. */
  unsafeName(): string | undefined {
    if (!this.#suspect) return undefined
    for (let i = 0; i < this.#size; i++) {
      const name = this.#names[i] as FieldName
      if (!isClean(name, this.#values[i] as string)) return name.name
    }
    return undefined
  }

  #check(name: FieldName, value: string): void {
    if (!isClean(name, value)) this.#suspect = true
  }

  /** The flat form. */
  toRaw(): string[] {
    const raw: string[] = []
    for (let i = 0; i < this.#size; i++) raw.push((this.#names[i] as FieldName).name, this.#values[i] as string)
    return raw
  }
}

/** Lines that are made once and added to many heads; what there is to check was checked then. */
export class HeaderLines {
  readonly names: readonly FieldName[]
  readonly values: readonly string[]
  /** All may go on the wire. */
  readonly clean: boolean
  #uses = 0
  #text = ''

  /** @param raw flat: `[name, value, …]` */
  constructor(raw: readonly string[]) {
    const names: FieldName[] = []
    const values: string[] = []
    let clean = true
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = knownName(raw[i] as string)
      const value = raw[i + 1] as string
      names.push(name)
      values.push(value)
      clean &&= isClean(name, value)
    }
    this.names = names
    this.values = values
    this.clean = clean
  }

  /** As they stand on the wire, from the second use on, as what is used once needs no text; '' where one is not clean, or tells a length, which is left out at times. */
  textForUse(): string {
    if (this.#uses < 2 && ++this.#uses === 2) this.#text = this.#makeText()
    return this.#text
  }

  #makeText(): string {
    if (!this.clean || this.names.some(({ framing }) => framing)) return ''
    return this.names.map(({ lineStart }, i) => lineStart + this.values[i]).join('')
  }
}

const NONE: readonly string[] = []

/** RFC 9110 sections 5.1, 5.5. */
function isClean(name: FieldName, value: string): boolean {
  return name.token && consistsOf(VALUE, value)
}

/** Names that were seen, so that usual ones cost no new string. Bounded: clients choose names. */
const KNOWN = new Map<string, FieldName>()
const KNOWN_MAX = 1024

function knownName(name: string): FieldName {
  const known = KNOWN.get(name)
  if (known !== undefined) return known
  const made = fieldName(name)
  if (KNOWN.size < KNOWN_MAX) KNOWN.set(name, made)
  return made
}

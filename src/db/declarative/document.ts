/**
 * The text of a declarative file as a value, with the way back from a value to its line.
 *
 * The YAML is 1.2 (so a name like `12:30` is text) with the two things of 1.1 that files written for Kong use: merge keys, and `yes`, `no`, `on`, `off`
 * as booleans. A file is bounded by more than its size, because aliases can make a small one expand without end.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type Scalar,
  type Tags,
  type Node as YamlNode,
} from 'yaml'
import { isDeeperThan } from '../../http/arguments.ts'
import { setOwn } from '../../util/own-property.ts'

/** Levels of lists and maps; the deepest plugin configuration has about ten. */
const MAX_DEPTH = 100
/** How many values aliases may add to those that are written out. */
const MAX_ALIAS_EXPANSION = 1_000_000
/** Characters of a JSON text up to which a line is searched for an error: it takes the slower YAML reader. */
const MAX_LOCATED_JSON = 2_000_000

export type SourceFormat = 'yaml' | 'json'

/** Where to look in the text; both count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** Steps from the root to a value: member names, and list positions from 0. */
export type Path = readonly (string | number)[]

export interface SourceDocument {
  readonly value: unknown
  /** The position of the value at `path`, or of the nearest enclosing value that is written; undefined where there is no text. */
  positionOf(path: Path): Position | undefined
}

/** The text is no YAML or JSON that we accept. The message never quotes the text. */
export class DocumentError extends Error {
  readonly code = 'GW_DECLARATIVE_SYNTAX'
  constructor(message: string, position?: Position) {
    super(position === undefined ? message : `${message} at line ${position.line}, column ${position.column}`)
    this.name = 'DocumentError'
  }
}

/** A value that did not come from text. */
export function valueDocument(value: unknown): SourceDocument {
  return { value, positionOf: () => undefined }
}

/**
 * Reads the text. Without a format JSON is tried first, then YAML.
 * @throws {DocumentError}
 */
export function readDocument(text: string, format?: SourceFormat): SourceDocument {
  if (format !== 'yaml') {
    const document = readJson(text, format === 'json')
    if (document !== undefined) return document
  }
  return new YamlReader(text).read()
}

function readJson(text: string, only: boolean): SourceDocument | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (isDeeperThan(value, MAX_DEPTH)) throw new DocumentError('nested too deeply')
    return { value, positionOf: (path) => locateInJson(text, path) }
  } catch (error) {
    if (error instanceof DocumentError) throw error
    if (only) throw new DocumentError('not valid JSON', positionIn(text, error))
    return undefined
  }
}

function locateInJson(text: string, path: Path): Position | undefined {
  if (text.length > MAX_LOCATED_JSON) return undefined
  try {
    return new YamlReader(text).read().positionOf(path)
  } catch {
    return undefined
  }
}

/** V8 names the offset in most of its messages, and otherwise quotes the text, which we do not repeat. */
function positionIn(text: string, error: unknown): Position | undefined {
  const match = /at position (\d+)/.exec(error instanceof Error ? error.message : '')
  if (match === null) return undefined
  const before = text.slice(0, Number(match[1])).split('\n')
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}

/** Booleans as YAML 1.1 and Kong know them, except the single letters, which are more often names. */
const BOOLEAN = {
  tag: 'tag:yaml.org,2002:bool',
  default: true as const,
  identify: (value: unknown) => typeof value === 'boolean',
  test: /^(?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (text: string) => /^(?:t|y|on)/i.test(text),
}

/** The core tags with {@link BOOLEAN} in the place of theirs. */
function withOldBooleans(tags: Tags): Tags {
  return tags.map((tag) => (typeof tag === 'object' && tag.tag === BOOLEAN.tag ? BOOLEAN : tag))
}

class YamlReader {
  readonly #lines = new LineCounter()
  readonly #root: ParsedNode | null
  readonly #targets = new Map<YamlNode, YamlNode>()
  #budget = MAX_ALIAS_EXPANSION

  constructor(text: string) {
    const document = parse(text, this.#lines)
    const fault = document.errors[0]
    if (fault !== undefined) throw new DocumentError(faultText(fault), this.#position(fault.pos[0]))
    this.#root = document.contents
    if (this.#root !== null) this.#linkAliases(this.#root, new Map(), 0)
  }

  read(): SourceDocument {
    const value = this.#root === null ? null : this.#toValue(this.#root, 0)
    return { value, positionOf: (path) => this.#locate(path) }
  }

  /** An alias means the last node before it that bears the anchor. Counts what is written, so that the budget is for expansions only. */
  #linkAliases(node: unknown, anchors: Map<string, YamlNode>, depth: number): void {
    if (depth > MAX_DEPTH) throw new DocumentError('nested too deeply')
    this.#budget += 1
    if (isAlias(node)) {
      const target = anchors.get(node.source)
      if (target === undefined) throw new DocumentError(`unknown alias '${node.source}'`, this.#positionOfNode(node))
      this.#targets.set(node, target)
      return
    }
    if (isScalar(node) || isMap(node) || isSeq(node)) if (node.anchor !== undefined) anchors.set(node.anchor, node)
    if (isSeq(node)) for (const item of node.items) this.#linkAliases(item, anchors, depth + 1)
    if (!isMap(node)) return
    for (const pair of node.items) {
      this.#linkAliases(pair.key, anchors, depth + 1)
      this.#linkAliases(pair.value, anchors, depth + 1)
    }
  }

  #follow(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node
  }

  #toValue(written: unknown, depth: number): unknown {
    if (depth > MAX_DEPTH) throw new DocumentError('nested too deeply')
    this.#budget -= 1
    if (this.#budget < 0) throw new DocumentError('aliases expand to too many values')
    const node = this.#follow(written)
    if (isScalar(node)) return node.value
    if (isSeq(node)) return node.items.map((item) => this.#toValue(item, depth + 1))
    return isMap(node) ? this.#toRecord(node.items, depth) : null
  }

  #toRecord(pairs: readonly { readonly key: unknown; readonly value: unknown }[], depth: number): Record<string, unknown> {
    const own: Record<string, unknown> = {}
    const merged: Record<string, unknown> = {}
    for (const { key, value } of pairs) {
      if (isMergeKey(key)) this.#merge(merged, value, depth)
      else setOwn(own, this.#memberName(key), this.#toValue(value, depth + 1))
    }
    for (const [name, value] of Object.entries(merged)) if (!Object.hasOwn(own, name)) setOwn(own, name, value)
    return own
  }

  /** Of several merged maps the earlier wins. */
  #merge(into: Record<string, unknown>, written: unknown, depth: number): void {
    const value = this.#toValue(written, depth + 1)
    for (const source of Array.isArray(value) ? value : [value]) {
      if (typeof source !== 'object' || source === null || Array.isArray(source)) {
        throw new DocumentError('a merge key needs a map', this.#positionOfNode(written))
      }
      for (const [name, item] of Object.entries(source)) if (!Object.hasOwn(into, name)) setOwn(into, name, item)
    }
  }

  #memberName(written: unknown): string {
    const key = this.#follow(written)
    if (!isScalar(key)) throw new DocumentError('the name of a member must be text', this.#positionOfNode(written))
    return key.source ?? String(key.value)
  }

  #locate(path: Path): Position | undefined {
    let node: unknown = this.#root
    let found: unknown = this.#root
    for (const step of path) {
      const holder = this.#follow(node)
      const next =
        isSeq(holder) && typeof step === 'number' ? { at: holder.items[step], node: holder.items[step] } : this.#member(holder, step)
      if (next === undefined || next.node === undefined) break
      node = next.node
      found = next.at
    }
    return this.#positionOfNode(found)
  }

  #member(holder: unknown, name: string | number): { readonly at: unknown; readonly node: unknown } | undefined {
    if (!isMap(holder)) return undefined
    const pair = holder.items.find(({ key }) => isScalar(key) && !isMergeKey(key) && (key.source ?? String(key.value)) === String(name))
    return pair === undefined ? undefined : { at: pair.key, node: pair.value }
  }

  #positionOfNode(node: unknown): Position | undefined {
    if (!isAlias(node) && !isScalar(node) && !isMap(node) && !isSeq(node)) return undefined
    return node.range === null || node.range === undefined ? undefined : this.#position(node.range[0])
  }

  #position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset)
    return { line, column: col }
  }
}

function parse(text: string, lineCounter: LineCounter) {
  try {
    return parseDocument(text, { lineCounter, merge: true, prettyErrors: false, logLevel: 'error', customTags: withOldBooleans })
  } catch {
    // The reader is recursive: what does not fit the stack is not a configuration.
    throw new DocumentError('nested too deeply')
  }
}

/** The reader, being recursive, reports a full stack like any other fault. */
function faultText(fault: Error): string {
  return fault.message.startsWith('Maximum call stack') ? 'nested too deeply' : fault.message
}

/** The reader marks a merge key by a symbol in the place of its text. */
function isMergeKey(key: unknown): key is Scalar<symbol> {
  return isScalar(key) && typeof key.value === 'symbol'
}

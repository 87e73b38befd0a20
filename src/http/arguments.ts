/**
 * Arguments of a management request: JSON, a form, multipart or YAML, read into one object. The grammar of form keys (`config.auth_methods[1]`,
 * `headers[x-a][]`) is Kong's; typing the values is the business of schema/infer.ts, because only a schema knows what is meant.
 *
 * What comes in is hostile: the number of arguments, the depth of keys and of JSON, and the positions of lists are bounded here, the size of the body
 * is bounded by whoever reads it. Members named `__proto__` or `constructor` are ordinary members.
 */
import busboy from 'busboy'
import { asBuffer } from '../util/bytes.ts'
import { parseJson } from '../util/json.ts'
import { setOwn } from '../util/own-property.ts'
import { parseQuery, type QueryArgument } from './query.ts'

/** Bytes of the largest body (Kong's `nginx_admin_client_max_body_size`). */
const MAX_BODY_BYTES = 10 * 1024 * 1024
/** Arguments of a query, a form or a multipart body. */
const MAX_ARGUMENTS = 1000
/** Levels of nested JSON, as many as Kong's decoder allows. */
const MAX_JSON_DEPTH = 1000
/** Steps of one form key; a longer key is taken literally. */
const MAX_KEY_STEPS = 64

/** A request whose body or query cannot be read. `text` is the message to answer with; null asks for an empty body. */
export class ArgumentsError extends Error {
  readonly code = 'GW_ARGUMENTS'
  readonly status: 400 | 415
  readonly text: string | null
  constructor(status: 400 | 415, text: string | null) {
    super(text ?? 'unsupported content type')
    this.name = 'ArgumentsError'
    this.status = status
    this.text = text
  }
}

export type BodyKind = 'none' | 'json' | 'form' | 'yaml'

/** A body as one object. `kind` tells whether values carry their own types (`json`) or are text (`form`, multipart included). */
export interface Arguments {
  readonly kind: BodyKind
  readonly values: Readonly<Record<string, unknown>>
  /** The raw text of a JSON or YAML body. */
  readonly text: string | null
}

const NO_ARGUMENTS: Arguments = { kind: 'none', values: {}, text: null }

/**
 * Reads a body by its content type. A type is recognised by its case-sensitive beginning, as in Kong.
 *
 * @param contentTypes every `Content-Type` field value of the request
 * @param options.yaml whether `application/yaml` and `text/yaml` are accepted; the text is handed on unparsed
 * @throws {ArgumentsError} 415 without text for other types, and for a body without any; 400 for what cannot be read
 */
export async function readArguments(
  contentTypes: readonly string[],
  body: Uint8Array,
  options: { readonly yaml?: boolean } = {},
): Promise<Arguments> {
  if (contentTypes.length > 1) throw new ArgumentsError(400, 'Multiple Content-Type headers not allowed')
  const type = contentTypes[0]
  if (type === undefined || type === '') {
    if (body.length === 0) return NO_ARGUMENTS
    throw new ArgumentsError(415, null)
  }
  if (type.startsWith('application/json')) return readJson(textOf(body))
  if (type.startsWith('application/x-www-form-urlencoded'))
    return { kind: 'form', values: decodeForm(asBuffer(body).toString('latin1')), text: null }
  if (type.startsWith('multipart/form-data')) return { kind: 'form', values: await decodeMultipart(type, body), text: null }
  if (options.yaml === true && (type.startsWith('application/yaml') || type.startsWith('text/yaml'))) {
    return { kind: 'yaml', values: {}, text: textOf(body) }
  }
  throw new ArgumentsError(415, null)
}

function textOf(body: Uint8Array): string {
  return asBuffer(body).toString('utf8')
}

// ------------------------------------------------------------------------------------------------------------------------------------------ JSON

function readJson(text: string): Arguments {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isDeeperThan(value, MAX_JSON_DEPTH)) {
    throw new ArgumentsError(400, 'Cannot parse JSON body')
  }
  return { kind: 'json', values: { ...value }, text }
}

/** Whether containers nest more than `levels` deep. Level by level and not recursive, so that no input can overflow the stack. */
export function isDeeperThan(value: unknown, levels: number): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; ; depth++) {
    const containers = level.filter((item) => typeof item === 'object' && item !== null)
    if (containers.length === 0) return false
    if (depth === levels) return true
    level = containers.flatMap((container) => Object.values(container))
  }
}

// ----------------------------------------------------------------------------------------------------------------------------------------- forms

/**
 * Decodes `application/x-www-form-urlencoded`, a byte string. A name without `=` is `true`, `name=` the empty string.
 * @throws {ArgumentsError} 400 for more than 1000 arguments
 */
export function decodeForm(text: string): Record<string, unknown> {
  return assemble(parseQuery(text), true)
}

/**
 * Decodes a query (with or without `?`) by the same grammar, but a bracket that is no position stays a part of the name.
 * @throws {ArgumentsError} 400 for more than 1000 arguments
 */
export function decodeQuery(query: string): Record<string, unknown> {
  return assemble(parseQuery(query), false)
}

type Value = string | true
type Step =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'position'; readonly index: number }
  | { readonly kind: 'append' }

function assemble(pairs: readonly QueryArgument[], members: boolean): Record<string, unknown> {
  if (pairs.length > MAX_ARGUMENTS) throw new ArgumentsError(400, 'Too many arguments')
  const grouped = new Map<string, Value[]>()
  for (const { name, value } of pairs) {
    if (name === '') continue
    const values = grouped.get(name)
    if (values === undefined) grouped.set(name, [value ?? true])
    else values.push(value ?? true)
  }
  const root: Record<string, unknown> = {}
  for (const [key, values] of grouped) place(root, stepsOf(key, members), values)
  return root
}

/** `config.x[2].y` → member config, member x, position 2, member y. What does not fit the grammar is one member with that very name. */
function stepsOf(rawKey: string, members: boolean): Step[] {
  const key = rawKey.replace(/%5b/gi, '[').replace(/%5d/gi, ']')
  const segments = splitAtDots(key)
  const steps = segments?.flatMap((segment) => stepsOfSegment(segment, members))
  return steps === undefined || steps.length > MAX_KEY_STEPS ? [{ kind: 'member', name: key }] : steps
}

/** Splits at dots outside brackets; undefined where a segment would be empty. */
function splitAtDots(key: string): string[] | undefined {
  const segments: string[] = []
  let start = 0
  let bracketed = false
  for (let i = 0; i <= key.length; i++) {
    const character = key[i]
    if (character === '[') bracketed = true
    else if (character === ']') bracketed = false
    else if (i === key.length || (character === '.' && !bracketed)) {
      if (i === start) return undefined
      segments.push(key.slice(start, i))
      start = i + 1
    }
  }
  return segments
}

function stepsOfSegment(segment: string, members: boolean): Step[] {
  const match = /^(\[[^\]]*\]|[^[]+)((?:\[[^\]]*\])*)$/s.exec(segment)
  const [, name = segment, suffixes = ''] = match ?? []
  const steps: Step[] = [{ kind: 'member', name }]
  for (const [, inner = ''] of suffixes.matchAll(/\[([^\]]*)\]/g)) {
    const position = /^\d{1,6}$/.test(inner) ? Number(inner) : 0
    if (inner === '') steps.push({ kind: 'append' })
    else if (position >= 1 && position <= MAX_ARGUMENTS) steps.push({ kind: 'position', index: position - 1 })
    else if (members) steps.push({ kind: 'member', name: inner })
    else return [{ kind: 'member', name: segment }]
  }
  return steps
}

type Container = Record<string, unknown> | unknown[]

function place(root: Record<string, unknown>, steps: readonly Step[], values: readonly Value[]): void {
  let container: Container = root
  for (const [at, step] of steps.entries()) {
    const next = steps[at + 1]
    if (next === undefined) setLeaf(container, step, values)
    else container = descend(container, step, next)
  }
}

function setLeaf(container: Container, step: Step, values: readonly Value[]): void {
  if (step.kind === 'append' && Array.isArray(container)) container.push(...values)
  else put(container, step, values.length === 1 ? values[0] : [...values])
}

/** The container under `step`, made or converted so that `next` can be placed in it. */
function descend(container: Container, step: Step, next: Step): Container {
  const before = get(container, step)
  const list = next.kind !== 'member'
  let inner: Container
  if (Array.isArray(before)) {
    if (list) return before
    // A list that turns out to have named members: no schema accepts it, and nothing given is lost from the answer.
    inner = {}
    for (const [index, item] of before.entries()) setOwn(inner, String(index + 1), item)
  } else if (typeof before === 'object' && before !== null) return before as Record<string, unknown>
  else if (before === undefined || before === null) inner = list ? [] : {}
  else inner = list ? [before] : {}
  put(container, step, inner)
  return inner
}

function get(container: Container, step: Step): unknown {
  if (Array.isArray(container)) return step.kind === 'position' ? container[step.index] : undefined
  const name = memberName(container, step)
  return Object.hasOwn(container, name) ? container[name] : undefined
}

function put(container: Container, step: Step, value: unknown): void {
  if (!Array.isArray(container)) setOwn(container, memberName(container, step), value)
  else if (step.kind === 'position') {
    // Positions left out are null: the schema then says that an element is missing.
    while (container.length < step.index) container.push(null)
    container[step.index] = value
  } else container.push(value)
}

/** A position in what is already an object becomes a member named by its number. */
function memberName(container: Record<string, unknown>, step: Step): string {
  if (step.kind === 'member') return step.name
  return String(step.kind === 'position' ? step.index + 1 : Object.keys(container).length + 1)
}

// ------------------------------------------------------------------------------------------------------------------------------------- multipart

interface Part {
  readonly name: string
  value: string
}

/** Every part under its name, files by their content. A malformed body has no arguments, as in Kong. */
async function decodeMultipart(contentType: string, body: Uint8Array): Promise<Record<string, unknown>> {
  const parts = await readParts(contentType, body)
  return assemble(parts, true)
}

function readParts(contentType: string, body: Uint8Array): Promise<Part[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Part[]>()
  const parts: Part[] = []
  const tooMany = () => reject(new ArgumentsError(400, 'Too many arguments'))
  try {
    const reader = busboy({
      headers: { 'content-type': contentType },
      defParamCharset: 'utf8',
      limits: { fieldNameSize: 4096, fieldSize: MAX_BODY_BYTES, fileSize: MAX_BODY_BYTES, parts: MAX_ARGUMENTS, headerPairs: 100 },
    })
    reader.on('field', (name, value) => parts.push({ name, value }))
    reader.on('file', (name, stream) => {
      const part: Part = { name, value: '' }
      parts.push(part)
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', () => resolve([]))
      stream.on('end', () => {
        part.value = Buffer.concat(chunks).toString('utf8')
      })
    })
    reader.on('partsLimit', tooMany)
    reader.on('error', () => resolve([]))
    reader.on('close', () => resolve(parts))
    reader.end(body)
  } catch {
    resolve([])
  }
  return promise
}

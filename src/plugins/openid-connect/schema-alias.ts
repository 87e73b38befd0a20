/**
 * Older names of configuration fields. A shorthand is checked by its own type, translated and forgotten: only the present name is stored.
 *
 * Two generations exist. A `reconciled` name is echoed in Admin API answers and names its replacement in `GET /schemas`, so that decK can reconcile both; to
 * give both names different values is a violation. A `silent` name only fills the present one where that is absent or null, and is not echoed. All of this
 * is Kong's behaviour.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Field, Shorthand, ShorthandResult, Shorthands } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { isObject } from '../../schema/validate.ts'

/** Release in which Kong drops its deprecated names. */
const REMOVAL_VERSION = '4.0'

/** Members to descend through, from the record that the shorthand stands in. */
export type Path = readonly string[]

/** One older name. */
export interface Alias {
  readonly field: Field
  /** Where the value lives now; the first is the one that is read back. Empty: the name is accepted and does nothing. */
  readonly to: readonly Path[]
  /** `renamed`: reconciled, but its value has another shape than its replacement, so that no client may copy one to the other. */
  readonly kind: 'reconciled' | 'renamed' | 'silent'
  /** Older value → present value. Default: the same. */
  readonly write?: (value: unknown) => unknown
  /** Present value → older value. Default: the same. */
  readonly read?: (value: unknown) => unknown
}

/** A name whose value moved, unchanged, to `to`. */
export function moved(type: Field, ...to: readonly Path[]): Alias {
  return { field: type, to, kind: 'reconciled' }
}

/** A name of the older generation: fills `to`, is never shown. */
export function silent(type: Field, to: Path, write?: (value: unknown) => unknown): Alias {
  return { field: type, to: [to], kind: 'silent', ...(write === undefined ? {} : { write }) }
}

/** A name whose behaviour is gone: accepted and without effect. */
export function ignored(type: Field): Alias {
  return { field: type, to: [], kind: 'silent' }
}

/** `host:port` texts for what is a list of records now; `hostName` is the record's member for the host. */
export function addresses(to: string, hostName: 'host' | 'ip'): Alias {
  return {
    field: field.array({ lenMin: 1, elements: field.string({ validator: addressViolation }) }),
    to: [[to]],
    kind: 'reconciled',
    write: (value) => (Array.isArray(value) ? value.map((text) => parseAddress(String(text), hostName)) : null),
    read: (value) => (Array.isArray(value) ? value.map((node) => printAddress(node, hostName)) : null),
  }
}

/** The shorthands of a record, from a table of older names. `record` is its path, for the deprecation messages. */
export function shorthandsOf(record: string, table: Readonly<Record<string, Alias>>): Shorthands {
  return Object.fromEntries(Object.entries(table).map(([name, alias]) => [name, shorthandOf(record, name, alias)]))
}

function shorthandOf(record: string, name: string, alias: Alias): Shorthand {
  const { kind, to, read = same } = alias
  const target = to[0]
  return {
    field: alias.field,
    expand: (value, input) => expand(name, alias, value, input),
    ...(kind === 'reconciled' ? { replacedWith: to } : {}),
    ...(kind === 'silent' || target === undefined ? {} : { echo: (record) => read(valueAt(record, target) ?? null) }),
    deprecation: { message: deprecationText(record, name, to), removalInVersion: REMOVAL_VERSION },
  }
}

function deprecationText(record: string, name: string, to: readonly Path[]): string {
  const present = to.map((path) => `${record}.${path.join('.')}`).join(', ')
  const advice = to.length === 0 ? ' and has no effect' : `, please use ${present} instead`
  return `openid-connect: ${record}.${name} is deprecated${advice}`
}

function expand(name: string, alias: Alias, value: unknown, input: JsonObject): ShorthandResult {
  const { kind, to, write = same } = alias
  const clash = kind === 'silent' || value === null ? undefined : to.find((path) => differs(alias, value, valueAt(input, path)))
  if (clash !== undefined) return { violations: { [name]: mismatchText(name, alias, value, clash, input) } }
  const open = to.filter((path) => (valueAt(input, path) ?? null) === null && isReachable(input, path))
  return { values: Object.assign({}, ...open.map((path) => nest(path, write(value)))) }
}

function differs({ read = same }: Alias, value: unknown, present: unknown): boolean {
  return present !== undefined && present !== null && !isDeepStrictEqual(read(present), value)
}

/** Kong's text, but for secrets: both values of a password are not for the answer. */
function mismatchText(name: string, { field: type, read = same }: Alias, value: unknown, path: Path, input: JsonObject): string {
  const show = (shown: unknown) => (type.options.encrypted === true ? '***' : typeof shown === 'string' ? shown : JSON.stringify(shown))
  const present = read(valueAt(input, path))
  return `both deprecated and new field are used but their values mismatch: ${name} = ${show(value)} vs ${path.join('.')} = ${show(present)}`
}

function valueAt(record: JsonObject, path: Path): unknown {
  let value: unknown = record
  for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  return value
}

/** False where a record on the way is something else, which its own check will say. */
function isReachable(record: JsonObject, path: Path): boolean {
  return path.slice(0, -1).every((_, index) => {
    const parent = valueAt(record, path.slice(0, index + 1)) ?? null
    return parent === null || isObject(parent)
  })
}

function nest(path: Path, value: unknown): JsonObject {
  return path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as JsonObject
}

function same(value: unknown): unknown {
  return value
}

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[^:\s]+):(\d{1,5})$/

function addressViolation(text: string): string | undefined {
  const port = Number(ADDRESS.exec(text)?.[2] ?? Number.NaN)
  return port <= 65_535 ? undefined : 'expected host:port'
}

function parseAddress(text: string, hostName: string): JsonObject {
  const [, host = '', port = ''] = ADDRESS.exec(text) ?? []
  return { [hostName]: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

function printAddress(node: unknown, hostName: string): string {
  const { [hostName]: host, port } = isObject(node) ? node : {}
  const text = String(host ?? '127.0.0.1')
  return `${text.includes(':') ? `[${text}]` : text}:${String(port ?? 6379)}`
}

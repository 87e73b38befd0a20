import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { INSTRUMENTATIONS } from '../telemetry/trace.ts'
import { type Listener, ListenerSyntaxError, parseListeners } from './listeners.ts'
import { Secret } from './secret.ts'
import { formatDuration, formatSize, parseDuration, parseSize, splitList } from './units.ts'

/** A value as the Admin API shows it. */
export type Shown = string | number | boolean | readonly string[]

/** What relative paths are relative to. */
export interface Place {
  /** Absolute: working directory of the process that was started. */
  readonly cwd: string
  /** Absolute: the data directory. */
  readonly prefix: string
}

/** How a text becomes a value and a value is shown. */
export interface Kind<T> {
  /** Word for the reference and for `<name> is not a <type>`. */
  readonly type: string
  readonly oneOf: readonly string[] | null
  /** Whether items are separated by commas, so that each of them may be a vault reference. */
  readonly list: boolean
  /** Whether the value must not be shown. */
  readonly sensitive: boolean
  /**
   * @param text trimmed, not empty unless the default is
   * @throws {SettingViolation} the text is not a value of this kind
   */
  read(text: string, name: string, place: Place): T
  show(value: T): Shown
}

/** What a setting says beside its kind. */
export interface SettingOptions {
  /** Text that stands for an absent setting; without one the value is null. */
  readonly default?: string
  readonly description: string
  /** Unit of a number: `s`, `ms`. */
  readonly unit?: string
  /** Other names of the same setting, weakest first: the nginx directives that Kong injects under these names. */
  readonly aliases?: readonly string[]
}

/** One setting: everything that loading, showing and documenting it needs. */
export interface Setting<T> {
  readonly kind: Pick<Kind<T>, 'type' | 'oneOf' | 'list' | 'sensitive'>
  readonly default: string | null
  readonly description: string
  readonly unit: string | null
  readonly aliases: readonly string[]
  /** @throws {SettingViolation} the text is not a value of this setting */
  read(text: string | null, name: string, place: Place): T
  show(value: T): Shown | null
}

/** The type of a setting's value. */
export type ValueOf<S> = S extends Setting<infer T> ? T : never

/** A text that is no value of its setting; the message is what the operator reads. */
export class SettingViolation extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SettingViolation'
  }
}

/** Makes a setting of a kind. With a default its value is never null. */
export function setting<T>(kind: Kind<T>, options: SettingOptions & { readonly default: string }): Setting<T>
export function setting<T>(kind: Kind<T>, options: SettingOptions): Setting<T | null>
export function setting<T>(kind: Kind<T>, options: SettingOptions): Setting<T | null> {
  return {
    kind,
    default: options.default ?? null,
    description: options.description,
    unit: options.unit ?? null,
    aliases: options.aliases ?? [],
    read: (text, name, place) => (text === null ? null : kind.read(text, name, place)),
    show: (value) => (value === null ? null : kind.show(value)),
  }
}

function kind<T>(type: string, read: Kind<T>['read'], show: Kind<T>['show'], rest: Partial<Kind<T>> = {}): Kind<T> {
  return { type, oneOf: null, list: false, sensitive: false, read, show, ...rest }
}

const asIs = <T extends Shown>(value: T): T => value

/** Any text. */
export const string: Kind<string> = kind('string', asIs, asIs)

/** A text that is shown nowhere. */
export const secret: Kind<Secret> = kind<Secret>(
  'string',
  (text) => new Secret(text),
  () => '******',
  { sensitive: true },
)

/**
 * `on` or `true`, `off` or `false`. Kong takes every other word as `off`; we refuse it, so that `admin_insecure = no` and a misspelt `on`
 * are not the same thing.
 */
export const boolean: Kind<boolean> = kind(
  'boolean',
  (text, name) => {
    if (text === 'on' || text === 'true') return true
    if (text === 'off' || text === 'false') return false
    throw new SettingViolation(`${name} is not a boolean: '${text}'`)
  },
  asIs,
)

/**
 * A string as nginx tells conditions: `0`, `off` and nothing are false, every other text is true. One that only nginx could work out is refused: taken for true,
 * it would say more than its author meant.
 */
export const condition: Kind<boolean> = kind(
  'string',
  (text, name) => {
    if (text.includes('$')) throw new SettingViolation(`${name} holds a variable of nginx, which means nothing here: '${text}'`)
    return text !== '0' && text !== 'off'
  },
  asIs,
)

/** Which numbers are allowed, both ends included. */
export interface Range {
  readonly min: number
  readonly max?: number
}

/** A number; Kong takes other text as unset, we refuse it. */
export function number(range: Range): Kind<number> {
  return kind('number', (text, name) => inRange(toNumber(text, name), name, range), asIs)
}

/** A whole number. */
export function integer(range: Range): Kind<number> {
  return kind('integer', (text, name) => toInteger(text, name, range), asIs)
}

/** A whole number or the word `auto`. */
export function integerOrAuto(range: Range): Kind<number | 'auto'> {
  return kind<number | 'auto'>('integer', (text, name) => (text === 'auto' ? text : toInteger(text, name, range)), asIs)
}

/** One of a few words. */
export function oneOf<const V extends string>(...values: readonly V[]): Kind<V> {
  const read = (text: string, name: string): V => {
    const value = values.find((candidate) => candidate === text)
    if (value === undefined) throw new SettingViolation(`${name} has an invalid value: '${text}' (${values.join(', ')})`)
    return value
  }
  return kind<V>('enum', read, asIs, { oneOf: values })
}

/** A comma list of any texts. */
export const list: Kind<readonly string[]> = kind('list', splitList, asIs, { list: true })

/**
 * A comma list whose items are checked and put into one form.
 *
 * @param normalize gives the item in its form, or null if it is not one
 * @param complain  gives the error text for the item
 */
export function listOf(
  normalize: (item: string) => string | null,
  complain: (name: string, item: string) => string,
): Kind<readonly string[]> {
  const read = (text: string, name: string): readonly string[] =>
    splitList(text).map((item) => {
      const value = normalize(item)
      if (value === null) throw new SettingViolation(complain(name, item))
      return value
    })
  return kind('list', read, asIs, { list: true })
}

/** A comma list of words in any case, or `off` for none of them; the value is in lower case. */
export function tokens(...values: readonly string[]): Kind<readonly string[]> {
  const items = listOf(
    (item) => (item.toLowerCase() === 'off' || values.includes(item.toLowerCase()) ? item.toLowerCase() : null),
    (name, item) => `${name}: invalid entry '${item}'`,
  )
  const read: Kind<readonly string[]>['read'] = (text, name, place) => {
    const found = items.read(text, name, place)
    return found.includes('off') ? [] : found
  }
  return kind('list', read, offIfEmpty, { list: true, oneOf: ['off', ...values] })
}

/** Entries of `tracing_instrumentations`; `db_query` is Kong's, and there is nothing to show for it. */
const TRACED = ['off', 'request', 'all', 'db_query', ...INSTRUMENTATIONS]

/** Kong's `tracing_instrumentations`: a comma list; `off` stands alone, and is the empty list. */
export const instrumentations: Kind<readonly string[]> = kind(
  'list',
  (text, name) => {
    const found = splitList(text)
    const unknown = found.find((item) => !TRACED.includes(item))
    if (unknown !== undefined) throw new SettingViolation(`${name}: invalid tracing type: ${unknown}`)
    if (found.includes('off') && found.length > 1) {
      throw new SettingViolation(`${name}: invalid tracing types: off, other types are mutually exclusive`)
    }
    return found.filter((item) => item !== 'off')
  },
  offIfEmpty,
  { list: true, oneOf: TRACED },
)

/** A comma list of names, or `off` for none. */
export const namesOrOff: Kind<readonly string[]> = kind('list', (text) => (text === 'off' ? [] : splitList(text)), offIfEmpty, {
  list: true,
})

/** Addresses to listen on, or `off` for none. */
export const listeners: Kind<readonly Listener[]> = kind<readonly Listener[]>(
  'listeners',
  (text, name) => {
    try {
      return parseListeners(text)
    } catch (error) {
      if (error instanceof ListenerSyntaxError) throw new SettingViolation(`${name} ${error.message}`)
      throw error
    }
  },
  (value) => offIfEmpty(value.map(({ listener }) => listener)),
  { list: true },
)

/** A size such as `10m`; the value is in bytes. */
export const size: Kind<number> = kind('size', (text, name) => found(parseSize(text), text, name, 'size'), formatSize)

/** A time such as `60s`; the value is in milliseconds. */
export const duration: Kind<number> = kind('duration', (text, name) => found(parseDuration(text), text, name, 'duration'), formatDuration)

/** How many buffers of which size, in bytes: nginx's `4 8k`. */
export interface Buffers {
  readonly count: number
  readonly size: number
}

/** A number of buffers and the size of each, such as `4 8k`. */
export const buffers: Kind<Buffers> = kind<Buffers>(
  'buffers',
  (text, name) => {
    const [count = '', bytes = '', ...rest] = text.split(/\s+/)
    const parsed = parseSize(bytes)
    if (!/^[1-9]\d{0,5}$/.test(count) || parsed === null || parsed === 0 || rest.length > 0) {
      throw new SettingViolation(`${name} is not a number and a size: '${text}'`)
    }
    return { count: Number(count), size: parsed }
  },
  (value) => `${value.count} ${formatSize(value.size)}`,
)

/** A file or folder, relative to the working directory; `~/` is the home directory. The value is absolute. */
export const path: Kind<string> = kind('path', (text, _name, place) => absolute(place.cwd, text), asIs)

/** A file, relative to the data directory. The value is absolute. */
export const pathInPrefix: Kind<string> = kind('path', (text, _name, place) => absolute(place.prefix, text), asIs)

/** Where a log goes: `off`, or a file relative to the data directory. nginx's named formats and syslog are not there. */
export const logFile: Kind<string> = kind(
  'path',
  (text, name, place) => {
    if (text === 'off') return text
    if (text.startsWith('syslog:'))
      throw new SettingViolation(`${name}: logging to syslog is not available; name a file, /dev/stdout or off`)
    return absolute(place.prefix, text.split(/\s+/)[0]!)
  },
  asIs,
)

/** A certificate: a file, PEM text, or the base64 of PEM text. The value is an absolute path or PEM text. */
export const certificate: Kind<string> = kind('certificate', (text, _name, place) => pemOrPath(text, place), asIs)

/** Certificates, each as `certificate` or the word `system` for the trust store of the system. */
export const certificates: Kind<readonly string[]> = kind(
  'certificates',
  (text, _name, place) => splitList(text).map((item) => (item === 'system' ? item : pemOrPath(item, place))),
  asIs,
  { list: true },
)

/** A private key: a file, PEM text, or the base64 of PEM text; shown nowhere. */
export const privateKey: Kind<Secret> = kind<Secret>(
  'private key',
  (text, _name, place) => new Secret(pemOrPath(text, place)),
  () => '******',
  { sensitive: true },
)

/** Certificates, each as `certificate`: one per kind of key. */
export const certificateList: Kind<readonly string[]> = kind(
  'certificates',
  (text, _name, place) => splitList(text).map((item) => pemOrPath(item, place)),
  asIs,
  { list: true },
)

/** Private keys, each as `privateKey`, in the order of their certificates; shown nowhere. */
export const privateKeyList: Kind<readonly Secret[]> = kind<readonly Secret[]>(
  'private keys',
  (text, _name, place) => splitList(text).map((item) => new Secret(pemOrPath(item, place))),
  () => '******',
  { list: true, sensitive: true },
)

/** Words of a fixed set, separated by spaces: nginx's `TLSv1.2 TLSv1.3`. */
export function words<const V extends string>(...values: readonly V[]): Kind<readonly V[]> {
  const read = (text: string, name: string): readonly V[] =>
    text.split(/[\s,]+/).map((word) => {
      const value = values.find((candidate) => candidate === word)
      if (value === undefined) throw new SettingViolation(`${name} has an invalid value: '${word}' (${values.join(', ')})`)
      return value
    })
  return kind<readonly V[]>('words', read, (value) => value.join(' '))
}

function offIfEmpty(items: readonly string[]): readonly string[] {
  return items.length === 0 ? ['off'] : items
}

function found<T>(value: T | null, text: string, name: string, type: string): T {
  if (value === null) throw new SettingViolation(`${name} is not a ${type}: '${text}'`)
  return value
}

function toNumber(text: string, name: string): number {
  return found(/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : null, text, name, 'number')
}

function toInteger(text: string, name: string, range: Range): number {
  const value = toNumber(text, name)
  if (!Number.isSafeInteger(value)) throw new SettingViolation(`${name} must be an integer${between(range)}`)
  return inRange(value, name, range, 'an integer ')
}

function inRange(value: number, name: string, range: Range, article = ''): number {
  if (value >= range.min && value <= (range.max ?? Number.MAX_SAFE_INTEGER)) return value
  throw new SettingViolation(
    range.max === undefined ? `${name} must be ${range.min} or greater` : `${name} must be ${article}between ${range.min} and ${range.max}`,
  )
}

function between(range: Range): string {
  return range.max === undefined ? '' : ` between ${range.min} and ${range.max}`
}

function absolute(base: string, text: string): string {
  return text === '~' || text.startsWith('~/') ? resolve(homedir(), text.slice(2)) : resolve(base, text)
}

const PEM = /-----BEGIN [A-Z0-9 ]+-----/

/** The PEM text that a value of `certificate` or of `certificates` is or names; not for the word `system`. @throws when the file cannot be read */
export function readCertificate(value: string): string {
  return isPem(value) ? value : readFileSync(value, 'utf8')
}

/** Whether a value of `certificate` or of `certificates` is the text itself. */
export function isPem(value: string): boolean {
  return PEM.test(value)
}

function pemOrPath(text: string, place: Place): string {
  if (isPem(text)) return text
  const decoded = /^[A-Za-z0-9+/=\s]{64,}$/.test(text) ? Buffer.from(text, 'base64').toString('latin1') : ''
  return isPem(decoded) ? decoded : absolute(place.cwd, text)
}

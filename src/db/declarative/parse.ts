/**
 * A declarative file (every format version, YAML or JSON) as complete, checked entities. All or nothing: one fault, and nothing of the file is used.
 *
 * ```
 * text → document → migrate → collect entries → ids → uniqueness → references → complete → tree
 *                              (nested lists become entries that know their parent)
 * ```
 * Identity: an entity without id gets the one that Kong generates from its key, so that a reload keeps ids and the counters and sessions that hang on them.
 * A list nested in an entity is named like the entities in it; the link to the entity around it wins over what the child says.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Violation, Violations } from '../../schema/field.ts'
import type { EntitySchema } from '../../schema/schema.ts'
import { foreignFields, withoutTransient } from '../../schema/schema.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { completeEntity, isObject, isUuid } from '../../schema/validate.ts'
import { SchemaViolation } from '../../schema/violations.ts'
import { setOwn } from '../../util/own-property.ts'
import type { Entity, EntityTree } from '../database.ts'
import { cacheKeyOf, uniqueFields } from '../strategy.ts'
import type { Path, Position, SourceDocument, SourceFormat } from './document.ts'
import { DocumentError, readDocument, valueDocument } from './document.ts'
import { DeclarativeError } from './errors.ts'
import { FaultMirror } from './fault-mirror.ts'
import type { FlattenedEntity } from './flatten-errors.ts'
import { flattenEntity } from './flatten-errors.ts'
import { generatedId } from './identity.ts'
import { FORMAT_VERSIONS, migrateToCurrent } from './migrate.ts'

/** Entities that Kong has and this gateway has not yet. An empty list of them is harmless; anything else is refused, so that nothing is ignored. */
const NOT_AVAILABLE = new Set([
  ...['consumer_groups', 'consumer_group_consumers', 'consumer_group_plugins', 'upstreams', 'targets'],
  ...['keys', 'key_sets', 'vaults', 'keyauth_credentials', 'basicauth_credentials', 'acls', 'jwt_secrets', 'hmacauth_credentials'],
  ...['oauth2_credentials', 'filter_chains', 'parameters'],
])

/** The same, nested in a Consumer; `groups` is how decK writes membership. */
const NOT_AVAILABLE_IN_CONSUMERS = new Set([
  ...['keyauth_credentials', 'basicauth_credentials', 'acls', 'jwt_secrets', 'hmacauth_credentials', 'oauth2_credentials', 'groups'],
])

const NOT_AVAILABLE_TEXT = 'not available yet'

export interface DeclarativeOptions {
  /** Parents before children. */
  readonly schemas: readonly EntitySchema[]
  /** Without it JSON is tried first, then YAML. */
  readonly format?: SourceFormat
  /** Epoch seconds for timestamps that the file does not give; default: now. */
  readonly nowS?: number
}

/** A declarative configuration that may be loaded. */
export interface DeclarativeConfiguration {
  readonly tree: EntityTree
  /** MD5 of the text, 32 hex digits: what `configuration_hash` shows. A name, not a protection. */
  readonly hash: string
}

/**
 * Reads the text of a declarative file.
 * @throws {DeclarativeError} code 14, with every fault found
 */
export function parseDeclarative(text: string, options: DeclarativeOptions): DeclarativeConfiguration {
  return { tree: new Loader(documentOf(text, options.format), options).load(), hash: hashOf(text) }
}

/**
 * Reads a configuration that was already parsed (the JSON body of `POST /config`).
 * @throws {DeclarativeError} code 14, with every fault found
 */
export function readDeclarative(value: JsonObject, options: DeclarativeOptions): DeclarativeConfiguration {
  return { tree: new Loader(valueDocument(value), options).load(), hash: hashOf(JSON.stringify(value)) }
}

/** The hash of a configuration text. */
export function hashOf(text: string): string {
  return createHash('md5').update(text, 'utf8').digest('hex')
}

function documentOf(text: string, format: SourceFormat | undefined): SourceDocument {
  try {
    return readDocument(text, format)
  } catch (error) {
    throw error instanceof DocumentError ? unreadable(error.message) : error
  }
}

function unreadable(reason: string): DeclarativeError {
  const fields = { error: `failed parsing declarative configuration: ${reason}` }
  return new DeclarativeError({ fields, remaining: fields, flattened: [], positionOf: () => undefined })
}

/** One entity of the file on its way to become complete. */
interface Entry {
  readonly schema: EntitySchema
  readonly path: Path
  /** As received. */
  readonly input: unknown
  /** Own members: without nested entities, comments, and what the parent decides. */
  readonly own: Record<string, unknown>
  readonly childNames: readonly string[]
  readonly parent: { readonly field: string; readonly entry: Entry } | null
  /** The file says it, as opposed to an id made from the key. */
  readonly ownId: boolean
  readonly id: string
  readonly violations: Violation[]
  readonly unresolved: string[]
}

class Loader {
  readonly #document: SourceDocument
  readonly #schemas: readonly EntitySchema[]
  readonly #nowS: number
  readonly #entries: Entry[] = []
  /** Faults that belong to no entity. */
  readonly #faults: Violations = {}
  readonly #byId = new Map<string, Entry>()
  readonly #byField = new Map<string, Entry>()

  constructor(document: SourceDocument, options: DeclarativeOptions) {
    this.#document = document
    this.#schemas = options.schemas
    this.#nowS = options.nowS ?? Math.floor(Date.now() / 1000)
  }

  load(): EntityTree {
    const given = this.#document.value
    if (!isObject(given)) throw unreadable('expected an object')
    this.#checkHead(given)
    const file = migrateToCurrent(given)
    for (const schema of this.#schemas) this.#collectList(schema, file[schema.name], [schema.name], null)
    for (const entry of this.#entries) this.#register(entry)
    const complete = this.#entries.map((entry) => ({ entry, entity: this.#complete(entry) }))
    this.#checkCombinations(complete)
    this.#throwFaults()
    const listOf = (name: string) =>
      complete.flatMap(({ entry, entity }) => (entity !== null && entry.schema.name === name ? [entity] : []))
    return {
      certificates: listOf('certificates'),
      snis: listOf('snis'),
      ca_certificates: listOf('ca_certificates'),
      services: listOf('services'),
      routes: listOf('routes'),
      consumers: listOf('consumers'),
      plugins: listOf('plugins'),
    }
  }

  // -------------------------------------------------------------------------------------------------------------------------------- file head

  #checkHead(file: JsonObject): void {
    const entities = new Set(this.#schemas.map(({ name }) => name))
    if ((file['_format_version'] ?? null) === null) this.#faults['_format_version'] = 'required field missing'
    for (const [name, value] of Object.entries(file)) {
      if (value === null) continue
      const text = entities.has(name) ? undefined : headViolation(name, value)
      if (text !== undefined) setOwn(this.#faults, name, text)
    }
  }

  // --------------------------------------------------------------------------------------------------------------------------------- entries

  #collectList(schema: EntitySchema, list: unknown, path: Path, parent: Entry['parent']): void {
    if (list === undefined || list === null) return
    if (Array.isArray(list)) for (const [index, item] of list.entries()) this.#collect(schema, item, [...path, index], parent)
    else if (!(isObject(list) && Object.keys(list).length === 0)) this.#refuseList(schema.name, parent)
  }

  #refuseList(name: string, parent: Entry['parent']): void {
    if (parent === null) this.#faults[name] = 'expected an array'
    else parent.entry.violations.push({ [name]: 'expected an array' })
  }

  #collect(schema: EntitySchema, input: unknown, path: Path, parent: Entry['parent']): void {
    const children = this.#schemas.flatMap((child) =>
      foreignFields(child).flatMap(({ name, reference }) => (reference === schema.name ? [{ child, field: name }] : [])),
    )
    const childNames = children.map(({ child }) => child.name)
    const violations: Violation[] = isObject(input) ? [] : ['expected a record']
    const own: Record<string, unknown> = {}
    for (const [name, value] of isObject(input) ? Object.entries(input) : []) {
      if (childNames.includes(name) || name === '_comment' || name === '_ignore') continue
      if (schema.name === 'consumers' && NOT_AVAILABLE_IN_CONSUMERS.has(name)) {
        if (!isEmpty(value)) violations.push({ [name]: NOT_AVAILABLE_TEXT })
      } else setOwn(own, name, value)
    }
    if (parent !== null) own[parent.field] = { id: parent.entry.id }
    const ownId = (own['id'] ?? null) !== null
    const id = ownId ? normalId(own['id']) : newId(schema, own, parent)
    const entry: Entry = { schema, path, input, own, childNames, parent, ownId, id, violations, unresolved: [] }
    this.#entries.push(entry)
    if (!isObject(input)) return
    for (const { child, field } of children) {
      const list = schema.childList?.children === child.name ? namedChildren(child, input[child.name]) : input[child.name]
      this.#collectList(child, list, [...path, child.name], { field, entry })
    }
  }

  // -------------------------------------------------------------------------------------------------------------- uniqueness and references

  #register(entry: Entry): void {
    const { name } = entry.schema
    let taken = entry.ownId && !this.#claim(entry, 'primary key', entry.id, this.#byId, `${name}\n${entry.id}`)
    for (const field of uniqueFields(entry.schema)) {
      const value = entry.own[field]
      if (typeof value === 'string' && !this.#claim(entry, field, value, this.#byField, `${name}\n${field}\n${value}`)) taken = true
    }
    // A generated id is taken when its key is, and that was said above, unless the key is made of several fields.
    if (!entry.ownId && !taken) this.#claim(entry, 'primary key', entry.id, this.#byId, `${name}\n${entry.id}`)
  }

  #claim(entry: Entry, what: string, value: string, claimed: Map<string, Entry>, key: string): boolean {
    if (claimed.has(key)) {
      entry.violations.push(`uniqueness violation: '${entry.schema.name}' entity with ${what} set to '${value}' already declared`)
      return false
    }
    claimed.set(key, entry)
    return true
  }

  #find(schema: EntitySchema, reference: unknown): Entry | undefined {
    if (typeof reference === 'string') {
      const named = schema.endpointKey === null ? undefined : this.#byField.get(`${schema.name}\n${schema.endpointKey}\n${reference}`)
      return named ?? this.#byId.get(`${schema.name}\n${reference.toLowerCase()}`)
    }
    if (!isObject(reference)) return undefined
    const { id } = reference
    if (typeof id === 'string') return this.#byId.get(`${schema.name}\n${id.toLowerCase()}`)
    const field = uniqueFields(schema).find((name) => typeof reference[name] === 'string')
    return field === undefined ? undefined : this.#byField.get(`${schema.name}\n${field}\n${String(reference[field])}`)
  }

  /** The entry's own members with references as `{ id }`. What does not resolve becomes a violation and counts as unset. */
  #resolve(entry: Entry): Record<string, unknown> {
    const resolved: Record<string, unknown> = { ...entry.own, id: entry.ownId ? entry.own['id'] : entry.id }
    for (const { name, reference } of foreignFields(entry.schema)) {
      const value = entry.own[name]
      if (value === undefined || value === null || entry.parent?.field === name) continue
      const parents = this.#schemas.find((schema) => schema.name === reference)
      const found = parents === undefined ? undefined : this.#find(parents, value)
      resolved[name] = found === undefined ? null : { id: found.id }
      if (found === undefined) noteUnresolved(entry, name, value, reference)
    }
    return resolved
  }

  // ------------------------------------------------------------------------------------------------------------------------------ completion

  #complete(entry: Entry): Entity | null {
    if (!isObject(entry.input)) return null
    try {
      const entity = completeEntity(entry.schema, this.#resolve(entry), { nowS: this.#nowS })
      return { ...withoutTransient(entry.schema, entity), id: entry.id }
    } catch (error) {
      if (!(error instanceof SchemaViolation)) throw error
      entry.violations.push(error.fields)
      return null
    }
  }

  /** Two entities may spell the same combination (a plugin of a service by name and nested) and so have different ids; only one of them could run. */
  #checkCombinations(complete: readonly { readonly entry: Entry; readonly entity: Entity | null }[]): void {
    const claimed = new Map<string, Entry>()
    for (const { entry, entity } of complete) {
      if (entity !== null && entry.schema.derive !== undefined) this.#claimDerived(entry, entity)
      const key = entity === null ? null : cacheKeyOf(entry.schema, entity)
      if (key === null || entry.violations.length > 0) continue
      const names = (entry.schema.cacheKey ?? []).join(', ')
      this.#claim(entry, names, JSON.parse(key).join(', '), claimed, `${entry.schema.name}\n${key}`)
    }
  }

  /** What was not in the file, or was wrong there, could not be compared before. */
  #claimDerived(entry: Entry, entity: Entity): void {
    for (const field of uniqueFields(entry.schema)) {
      const value = entity[field]
      if (typeof value !== 'string' || value === entry.own[field]) continue
      this.#claim(entry, field, value, this.#byField, `${entry.schema.name}\n${field}\n${value}`)
    }
  }

  // ---------------------------------------------------------------------------------------------------------------------------------- faults

  #throwFaults(): void {
    const faulty = this.#entries.filter(({ violations, unresolved }) => violations.length > 0 || unresolved.length > 0)
    if (faulty.length === 0 && Object.keys(this.#faults).length === 0) return
    const mirror = new FaultMirror(this.#faults)
    for (const { path, violations } of faulty) for (const violation of violations) mirror.add(path, violation)
    const places = new Map<string, Path>()
    for (const { schema, path, own, unresolved } of faulty) {
      if (unresolved.length === 0) continue
      const label = [own['name'], own['id']].find((value) => typeof value === 'string')
      places.set(mirror.addLabelled(schema.name, label ?? Number(path[1]), unresolved).join('\n'), path)
    }
    throw new DeclarativeError({
      fields: mirror.fields,
      remaining: { ...this.#faults },
      flattened: faulty.map(flatten),
      positionOf: (path) => this.#positionOf(path, places),
    })
  }

  /** Faulty references stand under the entity's name and not its position. */
  #positionOf(path: Path, places: ReadonlyMap<string, Path>): Position | undefined {
    return this.#document.positionOf(places.get(path.slice(0, 2).join('\n')) ?? path)
  }
}

/** Children of a list that may hold their names alone. */
function namedChildren(schema: EntitySchema, list: unknown): unknown {
  const { endpointKey } = schema
  if (endpointKey === null || !Array.isArray(list)) return list
  return list.map((item: unknown) => (typeof item === 'string' ? { [endpointKey]: item } : item))
}

function headViolation(name: string, value: unknown): string | undefined {
  if (NOT_AVAILABLE.has(name)) return !Array.isArray(value) ? 'expected an array' : value.length === 0 ? undefined : NOT_AVAILABLE_TEXT
  switch (name) {
    case '_format_version':
      if (typeof value !== 'string') return 'expected a string'
      return FORMAT_VERSIONS.some((version) => version === value) ? undefined : `expected one of: ${FORMAT_VERSIONS.join(', ')}`
    case '_transform':
      return typeof value === 'boolean' ? undefined : 'expected a boolean'
    case '_comment':
      return typeof value === 'string' ? undefined : 'expected a string'
    case '_ignore':
    case 'workspaces':
      return Array.isArray(value) ? undefined : 'expected an array'
    default:
      return 'unknown field'
  }
}

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0)
}

function normalId(id: unknown): string {
  return isUuid(id) ? id.toLowerCase() : JSON.stringify(id)
}

/** The id that Kong would generate; random where the key is incomplete. */
function newId(schema: EntitySchema, own: JsonObject, parent: Entry['parent']): string {
  const key = schema.cacheKey === null ? endpointKeyOf(schema, own, parent) : cacheKeyTextOf(schema, schema.cacheKey, own)
  return key === null ? randomUUID() : generatedId(schema.name, key)
}

function endpointKeyOf(schema: EntitySchema, own: JsonObject, parent: Entry['parent']): string | null {
  const { endpointKey } = schema
  const value = endpointKey === null ? undefined : own[endpointKey]
  if (endpointKey === null || typeof value !== 'string') return null
  const unique = schema.fields[endpointKey]?.options.unique === true
  return unique ? value : `${value}${parent === null ? '' : `:${parent.entry.id}`}:*`
}

/** `plugins:*:key-auth:<route>:<service>:<consumer>`; the star is the workspace. References count as they are written. */
function cacheKeyTextOf(schema: EntitySchema, names: readonly string[], own: JsonObject): string | null {
  const parts: string[] = []
  for (const name of names) {
    const value = isObject(own[name]) ? own[name]['id'] : own[name]
    const options = schema.fields[name]?.options
    if (options?.auto === true || (options?.required === true && typeof value !== 'string')) return null
    parts.push(typeof value === 'string' ? value : '')
  }
  return [schema.name, '*', ...parts].join(':')
}

function noteUnresolved(entry: Entry, field: string, value: unknown, reference: string): void {
  if (entry.parent !== null) entry.violations.push({ [field]: 'value must be null' })
  else if (typeof value === 'string' || isObject(value)) {
    entry.unresolved.push(`invalid reference '${field}: ${referenceText(value)}' (no such entry in '${reference}')`)
  } else entry.violations.push({ [field]: 'expected a string' })
}

function referenceText(value: string | JsonObject): string {
  if (typeof value === 'string') return value
  return [value['id'], ...Object.values(value)].find((member) => typeof member === 'string') ?? ''
}

function flatten({ schema, input, childNames, parent, violations, unresolved }: Entry): FlattenedEntity {
  return flattenEntity({
    schema,
    input,
    childNames,
    violations: [...violations, ...unresolved],
    ...(parent === null ? {} : { parent: { field: parent.field, input: parent.entry.input } }),
  })
}

/**
 * Check → strategy → event, for every entity. All of Kong's rules that need more than one row live here: references by a unique field, existing parents,
 * uniqueness, cascades. They run inside one exclusive transaction of the strategy, so what was checked still holds when it is written.
 *
 * Choices where Kong is undefined: a PATCH whose body carries another id keeps the addressed one and ignores the body's; ids are kept in lower case.
 */
import type { Field, Fields } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { fieldsFor, foreignFields, withoutTransient } from '../schema/schema.ts'
import type { JsonObject, WriteContext } from '../schema/validate.ts'
import { checkField, completeEntity, isObject, isUuid, mergePatch } from '../schema/validate.ts'
import { luaNotation, SchemaViolation } from '../schema/violations.ts'
import type { Dao, Entity, Page, PageOptions, WriteOptions } from './database.ts'
import {
  DaoError,
  notFound,
  primaryKeyViolation,
  referencedBy,
  referencedByList,
  schemaViolation,
  uniqueViolation,
  unknownParent,
} from './errors.ts'
import { decodeOffset, encodeOffset, pageSize } from './paging.ts'
import { requireProtocolAgreement } from './plugin-protocols.ts'
import { resolveReferences } from './references.ts'
import type { EntityReader, EntityWriter, PageQuery, Strategy } from './strategy.ts'
import { cacheKeyOf, parentId, uniqueFields } from './strategy.ts'

export interface DaoContext {
  /** Every entity of the database, by name. */
  readonly schemas: ReadonlyMap<string, EntitySchema>
  readonly strategy: Strategy
  /** Epoch seconds. */
  readonly nowS: () => number
  /** Tells the listeners of a durable change. */
  readonly announce: () => void
}

/** How a client addresses one entity. */
interface Address {
  readonly field: string
  readonly value: string
}

/** An entity as it is stored, and what a write says about the children that its schema lists by name: null leaves them as they are. */
interface Checked {
  readonly entity: Entity
  readonly names: readonly string[] | null
}

/** The data access of one entity. */
export function createDao(schema: EntitySchema, context: DaoContext): Dao {
  return new EntityDao(schema, context)
}

class EntityDao implements Dao {
  readonly schema: EntitySchema
  readonly #context: DaoContext

  constructor(schema: EntitySchema, context: DaoContext) {
    this.schema = schema
    this.#context = context
  }

  // -------------------------------------------------------------------------------------------------------------------------------------- reads

  async select(key: string): Promise<Entity | null> {
    const address = this.#address(key)
    return await this.#context.strategy.read(async (reader) => {
      const found = await this.#find(reader, address)
      return found === null ? null : await this.#withChildNames(reader, found)
    })
  }

  async selectBy(field: string, value: string): Promise<Entity | null> {
    const own = this.schema.fields[field]
    if (own?.options.unique !== true) throw new TypeError(`${this.schema.name}.${field} is not unique`)
    requireUnique(field, own, value)
    return await this.#context.strategy.read(async (reader) => {
      const found = await reader.selectBy(this.schema.name, field, value)
      return found === null ? null : await this.#withChildNames(reader, found)
    })
  }

  async page(options: PageOptions): Promise<Page> {
    const size = pageSize(options.size)
    const query = {
      limit: size + 1,
      ...(options.offset === undefined ? {} : { after: decodeOffset(options.offset) }),
      ...(options.tags === undefined ? {} : { tags: options.tags }),
      ...(options.parent === undefined ? {} : { parent: { field: options.parent.field, id: options.parent.id.toLowerCase() } }),
    }
    const found = await this.#page(query)
    const data = found.slice(0, size)
    const last = data.at(-1)
    return { data, offset: found.length > size && last !== undefined ? encodeOffset(last.id) : null }
  }

  async all(): Promise<readonly Entity[]> {
    return await this.#page({})
  }

  async #page(query: PageQuery): Promise<readonly Entity[]> {
    return await this.#context.strategy.read(async (reader) => {
      const found = await reader.page(this.schema.name, query)
      if (this.schema.childList === undefined) return found
      const shown: Entity[] = []
      for (const entity of found) shown.push(await this.#withChildNames(reader, entity))
      return shown
    })
  }

  // ------------------------------------------------------------------------------------------------------------------------------------- writes

  async insert(input: JsonObject, options: WriteOptions = {}): Promise<Entity> {
    return await this.#write(async (writer) => {
      const body = withoutNullId({ ...input, ...options.force })
      const checked = await this.#check(writer, body, null)
      const { entity } = checked
      writer.admit({ verb: 'create', table: this.schema.name })
      if ((await writer.select(this.schema.name, entity.id)) !== null) throw primaryKeyViolation(entity.id)
      await this.#keepConstraints(writer, entity)
      await writer.insert(this.schema.name, entity)
      return await this.#withChildren(writer, checked)
    })
  }

  async update(key: string, input: JsonObject, options: WriteOptions = {}): Promise<Entity> {
    const address = this.#address(key)
    return await this.#write(async (writer) => {
      const stored = await this.#find(writer, address)
      if (stored === null) throw notFound({ [address.field]: address.value })
      const checked = await this.#check(writer, { ...input, ...options.force, id: stored.id }, stored)
      const { entity } = checked
      writer.admit({ verb: 'update', table: this.schema.name, ...by(address) })
      await this.#keepConstraints(writer, entity)
      await writer.update(this.schema.name, entity)
      return await this.#withChildren(writer, checked)
    })
  }

  async upsert(key: string, input: JsonObject, options: WriteOptions = {}): Promise<Entity> {
    const address = this.#address(key)
    return await this.#write(async (writer) => {
      const stored = await this.#find(writer, address)
      const addressed = { ...input, ...options.force, [address.field]: address.value, ...(stored === null ? {} : { id: stored.id }) }
      const body = withoutNullId(addressed)
      const checked = await this.#check(writer, stored === null ? body : keepGenerated(this.schema, body, stored), null)
      const { entity } = checked
      writer.admit({ verb: 'create or update', table: this.schema.name, ...by(address) })
      if (stored === null && (await writer.select(this.schema.name, entity.id)) !== null) throw primaryKeyViolation(entity.id)
      await this.#keepConstraints(writer, entity)
      if (stored === null) await writer.insert(this.schema.name, entity)
      else await writer.update(this.schema.name, entity)
      return await this.#withChildren(writer, checked)
    })
  }

  async delete(key: string): Promise<boolean> {
    const address = this.#address(key)
    let deleted = false
    await this.#context.strategy.write(async (writer) => {
      const stored = await this.#find(writer, address)
      if (stored === null) return
      writer.admit({ verb: 'remove', table: this.schema.name, ...by(address) })
      await this.#deleteWithChildren(writer, this.schema, stored.id)
      deleted = true
    })
    if (deleted) this.#context.announce()
    return deleted
  }

  async #write(work: (writer: EntityWriter) => Promise<Entity>): Promise<Entity> {
    const entity = await this.#context.strategy.write(work)
    this.#context.announce()
    return entity
  }

  // ----------------------------------------------------------------------------------------------------------------------------------- addresses

  /** A key in UUID form is an id and nothing else; any other is a value of the endpoint key, and must be a possible one. */
  #address(key: string): Address {
    if (isUuid(key)) return { field: 'id', value: key.toLowerCase() }
    const { endpointKey } = this.schema
    const own = endpointKey === null ? undefined : this.schema.fields[endpointKey]
    if (endpointKey === null || own === undefined) {
      const fields = { id: 'expected a valid UUID' }
      throw new DaoError(1, `invalid primary key: '${luaNotation(fields)}'`, { fields })
    }
    requireUnique(endpointKey, own, key)
    return { field: endpointKey, value: key }
  }

  async #find(reader: EntityReader, address: Address): Promise<Entity | null> {
    const { name } = this.schema
    return address.field === 'id' ? await reader.select(name, address.value) : await reader.selectBy(name, address.field, address.value)
  }

  // -------------------------------------------------------------------------------------------------------------------------------------- checks

  /** The complete entity that `body` makes, on its own or merged into `stored`. Reads parents only to resolve what the body names. */
  async #check(reader: EntityReader, body: JsonObject, stored: Entity | null): Promise<Checked> {
    const { schemas } = this.#context
    if (this.schema.name === 'plugins') await requireProtocolAgreement(body, stored, schemas, reader)
    const resolved = await resolveReferences(this.schema, body, schemas, reader)
    let complete: Entity
    try {
      const input = stored === null ? resolved : mergePatch(this.schema, stored, resolved)
      complete = this.#complete(input, stored === null ? 'insert' : 'update')
    } catch (error) {
      throw error instanceof SchemaViolation ? schemaViolation(error.fields) : error
    }
    const names = this.#childNames(complete, stored === null ? null : body)
    if (names !== null) await this.#requireFreeNames(reader, complete.id, names)
    return { entity: withoutTransient(this.schema, complete), names }
  }

  #complete(input: JsonObject, context: WriteContext): Entity {
    const entity = completeEntity(this.schema, input, { context, nowS: this.#context.nowS() })
    for (const { name } of foreignFields(this.schema)) {
      const id = parentId(entity, name)
      if (id !== null) entity[name] = { id: id.toLowerCase() }
    }
    return { ...entity, id: String(entity['id']).toLowerCase() }
  }

  // ------------------------------------------------------------------------------------------------------------------------ children listed by name

  /** What a write says about them. @param patch the body of a PATCH, which leaves them as they are when it does not name them */
  #childNames(complete: Entity, patch: JsonObject | null): readonly string[] | null {
    const { childList } = this.schema
    if (childList === undefined || (patch !== null && !Object.hasOwn(patch, childList.field))) return null
    const given = complete[childList.field]
    return Array.isArray(given) ? given.map(String) : []
  }

  async #requireFreeNames(reader: EntityReader, id: string, names: readonly string[]): Promise<void> {
    const list = this.#childList()
    if (list === null) return
    const repeated = names.find((name, index) => names.indexOf(name) !== index)
    if (repeated !== undefined) throw schemaViolation({ [list.field]: `${repeated} is duplicated` })
    for (const name of names) {
      const holder = await reader.selectBy(list.schema.name, list.key, name)
      const other = holder === null ? null : parentId(holder, list.parentField)
      if (other !== null && other !== id) {
        throw schemaViolation({ [list.field]: `${name} already associated with existing ${list.parentField} '${other}'` })
      }
    }
  }

  /** Makes the children those that the write names; the answer is the entity as it is shown. */
  async #withChildren(writer: EntityWriter, { entity, names }: Checked): Promise<Entity> {
    const list = this.#childList()
    if (list === null || names === null) return await this.#withChildNames(writer, entity)
    const parent = { field: list.parentField, id: entity.id }
    const known = new Set<string>()
    for (const child of await writer.page(list.schema.name, { parent })) {
      const name = String(child[list.key])
      if (names.includes(name)) known.add(name)
      else await this.#deleteWithChildren(writer, list.schema, child.id)
    }
    for (const name of names) {
      if (known.has(name)) continue
      const child = completeEntity(list.schema, { [list.key]: name, [list.parentField]: { id: entity.id } }, { nowS: this.#context.nowS() })
      await writer.insert(list.schema.name, { ...child, id: String(child['id']) })
    }
    return { ...entity, [list.field]: [...names].sort() }
  }

  async #withChildNames(reader: EntityReader, entity: Entity): Promise<Entity> {
    const list = this.#childList()
    if (list === null) return entity
    const children = await reader.page(list.schema.name, { parent: { field: list.parentField, id: entity.id } })
    return { ...entity, [list.field]: children.map((child) => String(child[list.key])).sort() }
  }

  #childList() {
    const { childList } = this.schema
    const schema = childList === undefined ? undefined : this.#context.schemas.get(childList.children)
    const key = schema?.endpointKey ?? null
    return childList === undefined || schema === undefined || key === null ? null : { ...childList, schema, key }
  }

  // --------------------------------------------------------------------------------------------------------------------------------- constraints

  /** Uniqueness before parents: the order in which a database would notice. */
  async #keepConstraints(reader: EntityReader, entity: Entity): Promise<void> {
    for (const name of uniqueFields(this.schema)) {
      const value = entity[name]
      if (typeof value !== 'string') continue
      const other = await reader.selectBy(this.schema.name, name, value)
      if (other !== null && other.id !== entity.id) throw uniqueViolation({ [name]: value })
    }
    const cacheKey = cacheKeyOf(this.schema, entity)
    const twin = cacheKey === null ? null : await reader.selectByCacheKey(this.schema.name, cacheKey)
    if (twin !== null && twin.id !== entity.id) throw uniqueViolation(pick(entity, this.schema.cacheKey ?? []))
    for (const { name, reference } of foreignFields(this.schema)) {
      const id = parentId(entity, name)
      if (id !== null && (await reader.select(reference, id)) === null) throw unknownParent(name, id, reference)
    }
  }

  async #deleteWithChildren(writer: EntityWriter, schema: EntitySchema, id: string): Promise<void> {
    for (const children of this.#context.schemas.values()) {
      for (const { name, field, reference } of foreignFields(children)) {
        if (reference !== schema.name) continue
        const parent = { field: name, id }
        if (field.onDelete === 'cascade') {
          for (const child of await writer.page(children.name, { parent })) await this.#deleteWithChildren(writer, children, child.id)
        } else if ((await writer.page(children.name, { parent, limit: 1 })).length > 0) throw referencedBy(schema.name, children.name)
      }
      await requireUnlisted(writer, children, schema, id)
    }
    await writer.delete(schema.name, id)
  }
}

/** Lists of ids are no foreign fields, so every entity that has one is looked at. @throws {DaoError} code 19 */
async function requireUnlisted(reader: EntityReader, holders: EntitySchema, schema: EntitySchema, id: string): Promise<void> {
  const lists = Object.entries(holders.fields).filter(([, { options }]) => options.idsOf === schema.name)
  if (lists.length === 0) return
  for (const holder of await reader.page(holders.name, {})) {
    for (const [name] of lists) {
      const ids = holder[name]
      if (Array.isArray(ids) && ids.some((item) => String(item).toLowerCase() === id)) {
        throw referencedByList(schema.name, id, holders.name, holder.id)
      }
    }
  }
}

function by(address: Address): { readonly by?: string } {
  return address.field === 'id' ? {} : { by: address.field }
}

/** @throws {DaoError} code 10 when no entity could bear this value */
function requireUnique(name: string, own: Field, value: string): void {
  const violation = checkField(own, value)
  if (violation !== undefined) throw new DaoError(10, String(violation), { name: `invalid unique ${name}` })
}

/** A null id asks for a generated one, like an absent id. */
function withoutNullId(body: JsonObject): JsonObject {
  if (body['id'] !== null) return body
  const { id: _, ...rest } = body
  return rest
}

function pick(entity: JsonObject, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, entity[name] ?? null]))
}

/**
 * Values that the gateway generated (salts, session secrets) survive a PUT that does not name them: otherwise a client that writes what it has in its files
 * would see a difference for ever (Kong/deck#1893).
 */
function keepGenerated(schema: EntitySchema, body: JsonObject, stored: Entity): JsonObject {
  const selector = schema.subschema?.key
  if (selector !== undefined && body[selector] !== stored[selector] && schema.name === 'plugins') return body
  return keepGeneratedIn(fieldsFor(schema, body), body, stored)
}

function keepGeneratedIn(fields: Fields, body: JsonObject, stored: JsonObject): JsonObject {
  const kept: Record<string, unknown> = { ...body }
  for (const [name, field] of Object.entries(fields)) {
    const before = stored[name]
    if (isGenerated(field) && kept[name] === undefined && typeof before === 'string') kept[name] = before
    if (field.kind !== 'record' || field.fields === undefined || !isObject(before)) continue
    const given = kept[name]
    if (given !== undefined && !isObject(given)) continue
    const inner = keepGeneratedIn(field.fields, given ?? {}, before)
    if (given !== undefined || Object.keys(inner).length > 0) kept[name] = inner
  }
  return kept
}

function isGenerated(field: Field): boolean {
  return field.kind === 'string' && field.options.auto === true && field.options.uuid !== true
}

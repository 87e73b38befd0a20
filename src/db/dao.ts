/**
 * Check → strategy → event, for every entity. All of Kong's rules that need more than one row live here: references by a unique field, existing parents,
 * uniqueness, cascades. They run inside one exclusive transaction of the strategy, so what was checked still holds when it is written.
 *
 * Choices where Kong is undefined: a PATCH whose body carries another id keeps the addressed one and ignores the body's; ids are kept in lower case.
 */
import type { Field, Fields } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { fieldsFor, foreignFields } from '../schema/schema.ts'
import type { JsonObject, WriteContext } from '../schema/validate.ts'
import { checkField, completeEntity, isObject, isUuid, mergePatch } from '../schema/validate.ts'
import { luaNotation, SchemaViolation } from '../schema/violations.ts'
import type { Dao, Entity, Page, PageOptions, WriteOptions } from './database.ts'
import { DaoError, notFound, primaryKeyViolation, referencedBy, schemaViolation, uniqueViolation, unknownParent } from './errors.ts'
import { decodeOffset, encodeOffset, pageSize } from './paging.ts'
import { requireProtocolAgreement } from './plugin-protocols.ts'
import { resolveReferences } from './references.ts'
import type { EntityReader, EntityWriter, Strategy } from './strategy.ts'
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
    return await this.#context.strategy.read((reader) => this.#find(reader, address))
  }

  async selectBy(field: string, value: string): Promise<Entity | null> {
    const own = this.schema.fields[field]
    if (own?.options.unique !== true) throw new TypeError(`${this.schema.name}.${field} is not unique`)
    requireUnique(field, own, value)
    return await this.#context.strategy.read((reader) => reader.selectBy(this.schema.name, field, value))
  }

  async page(options: PageOptions): Promise<Page> {
    const size = pageSize(options.size)
    const query = {
      limit: size + 1,
      ...(options.offset === undefined ? {} : { after: decodeOffset(options.offset) }),
      ...(options.tags === undefined ? {} : { tags: options.tags }),
      ...(options.parent === undefined ? {} : { parent: { field: options.parent.field, id: options.parent.id.toLowerCase() } }),
    }
    const found = await this.#context.strategy.read((reader) => reader.page(this.schema.name, query))
    const data = found.slice(0, size)
    const last = data.at(-1)
    return { data, offset: found.length > size && last !== undefined ? encodeOffset(last.id) : null }
  }

  async all(): Promise<readonly Entity[]> {
    return await this.#context.strategy.read((reader) => reader.page(this.schema.name, {}))
  }

  // ------------------------------------------------------------------------------------------------------------------------------------- writes

  async insert(input: JsonObject, options: WriteOptions = {}): Promise<Entity> {
    return await this.#write(async (writer) => {
      const body = withoutNullId({ ...input, ...options.force })
      const entity = await this.#check(writer, body, null)
      writer.admit({ verb: 'create', table: this.schema.name })
      if ((await writer.select(this.schema.name, entity.id)) !== null) throw primaryKeyViolation(entity.id)
      await this.#keepConstraints(writer, entity)
      await writer.insert(this.schema.name, entity)
      return entity
    })
  }

  async update(key: string, input: JsonObject, options: WriteOptions = {}): Promise<Entity> {
    const address = this.#address(key)
    return await this.#write(async (writer) => {
      const stored = await this.#find(writer, address)
      if (stored === null) throw notFound({ [address.field]: address.value })
      const entity = await this.#check(writer, { ...input, ...options.force, id: stored.id }, stored)
      writer.admit({ verb: 'update', table: this.schema.name, ...by(address) })
      await this.#keepConstraints(writer, entity)
      await writer.update(this.schema.name, entity)
      return entity
    })
  }

  async upsert(key: string, input: JsonObject, options: WriteOptions = {}): Promise<Entity> {
    const address = this.#address(key)
    return await this.#write(async (writer) => {
      const stored = await this.#find(writer, address)
      const addressed = { ...input, ...options.force, [address.field]: address.value, ...(stored === null ? {} : { id: stored.id }) }
      const body = withoutNullId(addressed)
      const entity = await this.#check(writer, stored === null ? body : keepGenerated(this.schema, body, stored), null)
      writer.admit({ verb: 'create or update', table: this.schema.name, ...by(address) })
      if (stored === null && (await writer.select(this.schema.name, entity.id)) !== null) throw primaryKeyViolation(entity.id)
      await this.#keepConstraints(writer, entity)
      if (stored === null) await writer.insert(this.schema.name, entity)
      else await writer.update(this.schema.name, entity)
      return entity
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
  async #check(reader: EntityReader, body: JsonObject, stored: Entity | null): Promise<Entity> {
    const { schemas } = this.#context
    if (this.schema.name === 'plugins') await requireProtocolAgreement(body, stored, schemas, reader)
    const resolved = await resolveReferences(this.schema, body, schemas, reader)
    try {
      const input = stored === null ? resolved : mergePatch(this.schema, stored, resolved)
      return this.#complete(input, stored === null ? 'insert' : 'update')
    } catch (error) {
      throw error instanceof SchemaViolation ? schemaViolation(error.fields) : error
    }
  }

  #complete(input: JsonObject, context: WriteContext): Entity {
    const entity = completeEntity(this.schema, input, { context, nowS: this.#context.nowS() })
    for (const { name } of foreignFields(this.schema)) {
      const id = parentId(entity, name)
      if (id !== null) entity[name] = { id: id.toLowerCase() }
    }
    return { ...entity, id: String(entity['id']).toLowerCase() }
  }

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
    }
    await writer.delete(schema.name, id)
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

/**
 * The endpoints that follow from the schemas alone. For an entity E and each of its references f to a parent P:
 *
 * | path         | methods                  |
 * |--------------|--------------------------|
 * | `/E`         | GET POST                 |
 * | `/E/{E}`     | GET PUT PATCH DELETE     |
 * | `/E/{E}/f`   | GET PUT PATCH DELETE     | the parent; DELETE is refused
 * | `/P/{P}/E`   | GET POST                 |
 * | `/P/{P}/E/{E}` | GET PUT PATCH DELETE   | an entity of another parent is not there
 *
 * Exceptions are in `routes/`.
 */
import type { Dao, Database, Entity } from '../db/database.ts'
import { inferEntity } from '../schema/infer.ts'
import { withEchoes } from '../schema/project.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { fieldsFor, foreignFields } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { isObject, isUuid } from '../schema/validate.ts'
import type { Answer, Endpoint, Exchange } from './endpoint.ts'
import { METHOD_NOT_ALLOWED, NO_CONTENT, NOT_FOUND, ok, parameter } from './endpoint.ts'
import { listAnswer, paging, tagFilter } from './listing.ts'

/** Every generated endpoint of a database. */
export function entityEndpoints(database: Pick<Database, 'entities'>): readonly Endpoint[] {
  const daos = Object.values(database.entities)
  return daos.flatMap((dao) => [
    collectionEndpoint(dao),
    entityEndpoint(dao),
    ...foreignFields(dao.schema).flatMap(({ name, reference }) => {
      const parents = daos.find(({ schema }) => schema.name === reference)
      return parents === undefined ? [] : referenceEndpoints({ children: dao, parents, field: name })
    }),
  ])
}

function collectionEndpoint(dao: Dao): Endpoint {
  const path = `/${dao.schema.apiPath}`
  return {
    path,
    changesConfiguration: true,
    methods: {
      GET: async ({ query }) => {
        const page = await dao.page({ ...paging(query), ...tagFilter(query) })
        const { tags, size } = query
        return listAnswer(page.data.map(shownBy(dao.schema)), page.offset, path, [
          ['tags', Array.isArray(tags) ? tags[0] : tags],
          ['size', size],
        ])
      },
      POST: async (request) => created(dao, await dao.insert(typedBody(dao.schema, request))),
    },
  }
}

function entityEndpoint(dao: Dao): Endpoint {
  const { apiPath, name } = dao.schema
  const keyOf = (request: Exchange) => parameter(request, apiPath)
  return {
    path: `/${apiPath}/{${apiPath}}`,
    changesConfiguration: true,
    methods: {
      GET: async (request) => shown(dao, await dao.select(keyOf(request))),
      PUT: async (request) => shown(dao, await dao.upsert(keyOf(request), typedBody(dao.schema, request))),
      PATCH: async (request) => {
        const key = keyOf(request)
        // Only with the stored plugin's name can the body be understood.
        const stored = name === 'plugins' || needsStored(dao.schema, request) ? await dao.select(key) : null
        if (name === 'plugins' && stored === null) return NOT_FOUND
        return shown(dao, await dao.update(key, typedBody(dao.schema, request, stored)))
      },
      DELETE: async (request) => {
        await dao.delete(keyOf(request))
        return NO_CONTENT
      },
    },
  }
}

// ----------------------------------------------------------------------------------------------------------------------------------- references

interface Relation {
  readonly children: Dao
  readonly parents: Dao
  /** Of the children. */
  readonly field: string
}

function referenceEndpoints(relation: Relation): readonly Endpoint[] {
  return [parentEndpoint(relation), nestedCollectionEndpoint(relation), nestedEntityEndpoint(relation)]
}

/** `/routes/{routes}/service` */
function parentEndpoint({ children, parents, field }: Relation): Endpoint {
  const { apiPath } = children.schema
  const childOf = (request: Exchange) => children.select(parameter(request, apiPath))
  return {
    path: `/${apiPath}/{${apiPath}}/${field}`,
    changesConfiguration: true,
    methods: {
      GET: async (request) => {
        const id = linkOf(await childOf(request), field)
        return id === null ? NOT_FOUND : shown(parents, await parents.select(id))
      },
      PUT: async (request) => {
        const child = await childOf(request)
        if (child === null) return NOT_FOUND
        const id = linkOf(child, field)
        const body = typedBody(parents.schema, request)
        if (id !== null) return shown(parents, await parents.upsert(id, body))
        const parent = await (isUuid(body['id']) ? parents.upsert(body['id'], body) : parents.insert(body))
        await children.update(child.id, { [field]: { id: parent.id } })
        return shown(parents, parent)
      },
      PATCH: async (request) => {
        const id = linkOf(await childOf(request), field)
        const stored = id === null ? null : await parents.select(id)
        return stored === null ? NOT_FOUND : shown(parents, await parents.update(stored.id, typedBody(parents.schema, request, stored)))
      },
      DELETE: async (request) => (linkOf(await childOf(request), field) === null ? NOT_FOUND : METHOD_NOT_ALLOWED),
    },
  }
}

/** `/services/{services}/routes` */
function nestedCollectionEndpoint({ children, parents, field }: Relation): Endpoint {
  const parentPath = parents.schema.apiPath
  const { apiPath } = children.schema
  return {
    path: `/${parentPath}/{${parentPath}}/${apiPath}`,
    changesConfiguration: true,
    methods: {
      GET: async (request) => {
        const key = parameter(request, parentPath)
        const parent = await parents.select(key)
        if (parent === null) return NOT_FOUND
        const page = await children.page({ ...paging(request.query), parent: { field, id: parent.id } })
        return listAnswer(page.data.map(shownBy(children.schema)), page.offset, `/${parentPath}/${encodeURIComponent(key)}/${apiPath}`)
      },
      POST: async (request) => {
        const parent = await parents.select(parameter(request, parentPath))
        if (parent === null) return NOT_FOUND
        return created(children, await children.insert(typedBody(children.schema, request), { force: { [field]: { id: parent.id } } }))
      },
    },
  }
}

/** `/services/{services}/routes/{routes}` */
function nestedEntityEndpoint({ children, parents, field }: Relation): Endpoint {
  const parentPath = parents.schema.apiPath
  const { apiPath } = children.schema
  const find = async (request: Exchange) => {
    const key = parameter(request, apiPath)
    const parent = await parents.select(parameter(request, parentPath))
    const child = parent === null ? null : await children.select(key)
    return { key, parent, child, own: parent !== null && linkOf(child, field) === parent.id ? child : null }
  }
  return {
    path: `/${parentPath}/{${parentPath}}/${apiPath}/{${apiPath}}`,
    changesConfiguration: true,
    methods: {
      GET: async (request) => shown(children, (await find(request)).own),
      PUT: async (request) => {
        const { key, parent, child, own } = await find(request)
        if (parent === null || (child !== null && own === null)) return NOT_FOUND
        const body = typedBody(children.schema, request)
        return shown(children, await children.upsert(key, body, { force: { [field]: { id: parent.id } } }))
      },
      PATCH: async (request) => {
        const { key, parent, own } = await find(request)
        if (parent === null || own === null) return NOT_FOUND
        return shown(children, await children.update(key, { [field]: { id: parent.id }, ...typedBody(children.schema, request, own) }))
      },
      DELETE: async (request) => {
        const { key, own } = await find(request)
        return own !== null && (await children.delete(key)) ? NO_CONTENT : NOT_FOUND
      },
    },
  }
}

function linkOf(child: Entity | null, field: string): string | null {
  const link = child?.[field]
  return isObject(link) && typeof link['id'] === 'string' ? link['id'] : null
}

// -------------------------------------------------------------------------------------------------------------------------------------- bodies

function needsStored(schema: EntitySchema, request: Exchange): boolean {
  return request.kind === 'form' && schema.subschema !== undefined
}

/** The body with the types that the schema expects. Where the body of a PATCH lacks what chooses the subschema, `stored` says it. */
function typedBody(schema: EntitySchema, request: Exchange, stored: Entity | null = null): JsonObject {
  const { kind, body } = request
  if (kind !== 'form') return body
  const key = schema.subschema?.key
  if (key === undefined || stored === null || Object.hasOwn(body, key)) return inferEntity(schema, body)
  const { [key]: _, ...typed } = inferEntity(schema, { ...body, [key]: stored[key] })
  return typed
}

/** An entity as answers show it: stored fields and the shorthands that Kong echoes. Secrets are shown, so that a dump can be loaded again. */
export function shownBy(schema: EntitySchema): (entity: Entity) => JsonObject {
  return (entity) => withEchoes(fieldsFor(schema, entity), entity)
}

function shown(dao: Dao, entity: Entity | null): Answer {
  return entity === null ? NOT_FOUND : ok(shownBy(dao.schema)(entity))
}

function created(dao: Dao, entity: Entity): Answer {
  return { status: 201, body: shownBy(dao.schema)(entity) }
}

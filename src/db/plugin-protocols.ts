import type { EntitySchema } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { isObject } from '../schema/validate.ts'
import type { Entity } from './database.ts'
import { schemaViolation } from './errors.ts'
import { findReferenced } from './references.ts'
import type { EntityReader } from './strategy.ts'

/** Routes read at a time while looking for one that agrees. */
const BATCH = 500

/**
 * Kong's rule that a plugin must speak a protocol of what it is attached to: of its route, else of at least one route of its service (a service without routes
 * will do). It runs before the schema is checked, so whatever is malformed or unknown here is passed over.
 *
 * @param input  the body: of a PATCH when `stored` is given, whose members complete it if the body touches what the rule looks at
 * @throws {DaoError} code 2, under `protocols`
 */
export async function requireProtocolAgreement(
  input: JsonObject,
  stored: Entity | null,
  schemas: ReadonlyMap<string, EntitySchema>,
  reader: EntityReader,
): Promise<void> {
  const touched = ['protocols', ...(stored === null ? [] : ['service', 'route'])].some((name) => Object.hasOwn(input, name))
  const plugin = stored === null ? input : { ...stored, ...input }
  const protocols: unknown = plugin['protocols']
  if (!touched || !Array.isArray(protocols)) return
  if (isObject(plugin['route'])) await agreeWithRoute(protocols, plugin['route'], schemas, reader)
  else if (isObject(plugin['service'])) await agreeWithService(protocols, plugin['service'], schemas, reader)
}

type Parents = ReadonlyMap<string, EntitySchema>

async function agreeWithRoute(protocols: readonly unknown[], reference: JsonObject, schemas: Parents, reader: EntityReader): Promise<void> {
  const parents = schemas.get('routes')
  const id = parents === undefined ? null : await findReferenced(parents, reference, reader)
  const route = id === null ? null : await reader.select('routes', id)
  if (route !== null && !shares(protocols, route)) throw schemaViolation({ protocols: "must match the associated route's protocols" })
}

async function agreeWithService(
  protocols: readonly unknown[],
  reference: JsonObject,
  schemas: Parents,
  reader: EntityReader,
): Promise<void> {
  const parents = schemas.get('services')
  const id = parents === undefined ? null : await findReferenced(parents, reference, reader)
  if (id === null) return
  let after: string | undefined
  for (;;) {
    const page = { limit: BATCH, parent: { field: 'service', id } }
    const routes = await reader.page('routes', after === undefined ? page : { ...page, after })
    if (routes.some((route) => shares(protocols, route)) || (after === undefined && routes.length === 0)) return
    if (routes.length < BATCH) break
    after = routes.at(-1)?.id
  }
  throw schemaViolation({ protocols: "must match the protocols of at least one route pointing to this Plugin's service" })
}

function shares(protocols: readonly unknown[], route: Entity): boolean {
  const own = route['protocols']
  return Array.isArray(own) && own.some((protocol) => protocols.includes(protocol))
}

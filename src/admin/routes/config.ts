import { DeclarativeError } from '../../db/declarative/errors.ts'
import { entitiesById, exportDeclarative } from '../../db/declarative/export.ts'
import { schemasOf } from '../../db/declarative/load.ts'
import type { DeclarativeConfiguration } from '../../db/declarative/parse.ts'
import { hashOf, parseDeclarative, readDeclarative } from '../../db/declarative/parse.ts'
import { isObject, type JsonObject } from '../../schema/validate.ts'
import type { AdminDeps } from '../deps.ts'
import type { Answer, Endpoint, Exchange } from '../endpoint.ts'
import { message, ok } from '../endpoint.ts'
import { envelope } from '../errors.ts'

const DATABASE_IN_USE = message(400, 'this endpoint is only available when Kong is configured to not use a database')
/** Seconds after which a client that came during a load may try again. */
const RETRY_AFTER_S = '1'

/** The configuration in a request: text, or what was parsed as JSON already. */
type Input = { readonly text: string } | { readonly value: JsonObject }

/** `/config` of a node without a database: the whole configuration, read and replaced as one. */
export function configEndpoint(deps: AdminDeps, applyChange: () => Promise<void>): Endpoint {
  const { database } = deps
  const schemas = schemasOf(database)
  let loading = false

  const load = async (request: Exchange): Promise<Answer> => {
    const input = inputOf(request)
    if (input === null) return message(400, 'expected a declarative configuration')
    if (argument(request, 'check_hash') === '1' && 'text' in input && hashOf(input.text) === database.configurationHash)
      return { status: 304 }
    let configuration: DeclarativeConfiguration
    try {
      configuration = 'text' in input ? parseDeclarative(input.text, { schemas }) : readDeclarative(input.value, { schemas })
    } catch (error) {
      if (!(error instanceof DeclarativeError) || !isTrue(argument(request, 'flatten_errors'))) throw error
      return { status: 400, body: { ...envelope(error), ...error.flattened } }
    }
    await database.replace(configuration.tree, configuration.hash)
    await applyChange()
    return { status: 201, body: entitiesById(configuration.tree, schemas) }
  }

  return {
    path: '/config',
    yaml: true,
    methods: {
      GET: async () => (database.kind === 'off' ? ok({ config: exportDeclarative(await database.export(), schemas) }) : DATABASE_IN_USE),
      POST: async (request) => {
        if (database.kind !== 'off') return DATABASE_IN_USE
        if (loading) return { ...message(429, 'Currently loading previous configuration'), headers: { 'retry-after': RETRY_AFTER_S } }
        loading = true
        try {
          return await load(request)
        } finally {
          loading = false
        }
      },
    },
  }
}

function inputOf({ body, kind, text }: Exchange): Input | null {
  if (Object.hasOwn(body, '_format_version')) return { value: withoutOptions(body) }
  const config = body['config']
  if (typeof config === 'string') return { text: config }
  if (isObject(config)) return { value: config }
  return kind === 'yaml' && text !== null && text !== '' ? { text } : null
}

function withoutOptions({ check_hash: _check, flatten_errors: _flatten, ...configuration }: JsonObject): JsonObject {
  return configuration
}

/** Options may stand in the query or in the body. */
function argument({ query, body }: Exchange, name: string): string | undefined {
  const value = query[name] ?? body[name]
  return typeof value === 'object' || value === undefined ? undefined : String(value)
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 'true', 'on', 'yes'].includes(value.toLowerCase())
}

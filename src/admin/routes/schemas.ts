import { schemaViolation } from '../../db/errors.ts'
import { inferEntity } from '../../schema/infer.ts'
import { toKongSchema, toKongSubschema } from '../../schema/project.ts'
import type { EntitySchema } from '../../schema/schema.ts'
import { completeEntity } from '../../schema/validate.ts'
import { SchemaViolation } from '../../schema/violations.ts'
import type { AdminDeps } from '../deps.ts'
import type { Answer, Endpoint, Exchange } from '../endpoint.ts'
import { message, ok, parameter } from '../endpoint.ts'

/** Schemas for clients: decK fills defaults from them, editors build forms from them. */
export function schemaEndpoints(deps: AdminDeps): readonly Endpoint[] {
  const schemas = new Map(Object.values(deps.database.entities).map(({ schema }) => [schema.name, schema]))
  const plugin = (name: string): Answer => {
    const found = deps.plugins.get(name)
    return found === undefined ? message(404, `No plugin named '${name}'`) : ok(toKongSubschema(found.schema.subschema))
  }
  const validate = (name: string, request: Exchange): Answer => {
    const schema = schemas.get(name)
    return schema === undefined ? noEntity(name) : validateAgainst(schema, request)
  }
  return [
    {
      path: '/schemas/{name}',
      methods: {
        GET: (request) => {
          const name = parameter(request, 'name')
          const schema = schemas.get(name)
          return schema === undefined ? noEntity(name) : ok(toKongSchema(schema))
        },
      },
    },
    { path: '/schemas/{name}/validate', methods: { POST: (request) => validate(parameter(request, 'name'), request) } },
    { path: '/schemas/plugins/{name}', methods: { GET: (request) => plugin(parameter(request, 'name')) } },
    {
      path: '/schemas/plugins/validate',
      methods: { GET: () => plugin('validate'), POST: (request) => validate('plugins', request) },
      unlisted: true,
    },
    { path: '/schemas/vaults/{name}', methods: { GET: (request) => message(404, `No vault named '${parameter(request, 'name')}'`) } },
    {
      path: '/schemas/vaults/validate',
      methods: { GET: () => message(404, "No vault named 'validate'"), POST: () => noEntity('vaults') },
      unlisted: true,
    },
    {
      // Deprecated in Kong: the configuration alone.
      path: '/plugins/schema/{name}',
      methods: {
        GET: (request) => {
          const name = parameter(request, 'name')
          const config = deps.plugins.get(name)?.schema.config
          if (config?.fields === undefined) return message(404, `No plugin named '${name}'`)
          return ok(toKongSchema({ ...config, fields: config.fields }))
        },
      },
    },
    { path: '/plugins/enabled', methods: { GET: () => ok({ enabled_plugins: [...deps.plugins.keys()].sort() }) } },
  ]
}

function noEntity(name: string): Answer {
  return message(404, `No entity named '${name}'`)
}

/** Checks a body as if it were inserted. Nothing is stored; references and uniqueness are not looked at. */
function validateAgainst(schema: EntitySchema, { kind, body }: Exchange): Answer {
  try {
    completeEntity(schema, kind === 'form' ? inferEntity(schema, body) : body, { nowS: Math.floor(Date.now() / 1000) })
    return message(200, 'schema validation successful')
  } catch (error) {
    throw error instanceof SchemaViolation ? schemaViolation(error.fields) : error
  }
}

import type { Field } from '../schema/field.ts'
import { field } from '../schema/field.ts'
import type { EntitySchema, Subschema } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { createdAtField, idField, nameField, PROTOCOLS, tagsField, updatedAtField } from './fields.ts'

/** What the plugin entity needs to know of an installed plugin. */
export interface PluginShape {
  readonly subschema: Subschema
}

/** Only the plugin named by `name` can judge its configuration; until it is known any object will do. */
const abstractConfig: Field<JsonObject | null> = { kind: 'record', options: {} }

/**
 * The Plugin entity for a set of installed plugins, by name. Global when neither route, service nor consumer is set; one plugin may be configured once for
 * each combination of the three.
 */
export function createPluginEntity(schemas: ReadonlyMap<string, PluginShape>) {
  return {
    name: 'plugins',
    apiPath: 'plugins',
    endpointKey: 'instance_name',
    cacheKey: ['name', 'route', 'service', 'consumer'],
    fields: {
      id: idField,
      name: field.string({ required: true }),
      instance_name: nameField,
      created_at: createdAtField,
      updated_at: updatedAtField,
      route: field.foreign('routes', { onDelete: 'cascade' }),
      service: field.foreign('services', { onDelete: 'cascade' }),
      consumer: field.foreign('consumers', { onDelete: 'cascade' }),
      config: abstractConfig,
      protocols: field.set({
        required: true,
        default: ['grpc', 'grpcs', 'http', 'https'],
        elements: field.string({ oneOf: PROTOCOLS }),
      }),
      enabled: field.boolean({ required: true, default: true }),
      tags: tagsField,
    },
    subschema: {
      key: 'name',
      pick: (name) => (typeof name === 'string' ? schemas.get(name)?.subschema : undefined),
      unknown: (name) => `plugin '${String(name)}' not enabled; add it to the 'plugins' configuration property`,
    },
  } satisfies EntitySchema
}

import assert from 'node:assert/strict'
import type { PluginSchema } from '../../src/plugin/define.ts'
import type { EntitySchema } from '../../src/schema/schema.ts'
import { completeEntity, type JsonObject } from '../../src/schema/validate.ts'
import { SchemaViolation } from '../../src/schema/violations.ts'

/** The plugin entity with one plugin's part alone: what the Admin API checks a configuration with. */
export function pluginEntity({ subschema }: PluginSchema): EntitySchema {
  return { name: 'plugins', apiPath: 'plugins', endpointKey: null, cacheKey: null, fields: subschema.fields }
}

/**
 * A configuration as it is stored, with defaults.
 *
 * @throws {SchemaViolation}
 */
export function completeConfig<Config>(schema: PluginSchema, config: JsonObject): Config {
  return completeEntity(pluginEntity(schema), { config }, { nowS: 0 })['config'] as Config
}

/** What the schema finds wrong with the fields of `config`; undefined where it finds nothing. */
export function configViolations(schema: PluginSchema, config: JsonObject): JsonObject | undefined {
  try {
    completeConfig(schema, config)
  } catch (error) {
    assert(error instanceof SchemaViolation)
    return error.fields['config'] as JsonObject
  }
  return undefined
}

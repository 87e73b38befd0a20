import type { Check, Field, Fields, Shorthands, Violations } from './field.ts'

/**
 * An entity as the Admin API, the declarative file and the database know it (style: one file per entity in `entities/`).
 *
 * `subschema` completes the schema from the value of one of its own fields: a Plugin's `config` depends on its `name`, a Route's rules on its `protocols`.
 */
export interface EntitySchema<F extends Fields = Fields> {
  /** Plural name: the declarative key and the database table. */
  readonly name: string
  /** Path segment in the Admin API; equals `name` but for `key-sets`. */
  readonly apiPath: string
  /** Unique field that may stand for the id in paths and references; null when there is none. */
  readonly endpointKey: string | null
  /** Fields that together are unique, nulls counted as values. */
  readonly cacheKey: readonly string[] | null
  readonly fields: F
  readonly shorthands?: Shorthands
  readonly checks?: readonly Check[]
  /** Members that follow from others; called on an entity without faults, and what it gives replaces whatever was given. */
  readonly derive?: (entity: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>
  /**
   * A transient list field that names the entity's children by their endpoint key (`snis` of a Certificate). Writing it replaces them; it is always shown,
   * sorted.
   */
  readonly childList?: { readonly field: string; readonly children: string; readonly parentField: string }
  readonly subschema?: {
    readonly key: string
    /** Undefined where the key's value names no subschema; then `unknown` gives the text for that field. */
    readonly pick: (key: unknown) => Subschema | undefined
    readonly unknown: (key: unknown) => string
  }
}

/** What a subschema adds or replaces. */
export interface Subschema {
  readonly fields: Fields
  readonly checks?: readonly Check[]
  /** Called after all else on the whole entity. */
  readonly inspect?: (entity: Readonly<Record<string, unknown>>) => Violations | undefined
}

/** The schema's fields with those of the subschema that `entity` selects, in the schema's order. */
export function fieldsFor(schema: EntitySchema, entity: Readonly<Record<string, unknown>>): Fields {
  const subschema = schema.subschema?.pick(entity[schema.subschema.key])
  return subschema === undefined ? schema.fields : { ...schema.fields, ...subschema.fields }
}

/** The entity without what is not stored. */
export function withoutTransient<E extends Readonly<Record<string, unknown>>>(schema: EntitySchema, entity: E): E {
  if (!Object.values(schema.fields).some(({ options }) => options.transient === true)) return entity
  return Object.fromEntries(Object.entries(entity).filter(([name]) => schema.fields[name]?.options.transient !== true)) as E
}

/** Names of a schema's foreign fields with what they reference. */
export function foreignFields(
  schema: EntitySchema,
): readonly { readonly name: string; readonly field: Field; readonly reference: string }[] {
  return Object.entries(schema.fields).flatMap(([name, field]) =>
    field.kind === 'foreign' && field.reference !== undefined ? [{ name, field, reference: field.reference }] : [],
  )
}

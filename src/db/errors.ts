import type { Violations } from '../schema/field.ts'
import { describeViolations, luaNotation } from '../schema/violations.ts'

/** Kong's error codes of the data access layer, with their names. The Admin API's status table is in admin/errors.ts. */
export const DAO_ERROR_NAMES = {
  1: 'invalid primary key',
  2: 'schema violation',
  3: 'primary key violation',
  4: 'foreign key violation',
  5: 'unique constraint violation',
  6: 'not found',
  7: 'invalid offset',
  8: 'database error',
  9: 'invalid size',
  10: 'invalid unique',
  11: 'invalid options',
  12: 'operation unsupported',
  13: 'foreign keys unresolved',
  14: 'invalid declarative configuration',
  19: 'referenced by others',
} as const

export type DaoErrorCode = keyof typeof DAO_ERROR_NAMES

/** A refused read or write, in the shape that Kong's Admin API answers with. */
export class DaoError extends Error {
  readonly code: DaoErrorCode
  override readonly name: string
  readonly fields: Violations | Readonly<Record<string, unknown>> | undefined
  readonly options: Readonly<Record<string, string>> | undefined

  constructor(
    code: DaoErrorCode,
    message: string,
    details: {
      readonly name?: string
      readonly fields?: Violations | Readonly<Record<string, unknown>>
      readonly options?: Readonly<Record<string, string>>
      readonly cause?: unknown
    } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.name = details.name ?? DAO_ERROR_NAMES[code]
    this.fields = details.fields
    this.options = details.options
  }
}

/** Code 2: input that does not fit its schema. */
export function schemaViolation(fields: Violations): DaoError {
  return new DaoError(2, describeViolations(fields), { fields })
}

/** Code 3: a client's id that is taken. */
export function primaryKeyViolation(id: string): DaoError {
  return new DaoError(3, `primary key violation on key '${luaNotation({ id })}'`, { fields: { id } })
}

/** Code 5: `fields` names the colliding fields with their values. */
export function uniqueViolation(fields: Readonly<Record<string, unknown>>): DaoError {
  return new DaoError(5, `UNIQUE violation detected on '${luaNotation(fields)}'`, { fields })
}

/** Code 6: nothing under this key. */
export function notFound(key: Readonly<Record<string, string>>): DaoError {
  const what = 'id' in key ? `primary key '${luaNotation(key)}'` : `'${luaNotation(key)}'`
  return new DaoError(6, `could not find the entity with ${what}`, { fields: key })
}

/** Code 4: a parent that does not exist. */
export function unknownParent(field: string, id: string, parents: string): DaoError {
  return new DaoError(4, `the foreign key '${luaNotation({ id })}' does not reference an existing '${parents}' entity.`, {
    fields: { [field]: { id } },
  })
}

/** Code 4: a parent that still has children which refuse its deletion. */
export function referencedBy(parents: string, children: string): DaoError {
  return new DaoError(4, `an existing '${children}' entity references this '${parents}' entity`, { fields: { '@referenced_by': children } })
}

/** Code 19: an entity that others still hold in a list of ids (`ca_certificates` of a Service). */
export function referencedByList(entities: string, id: string, holders: string, holderId: string): DaoError {
  const noun = entities.replace(/s$/, '').replaceAll('_', ' ')
  return new DaoError(19, `${noun} ${id} is still referenced by ${holders} (id = ${holderId})`)
}

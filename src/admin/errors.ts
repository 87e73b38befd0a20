import type { DaoErrorCode } from '../db/errors.ts'
import { DaoError } from '../db/errors.ts'
import { ArgumentsError } from '../http/arguments.ts'
import { errorCode } from '../util/errors.ts'
import type { Answer } from './endpoint.ts'
import { message } from './endpoint.ts'

/** Kong's status for each error code of the data access layer. */
const STATUS: Readonly<Record<DaoErrorCode, number>> = {
  1: 400, // invalid primary key
  2: 400, // schema violation
  3: 400, // primary key violation
  4: 400, // foreign key violation
  5: 409, // unique constraint violation
  6: 404, // not found
  7: 400, // invalid offset
  8: 500, // database error
  9: 400, // invalid size
  10: 400, // invalid unique
  11: 400, // invalid options
  12: 405, // operation unsupported
  13: 400, // foreign keys unresolved
  14: 400, // invalid declarative configuration
  19: 400, // referenced by others
}

/** What a client learns of a failure that is not its own. */
export const INTERNAL_ERROR = message(500, 'An unexpected error occurred')

/** Codes of Node and of the server for a request that could not be read; null asks for an empty body. */
const REQUEST_ERRORS: Readonly<Record<string, readonly [number, string | null]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'Payload too large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, null],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'Request body size did not match Content-Length'],
}

/** The answer to a failed request; undefined for failures that are ours and have to be logged. */
export function answerToError(error: unknown): Answer | undefined {
  if (error instanceof ArgumentsError) return error.text === null ? { status: error.status } : message(error.status, error.text)
  if (error instanceof DaoError) return STATUS[error.code] === 500 ? undefined : { status: STATUS[error.code], body: envelope(error) }
  const known = REQUEST_ERRORS[String(errorCode(error))]
  if (known === undefined) return undefined
  return known[1] === null ? { status: known[0] } : message(known[0], known[1])
}

/** Kong's envelope: `fields` and `options` are there only where the error has them. */
export function envelope(error: DaoError): Record<string, unknown> {
  return {
    message: error.message,
    name: error.name,
    code: error.code,
    ...(error.fields === undefined ? {} : { fields: error.fields }),
    ...(error.options === undefined ? {} : { options: error.options }),
  }
}

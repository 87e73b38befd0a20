/** Who began a failure: it decides the status, the log level and whether a retry makes sense. The client never pays for our upstream with a 4xx. */
export type ErrorSource = 'downstream' | 'upstream' | 'idp' | 'internal'

/** Base of all failures. `code` is stable: tests and operators match it, never the message. `cause` carries what happened below. */
export abstract class GatewayError extends Error {
  abstract readonly code: `GW_${string}`
  abstract readonly source: ErrorSource
  /** HTTP status that this failure turns into. */
  abstract readonly status: number
  /** Seconds for `Retry-After`, where an answer bears one. */
  readonly retryAfterS: number | undefined = undefined
}

/** The text of any thrown value, for logs. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of an error that bears one, such as those of the system (`ENOENT`); undefined for anything else. */
export function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

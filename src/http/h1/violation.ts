/** Why a head or a body is refused. Values without request-derived text, made once: an attacker pays for a refusal, not we. */
export interface Violation {
  readonly violation: 'bad-request' | 'target-too-long' | 'line-too-long' | 'head-too-large' | 'version' | 'framing' | 'coding'
  /** Answer to a client; whatever an upstream does wrong is a 502. The connection is closed after it, and nothing behind it is read. */
  readonly status: number
  /** Text of the answer, where it is not the usual one of the status. */
  readonly message?: string
}

const TOO_LARGE = 'Request header or cookie too large'

/** Not the grammar of RFC 9112 sections 3 to 5. */
export const BAD_REQUEST: Violation = Object.freeze({ violation: 'bad-request', status: 400 })
/** A request line beyond the limit (RFC 9112 section 3). */
export const TARGET_TOO_LONG: Violation = Object.freeze({ violation: 'target-too-long', status: 414 })
/** A header line beyond the limit. Kong answers 400, never 431. */
export const LINE_TOO_LONG: Violation = Object.freeze({ violation: 'line-too-long', status: 400, message: TOO_LARGE })
/** More bytes or more lines than allowed. */
export const HEAD_TOO_LARGE: Violation = Object.freeze({ violation: 'head-too-large', status: 400, message: TOO_LARGE })
/** Neither HTTP/1.0 nor HTTP/1.1 (RFC 9112 section 2.3). */
export const VERSION: Violation = Object.freeze({ violation: 'version', status: 505 })
/** A message whose end two readers could see at different places (RFC 9112 sections 6, 7, 11.2). */
export const FRAMING: Violation = Object.freeze({ violation: 'framing', status: 400 })
/** A transfer coding that is well-formed and unknown here (RFC 9112 section 6.1). */
export const CODING: Violation = Object.freeze({ violation: 'coding', status: 501 })

/** True where a parser refused. */
export function isViolation(result: object): result is Violation {
  return 'violation' in result
}

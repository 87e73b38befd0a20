/** A client's body cannot be had as it was announced. */
export abstract class ClientBodyError extends Error {
  abstract readonly status: number
}

/** A client that stopped in the middle of its body (`client_body_timeout`). */
export class BodyTimeoutError extends ClientBodyError {
  readonly code = 'GW_BODY_TIMEOUT'
  readonly status = 408
}

/** A body that breaks the rules of its framing (RFC 9112 section 7.1). */
export class MalformedBodyError extends ClientBodyError {
  readonly code = 'GW_BODY_MALFORMED'
  readonly status: number

  constructor(status: number) {
    super('the body is malformed')
    this.status = status
  }
}

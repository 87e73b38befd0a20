/**
 * Where a message ends: RFC 9112 section 6.3, step by step. It is decided once, from the head; what is forwarded is framed anew from that decision. Where the
 * RFC lets a recipient repair a head that two readers may read differently, it is refused instead (section 11.2).
 */
import type { HeaderList } from '../headers.ts'
import { consistsOf, TOKEN } from '../octets.ts'
import { CODING, FRAMING, isViolation, type Violation } from './violation.ts'

/** `until-close` is for responses only. */
export interface MessageLength {
  readonly kind: 'none' | 'length' | 'chunked' | 'until-close'
  /** Bytes of the body where the kind is `length` (0 is possible), otherwise 0. */
  readonly bytes: number
}

export const NO_BODY: MessageLength = Object.freeze({ kind: 'none', bytes: 0 })
export const CHUNKED: MessageLength = Object.freeze({ kind: 'chunked', bytes: 0 })
export const UNTIL_CLOSE: MessageLength = Object.freeze({ kind: 'until-close', bytes: 0 })

/** A body of that many bytes. */
export function lengthOf(bytes: number): MessageLength {
  return { kind: 'length', bytes }
}

/** Digits of a Content-Length: every number of so many digits is exact. */
const LENGTH_DIGITS = 15

/** The length of a request's body. */
export function requestLength(minor: 0 | 1, headers: HeaderList): MessageLength | Violation {
  // Steps 1 and 2 are about responses; 3 to 6 are those of every message.
  // 7. A request without both fields has no body.
  return declaredLength(minor, headers) ?? NO_BODY
}

/** The length of a response's body, given the method of the request that it answers. */
export function responseLength(status: number, minor: 0 | 1, requestMethod: string, headers: HeaderList): MessageLength | Violation {
  // Before all steps: fields that contradict each other are refused even where no body follows; such a peer is not to be trusted with the next message.
  const declared = declaredLength(minor, headers)
  if (declared !== undefined && isViolation(declared)) return declared
  // 1. No body after HEAD, nor with 1xx, 204, 304, whatever the fields say.
  if (hasNoBody(status, requestMethod)) return NO_BODY
  // 2. A 2xx to CONNECT would open a tunnel: nobody here asks for one.
  if (requestMethod === 'CONNECT' && status < 300) return FRAMING
  // 8. A response without both fields lasts until the connection is closed.
  return declared ?? UNTIL_CLOSE
}

/** Whether no body follows the head of such a response (RFC 9112 section 6.3, step 1). */
export function hasNoBody(status: number, requestMethod: string): boolean {
  return requestMethod === 'HEAD' || status < 200 || status === 204 || status === 304
}

/** Steps 3 to 6; undefined where the head bears neither field. */
function declaredLength(minor: 0 | 1, headers: HeaderList): MessageLength | Violation | undefined {
  if (!headers.framed) return undefined
  const codings = headers.count('transfer-encoding')
  const lengths = headers.count('content-length')
  if (codings === 0 && lengths === 0) return undefined
  // 3. Both fields: an attempt at smuggling until the opposite is proven. The RFC lets Transfer-Encoding win; here neither does.
  if (codings > 0 && lengths > 0) return FRAMING
  // 4. Transfer-Encoding: one line that says `chunked` and nothing else, and never in HTTP/1.0 (section 6.1).
  if (codings > 0) return minor === 0 || codings > 1 ? FRAMING : codedLength(headers.get('transfer-encoding') as string)
  // 5. Content-Length that is no plain number, or repeated, even with the same value.
  const bytes = lengths > 1 ? -1 : numberOf(headers.get('content-length') as string)
  // 6. A valid Content-Length.
  return bytes === -1 ? FRAMING : lengthOf(bytes)
}

function codedLength(value: string): MessageLength | Violation {
  if (value === 'chunked') return CHUNKED
  const coding = value.toLowerCase()
  if (coding === 'chunked') return CHUNKED
  // `identity` was withdrawn by RFC 7230; whatever looks like an attempt at `chunked` is one.
  return coding !== '' && consistsOf(TOKEN, coding) && coding !== 'identity' && !coding.includes('chunked') ? CODING : FRAMING
}

/** The number that digits, and nothing else, tell; -1 for what is none. */
function numberOf(digits: string): number {
  if (digits.length === 0 || digits.length > LENGTH_DIGITS) return -1
  let number = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

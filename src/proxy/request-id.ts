import { randomBytes } from 'node:crypto'

/** 32 lower-case hexadecimal digits, new for each request, never taken from the client. */
export function newRequestId(): string {
  if (at === digits.length) {
    digits = randomBytes(IDS * 16).toString('hex')
    at = 0
  }
  at += ID_DIGITS
  return digits.slice(at - ID_DIGITS, at)
}

const ID_DIGITS = 32
/** Ids that are made at a time: asking the system for each would cost more than the id. */
const IDS = 128
let digits = ''
let at = 0

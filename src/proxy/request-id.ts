import { randomFillSync } from 'node:crypto'

/** 32 lower-case hexadecimal digits, new for each request, never taken from the client. */
export function newRequestId(): string {
  if (randomness.at === RANDOM_BYTES) {
    randomFillSync(randomness.bytes)
    randomness.at = 0
  }
  const { bytes, at } = randomness
  randomness.at += ID_BYTES
  return bytes.toString('hex', at, at + ID_BYTES)
}

const ID_BYTES = 16
const RANDOM_BYTES = 4096
/** Random bytes for the next ids: asking the system for each would cost more than the id. */
const randomness = { bytes: Buffer.alloc(RANDOM_BYTES), at: RANDOM_BYTES }

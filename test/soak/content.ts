/** Bodies that belong to one request alone, known to both ends without being sent ahead. */
import { createCipheriv } from 'node:crypto'

const POOL_BYTES = 4 * 1024 * 1024
/** Bytes without a pattern: a piece that is lost, doubled or of another request is noticed. */
const POOL = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(POOL_BYTES))
/** A prime, so that following numbers begin far from each other. */
const STRIDE = 104_729

/** Longest body. */
export const MAX_CONTENT_BYTES = 1024 * 1024

/** The body of a request or answer with this number. */
export function contentOf(number: string, length: number): Buffer {
  const start = (Number(number) * STRIDE) % (POOL_BYTES - MAX_CONTENT_BYTES)
  return POOL.subarray(start, start + Math.min(length, MAX_CONTENT_BYTES))
}

/** The events of a streamed answer. */
export function eventsOf(number: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `id: ${index}\ndata: ${number}-${index}\n\n`)
}

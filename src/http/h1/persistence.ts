import type { HeaderList } from '../headers.ts'

const CLOSE = /(^|,)\s*close\s*(,|$)/
const KEEP_ALIVE = /(^|,)\s*keep-alive\s*(,|$)/

/** Whether who sent a message with this head goes on with the connection after it (RFC 9112 section 9.3). */
export function keepsAlive(headers: HeaderList, minor: 0 | 1): boolean {
  const lines = headers.all('connection')
  if (lines.length === 0) return minor === 1
  const options = lines.join(',').toLowerCase()
  if (CLOSE.test(options)) return false
  return minor === 1 || KEEP_ALIVE.test(options)
}

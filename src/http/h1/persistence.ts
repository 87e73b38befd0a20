import type { HeaderList } from '../headers.ts'

const CLOSE = /(^|,)\s*close\s*(,|$)/
const KEEP_ALIVE = /(^|,)\s*keep-alive\s*(,|$)/

/** Whether who sent a message with this head goes on with the connection after it (RFC 9112 section 9.3). */
export function keepsAlive(headers: HeaderList, minor: 0 | 1): boolean {
  const first = headers.get('connection')
  if (first === undefined) return minor === 1
  const options = (headers.count('connection') === 1 ? first : headers.all('connection').join(',')).toLowerCase()
  if (options === 'keep-alive') return true
  if (CLOSE.test(options)) return false
  return minor === 1 || KEEP_ALIVE.test(options)
}

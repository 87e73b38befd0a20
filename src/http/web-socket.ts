/** The one switch of protocols that is let through: from HTTP/1.1 to WebSocket (RFC 6455). What is said after it is not looked at. */
import { createHash } from 'node:crypto'
import type { HeaderList } from './headers.ts'

/** What `Sec-WebSocket-Accept` adds to the key (RFC 6455 section 1.3). */
const ACCEPT_SALT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * The key of a request that offers to go on in WebSocket; null for every other one, also where it offers further protocols beside it.
 *
 * @see RFC 6455 section 4.2.1; RFC 9110 section 7.8: `Upgrade` counts only if `Connection` names it
 */
export function webSocketKeyOf(method: string, version: string, headers: HeaderList): string | null {
  if (method !== 'GET' || version !== '1.1' || headers.only('upgrade')?.toLowerCase() !== 'websocket') return null
  const named = headers.all('connection').some((value) => value.split(',').some((item) => item.trim().toLowerCase() === 'upgrade'))
  return named ? (headers.only(KEY) ?? null) : null
}

/** Whether a 101 takes the offer that was made with `key` (RFC 6455 section 4.1): anything else is not what the client asked for. */
export function acceptsWebSocket(key: string, headers: HeaderList): boolean {
  const expected = createHash('sha1').update(`${key}${ACCEPT_SALT}`).digest('base64')
  return headers.get('upgrade')?.toLowerCase() === 'websocket' && headers.get('sec-websocket-accept') === expected
}

const KEY = 'sec-websocket-key'

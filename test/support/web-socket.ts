/** The opening handshake of RFC 6455, byte by byte. */
import { createHash } from 'node:crypto'

/** A client's key; any will do. */
export const WEB_SOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** What a server answers to `key` in `Sec-WebSocket-Accept` (section 1.3). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/** The head of a request that offers to go on in WebSocket. @param lines further ones */
export function webSocketOffer(path: string, ...lines: readonly string[]): string {
  return head(
    `GET ${path} HTTP/1.1`,
    'Host: api.test',
    'Connection: keep-alive, Upgrade',
    'Upgrade: WebSocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${WEB_SOCKET_KEY}`,
    ...lines,
  )
}

/** The head of an answer that takes the offer made with `key`. @param lines further ones */
export function webSocketAnswer(key: string, ...lines: readonly string[]): string {
  return head(
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptOf(key)}`,
    ...lines,
  )
}

function head(...lines: readonly string[]): string {
  return [...lines, '', ''].join('\r\n')
}

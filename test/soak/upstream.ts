/** An upstream as a program: `node upstream.ts <port>`. Every answer says in `X-Soak-Seen` which request it is for and whom the gateway named. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { acceptOf } from '../support/web-socket.ts'
import { contentOf, eventsOf } from './content.ts'
import { announce } from './endpoint.ts'
import type { Seen } from './tokens.ts'

const PIECES = 8
const PIECE_PAUSE_MS = 5
const EVENT_PAUSE_MS = 40

function seenBy({ headers, url = '' }: IncomingMessage): Seen {
  const text = (name: string): string => String(headers[name] ?? '')
  return {
    number: text('x-soak-number'),
    identifier: text('x-credential-identifier'),
    subject: text('x-credential-sub'),
    client: text('x-credential-client-id'),
    consumer: text('x-consumer-username'),
    credentials: headers.authorization !== undefined || url.includes('access_token'),
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const seen = seenBy(request)
  const url = new URL(request.url ?? '', 'http://upstream.test')
  const size = Number(url.searchParams.get('size'))
  response.setHeader('x-soak-seen', JSON.stringify(seen))
  switch (url.pathname.split('/').at(-1)) {
    case 'echo':
      return void request.pipe(response)
    case 'pieces': {
      const content = contentOf(seen.number, size)
      const step = Math.ceil(size / PIECES)
      for (let from = 0; from < size && !response.destroyed; from += step) {
        response.write(content.subarray(from, from + step))
        await delay(PIECE_PAUSE_MS)
      }
      return void response.end()
    }
    case 'events':
      response.setHeader('content-type', 'text/event-stream')
      for (const event of eventsOf(seen.number, size)) {
        if (response.destroyed) return
        response.write(event)
        await delay(EVENT_PAUSE_MS)
      }
      return void response.end()
    default:
      request.resume()
      return void response.setHeader('content-length', size).end(contentOf(seen.number, size))
  }
}

const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, (request, response) => {
  request.on('error', () => response.destroy())
  response.on('error', () => undefined)
  answer(request, response).catch(() => response.destroy())
})
server.on('upgrade', (request, socket) => {
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptOf(String(request.headers['sec-websocket-key']))}`,
    `X-Soak-Seen: ${JSON.stringify(seenBy(request))}`,
  ]
  socket.on('error', () => socket.destroy())
  socket.write([...lines, '', ''].join('\r\n'))
  // Whatever comes goes back.
  socket.pipe(socket)
})
announce(server)

import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { close } from '../../demo/listening.ts'

/** One handshake as the upstream saw it. */
export type Handshake = {
  /** SNI; null where none was sent. */
  readonly serverName: string | null
  readonly resumed: boolean
  /** Common name of the client certificate; null without one. */
  readonly client: string | null
}

export type TlsUpstream = AsyncDisposable & {
  readonly port: number
  /** Completed handshakes, in order. */
  readonly handshakes: readonly Handshake[]
  stop(): Promise<void>
}

/**
 * An HTTPS server whose answers are JSON: the connection (numbered from 0) and the common name of its client certificate. `?close` ends the connection after
 * the answer.
 */
export async function startTlsUpstream(options: TlsOptions): Promise<TlsUpstream> {
  const handshakes: Handshake[] = []
  const numbers = new WeakMap<object, number>()
  const answer: RequestListener = (request, response) => {
    const socket = request.socket as TLSSocket
    const headers = request.url?.includes('?close') === true ? { connection: 'close' } : {}
    request.resume().on('end', () => {
      response.writeHead(200, headers).end(JSON.stringify({ connection: numbers.get(socket), client: clientOf(socket) }))
    })
  }
  const server = createServer(options, answer).on('secureConnection', (socket) => {
    numbers.set(socket, handshakes.length)
    const serverName = typeof socket.servername === 'string' ? socket.servername : null
    handshakes.push({ serverName, resumed: socket.isSessionReused(), client: clientOf(socket) })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const stop = () => close(server)
  return { port, handshakes, stop, [Symbol.asyncDispose]: stop }
}

function clientOf(socket: TLSSocket): string | null {
  const name: unknown = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' ? name : null
}

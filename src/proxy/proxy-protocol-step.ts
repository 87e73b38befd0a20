/** The first step of a connection that has to begin with a header of the PROXY protocol. Nothing of what follows is looked at before the header is whole. */
import type { Server, Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { ProxiedConnection } from '../http/exchange.ts'
import type { Log } from '../telemetry/log.ts'
import { Rarely } from '../util/rarely.ts'
import { FirstBytes } from './first-bytes.ts'
import { readProxyHeader } from './proxy-protocol.ts'

/** What the step comes to: one of `arrived` and `closed`, once. `refused` goes before a `closed`. */
export interface ProxyProtocolOutcome {
  /** The bytes behind the header are in the socket again, which does not flow. */
  arrived(proxied: ProxiedConnection | null): void
  refused(reason: string): void
  closed(): void
}

/** A connection whose header has not come, or not whole. */
export class ProxyProtocolStep extends FirstBytes {
  readonly #outcome: ProxyProtocolOutcome

  constructor(socket: Socket, sinceMs: number, limitMs: number, outcome: ProxyProtocolOutcome) {
    super(socket, sinceMs, limitMs, () => outcome.closed())
    this.#outcome = outcome
  }

  protected override look(bytes: Buffer): void {
    const header = readProxyHeader(bytes)
    if (header.kind === 'partial') return
    if (header.kind === 'refused') return this.#refuse(header.reason)
    this.settle(header.length)
    this.#outcome.arrived(header.proxied)
  }

  /** Whoever connects and leaves without a word, as health checks do, has done nothing wrong. */
  protected override ended(bytes: Buffer): void {
    if (bytes.length === 0) this.destroy()
    else this.#refuse('the client left in the middle of the header')
  }

  override expire(): void {
    this.#refuse('no header in time')
  }

  #refuse(reason: string): void {
    this.#outcome.refused(reason)
    this.destroy()
  }
}

/** For servers of Node.js. */
export interface ProxyHeaderRule {
  /** Milliseconds for the whole header. */
  readonly timeoutMs: number
  readonly onRefused: (reason: string, peer: string) => void
}

/**
 * Makes the connections of a server (`node:http`, `node:https`) begin with a header; what it says is dropped. To be called before the server listens.
 *
 * @returns cuts connections whose header has not come, now and later: the server does not know them, and would wait for them to end
 */
export function requireProxyHeader(server: Server, { timeoutMs, onRefused }: ProxyHeaderRule): () => void {
  const waiting = new Set<ProxyProtocolStep>()
  const serve = server.listeners('connection')
  let closing = false
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (closing) return void socket.destroy()
    const timer = setTimeout(() => step.expire(), timeoutMs)
    const done = (): void => {
      clearTimeout(timer)
      waiting.delete(step)
    }
    const step = new ProxyProtocolStep(socket, Date.now(), timeoutMs, {
      arrived: () => {
        done()
        for (const listener of serve) listener.call(server, socket)
        // A server of TLS reads what waits in the socket by itself, and would lose it if it flowed.
        if (!(server instanceof TlsServer)) socket.resume()
      },
      refused: (reason) => onRefused(reason, socket.remoteAddress ?? ''),
      closed: done,
    })
    waiting.add(step)
  })
  return () => {
    closing = true
    for (const step of waiting) step.destroy()
  }
}

const WARN_EVERY_MS = 60_000

/**
 * Logs refusals: each at `info`, as whoever reaches the port can cause them, and one in a minute at `warn`, as a proxy in front that does not send the header
 * has all its clients refused.
 */
export function createRefusalLog(log: Log, nowMs?: () => number): (reason: string, peer: string) => void {
  const warnings = new Rarely(WARN_EVERY_MS, nowMs)
  return (reason, peer) => {
    log[warnings.due() ? 'warn' : 'info']('connection without a valid PROXY protocol header closed', { reason, peer })
  }
}

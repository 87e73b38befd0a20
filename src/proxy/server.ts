/** The front: listeners, the clock of their connections, and the end of both. What happens on one connection is in client-connection.ts. */
import { createServer, type Server, type Socket } from 'node:net'
import { ClientConnection, type ConnectionHost, type FrontConnection, type FrontOptions } from './client-connection.ts'

/** Counters of one front, as the Status API shows them. */
export interface FrontCounters {
  accepted: number
  active: number
  requests: number
}

export interface Front {
  readonly server: Server
  readonly counters: FrontCounters
  /** Connections by what they are doing; counted when asked. */
  activity(): { readonly reading: number; readonly waiting: number }
  /**
   * No new connections; every answer closes its connection. Resolves when the last one is closed. A connection that is idle stays open for a moment: its next
   * request may be on the way already, and would be lost.
   */
  drain(): Promise<void>
  /** Cuts all connections. */
  destroy(): void
}

/** How often deadlines are looked at, at most. */
const SWEEP_MS = 500
/** How long an idle connection stays open while draining. */
const DRAIN_GRACE_MS = 300

export function createFront(options: FrontOptions): Front {
  return new NetFront(options)
}

class NetFront implements Front, ConnectionHost {
  readonly server: Server
  readonly counters: FrontCounters = { accepted: 0, active: 0, requests: 0 }
  readonly options: FrontOptions
  draining = false
  nowMs = Date.now()
  date = new Date().toUTCString()
  readonly #connections = new Set<FrontConnection>()
  #dateSecond = 0

  constructor(options: FrontOptions) {
    this.options = options
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
    const { headMs, bodyMs, sendMs, keepaliveMs, lingeringMs } = options.deadlines
    const period = Math.max(25, Math.min(SWEEP_MS, headMs / 4, bodyMs / 4, sendMs / 4, keepaliveMs / 4, lingeringMs / 4))
    const sweep = setInterval(() => this.#sweep(), period)
    sweep.unref()
    this.server.once('close', () => clearInterval(sweep))
  }

  #accept(socket: Socket): void {
    this.counters.accepted++
    this.counters.active++
    this.#connections.add(new ClientConnection(this, socket))
  }

  onClosed(connection: FrontConnection): void {
    this.counters.active--
    this.#connections.delete(connection)
  }

  activity(): { reading: number; waiting: number } {
    const found = { reading: 0, waiting: 0 }
    for (const connection of this.#connections) {
      if (connection.isReading) found.reading++
      else if (connection.isIdle) found.waiting++
    }
    return found
  }

  #sweep(): void {
    this.nowMs = Date.now()
    const second = Math.floor(this.nowMs / 1000)
    if (second !== this.#dateSecond) {
      this.#dateSecond = second
      this.date = new Date(this.nowMs).toUTCString()
    }
    for (const connection of this.#connections) if (connection.deadlineMs <= this.nowMs) connection.expire()
  }

  drain(): Promise<void> {
    this.draining = true
    const sweep = setInterval(() => {
      for (const connection of this.#connections) if (connection.isIdle) connection.destroy()
    }, DRAIN_GRACE_MS)
    return new Promise((resolve) => {
      this.server.close(() => {
        clearInterval(sweep)
        resolve()
      })
    })
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}

import { EventEmitter, once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'

/** Listens on the loopback address; port 0 takes any free one. Returns the port. */
export async function listen(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A number that grows and can be waited for. */
export class Counter {
  #count = 0
  readonly #events = new EventEmitter<{ changed: [] }>().setMaxListeners(0)

  get count(): number {
    return this.#count
  }

  increment(): number {
    this.#count++
    this.#events.emit('changed')
    return this.#count
  }

  reset(): void {
    this.#count = 0
  }

  /** Resolves as soon as the number is `count` or more. */
  async reached(count: number): Promise<void> {
    while (this.#count < count) await once(this.#events, 'changed')
  }
}

import type { Duplex } from 'node:stream'

/**
 * Passes bytes both ways between a client and an upstream that have switched protocols, with back-pressure, until one side has ended and its last bytes are
 * passed on, one is cut, or nothing came from either for `idleMs` milliseconds. There are no half-closed tunnels, as with nginx: WebSocket has a closing
 * handshake of its own (RFC 6455 section 7).
 *
 * @param done called once, when one is closed and the other is being closed
 */
export function tunnel(client: Duplex, upstream: Duplex, idleMs: number, done: () => void): void {
  let open = true
  const cut = (): void => {
    client.destroy()
    upstream.destroy()
  }
  const idle = setTimeout(cut, idleMs).unref()
  const closed = (): void => {
    if (!open) return
    open = false
    clearTimeout(idle)
    cut()
    done()
  }
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.on('data', () => idle.refresh())
    from.on('error', cut)
    from.once('finish', cut)
    from.once('close', closed)
    from.pipe(to)
  }
  if (client.destroyed || upstream.destroyed) cut()
}

/**
 * Connections on their way from the primary to one worker. `node:cluster` accepts in the primary and sends each connection over; until the worker says that it took
 * it, the primary keeps its own copy. Nobody else takes care of what a worker had not taken when it died: its client would wait without end, and the copy would
 * never be closed.
 *
 *   primary ── {cmd: NODE_CLUSTER, act: newconn, seq} + connection ──> worker
 *           <──────────── {cmd: NODE_CLUSTER, ack: seq, accepted} ────
 *
 * A worker answers before it reads from the connection, and what it had answered arrives before its channel's end: what is open then was read by nobody.
 *
 * A channel that ends while a connection is on it does not say so (Node.js waits for the queue behind that connection to be sent, which it never is), and
 * `node:cluster` goes on choosing the dead worker. So the end is told here, once the process has ended and all of the channel is read.
 */
import type { ChildProcess } from 'node:child_process'

/** What `node:cluster` puts on the channel of a worker; parts that are looked at. */
interface ClusterMessage {
  readonly cmd?: unknown
  readonly act?: unknown
  readonly seq?: unknown
  readonly ack?: unknown
}

const CLUSTER = 'NODE_CLUSTER'

/**
 * Watches the channel of a worker, from its start on. When the channel ends, the worker's answer to what is open is given in its place.
 *
 * @param othersServe whether another worker can take the connections; otherwise they are closed
 */
export function settleHandoffs(worker: ChildProcess, othersServe: () => boolean): void {
  const open = new Set<unknown>()
  worker.send = new Proxy(worker.send, {
    apply(send, self, args: Parameters<ChildProcess['send']>) {
      const message = clusterMessage(args[0])
      if (message?.act === 'newconn') open.add(message.seq)
      return Reflect.apply(send, self, args)
    },
  })
  worker.on('internalMessage', (received: unknown) => {
    const message = clusterMessage(received)
    if (message?.ack !== undefined) open.delete(message.ack)
  })
  let ended = false
  worker.once('disconnect', () => {
    ended = true
    const accepted = !othersServe()
    for (const ack of [...open]) worker.emit('internalMessage', { cmd: CLUSTER, ack, accepted })
  })
  const look = (): void => {
    if (worker.connected) setImmediate(look)
    // What was read last is on its way in this turn.
    else setImmediate(() => ended || worker.emit('disconnect'))
  }
  worker.once('exit', look)
}

function clusterMessage(message: unknown): ClusterMessage | null {
  if (typeof message !== 'object' || message === null) return null
  const candidate: ClusterMessage = message
  return candidate.cmd === CLUSTER ? candidate : null
}

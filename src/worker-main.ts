/** Entry of a worker process (node:cluster). */
import type { FromWorker, ToWorker } from './proxy/worker-protocol.ts'
import { runWorker } from './worker.ts'

runWorker({
  send: (message: FromWorker) => {
    if (process.connected) process.send?.(message)
  },
  onMessage: (listener: (message: ToWorker) => void) => process.on('message', (message) => listener(message as ToWorker)),
  exit: (code) => process.exit(code),
})

// Signals are the primary's business: a terminal sends Ctrl-C to the whole group, and the primary decides between stop and drain.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {})
// Without its primary a worker has no configuration and nobody to end it.
process.once('disconnect', () => process.exit(0))

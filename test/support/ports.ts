import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Systems give out ports for connections, and for listeners on port 0, from 32768 on: one below stays free until somebody names it. */
const LOWEST = 10_240
const HIGHEST = 32_767

/** A port on the loopback address where nothing listens, and nothing will by chance. */
export async function unusedPort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST + 1)
    const server = createServer().listen(port, '127.0.0.1')
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

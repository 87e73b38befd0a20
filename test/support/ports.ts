import { once } from 'node:events'
import { createServer } from 'node:net'
import { listen } from '../../demo/listening.ts'

/** A port on the loopback address where nothing listens, for tests of refused connections. */
export async function unusedPort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  server.close()
  await once(server, 'close')
  return port
}

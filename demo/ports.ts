import { createServer } from 'node:net'

/** Where the demo listens; 0 lets the system choose. */
export interface DemoPorts {
  readonly proxy: number
  readonly admin: number
  readonly authorizationServer: number
  readonly upstream: number
}

const FIXED: DemoPorts = { proxy: 8000, admin: 8001, authorizationServer: 8090, upstream: 9080 }

/** Ports of the demo are taken by other programs. */
export class PortInUseError extends Error {
  constructor(ports: readonly number[]) {
    const taken = ports.length === 1 ? `port ${ports[0]} is in use` : `ports ${ports.join(', ')} are in use`
    super(`${taken} by another program. Stop it, or let the demo choose free ports:\n\n  npm run demo -- --ports auto\n`)
  }
}

/** The usual ports, checked to be free, or any free ones. @throws {PortInUseError} */
export async function choosePorts(auto: boolean): Promise<DemoPorts> {
  if (auto) return { proxy: 0, admin: 0, authorizationServer: 0, upstream: 0 }
  const taken: number[] = []
  for (const port of Object.values(FIXED)) if (!(await isFree(port))) taken.push(port)
  if (taken.length > 0) throw new PortInUseError(taken)
  return FIXED
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)))
  })
}

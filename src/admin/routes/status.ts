import { EMPTY_HASH } from '../../db/database.ts'
import type { AdminDeps } from '../deps.ts'
import type { Answer, Endpoint, Exchange } from '../endpoint.ts'
import { message, NO_CONTENT, ok } from '../endpoint.ts'

const UNITS: Readonly<Record<string, readonly [number, string]>> = { k: [1024, 'KiB'], m: [1024 ** 2, 'MiB'], g: [1024 ** 3, 'GiB'] }

/** `GET /status`: connections, memory, and whether the database answers; without a database, what configuration is loaded. 503 while no worker routes. */
export function statusEndpoint(deps: AdminDeps): Endpoint {
  return {
    path: '/status',
    methods: {
      GET: async ({ query }) => {
        const format = memoryFormat(query)
        if (typeof format !== 'function') return format
        if (!deps.routing()) return message(503, 'no worker routes requests')
        const { server, workers } = await deps.status()
        return ok({
          memory: {
            lua_shared_dicts: {},
            workers_lua_vms: workers.map(({ pid, heapBytes }) => ({ http_allocated_gc: format(heapBytes), pid })),
          },
          server,
          ...(await databaseState(deps)),
        })
      },
    },
  }
}

async function databaseState({ database }: AdminDeps): Promise<Record<string, unknown>> {
  if (database.kind === 'off') return { configuration_hash: database.configurationHash }
  return { database: { reachable: await database.reachable() } }
}

/** `unit` is b, k, m or g in either case (default m), `scale` the number of decimals (default 2). */
function memoryFormat({ unit = 'm', scale }: Exchange['query']): ((bytes: number) => string | number) | Answer {
  const given = typeof unit === 'string' ? unit : ''
  const name = given.toLowerCase()
  // Kong takes what is no number for absent.
  const decimals = typeof scale === 'string' && /^-?\d{1,2}$/.test(scale) ? Number(scale) : 2
  if (decimals < 0) return message(400, 'scale must be equal or greater than 0')
  if (name === 'b') return (bytes) => bytes
  const known = Object.hasOwn(UNITS, name) ? UNITS[name] : undefined
  if (known === undefined) return message(400, `invalid unit '${given}' (expected 'k/K', 'm/M', or 'g/G')`)
  return (bytes) => `${(bytes / known[0]).toFixed(decimals)} ${known[1]}`
}

/** `/status/ready`: for load balancers. `POST status=draining` makes it answer 503 until the gateway is started again. */
export function readyEndpoint(deps: AdminDeps): Endpoint {
  return {
    path: '/status/ready',
    methods: {
      GET: async () => {
        const reason = deps.unreadiness() ?? (await missingConfiguration(deps))
        return reason === null ? message(200, 'ready') : message(503, reason)
      },
      POST: ({ body }) => {
        if (body['status'] !== 'draining') return message(400, "the only status that can be set is 'draining'")
        deps.drain()
        return NO_CONTENT
      },
    },
  }
}

async function missingConfiguration({ database }: AdminDeps): Promise<string | null> {
  if (!(await database.reachable())) return 'failed to connect to database'
  const empty = database.kind === 'off' && database.configurationHash === EMPTY_HASH
  return empty ? 'no configuration available (empty configuration present)' : null
}

import { hostname } from 'node:os'
import type { AdminDeps } from '../deps.ts'
import type { Endpoint } from '../endpoint.ts'
import { ok } from '../endpoint.ts'

/** `GET /`: who answers. Clients negotiate on `version`, and decK reads `configuration.database`. */
export function rootEndpoint(deps: AdminDeps): Endpoint {
  return {
    path: '/',
    methods: {
      GET: async () => {
        const configured = await deps.database.entities.plugins.all()
        return ok({
          tagline: 'Welcome to kong',
          version: deps.version,
          edition: 'community',
          sallyport: { version: deps.ownVersion },
          hostname: hostname(),
          node_id: deps.nodeId,
          // A text by contract, whatever the runtime is.
          lua_version: `Node.js ${process.version}`,
          pids: deps.processes(),
          timers: { running: 0, pending: 0 },
          plugins: {
            available_on_server: Object.fromEntries(
              [...deps.plugins].map(([name, { version, priority }]) => [name, { version, priority }]),
            ),
            enabled_in_cluster: [...new Set(configured.map(({ name }) => name))].sort(),
          },
          configuration: { ...deps.configuration, database: deps.database.kind },
        })
      },
    },
  }
}

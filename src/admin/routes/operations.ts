import type { AdminDeps } from '../deps.ts'
import type { Endpoint } from '../endpoint.ts'
import { message, NO_CONTENT, NOT_FOUND, parameter } from '../endpoint.ts'

const CONTROL_PLANE_ONLY = message(400, 'this endpoint is only available when Kong is configured to run as Control Plane for the cluster')

/** Endpoints for operators: caches, log level, and the ones of a control plane, which this node is not. */
export function operationEndpoints(deps: AdminDeps): readonly Endpoint[] {
  return [
    {
      path: '/cache',
      methods: {
        DELETE: async () => {
          await deps.purge()
          return NO_CONTENT
        },
      },
    },
    // Cached values are found by digests of secrets: there is no key that a client could name.
    { path: '/cache/{key}', methods: { GET: () => NOT_FOUND, DELETE: () => NO_CONTENT } },
    { path: '/clustering/data-planes', methods: { GET: () => CONTROL_PLANE_ONLY } },
    { path: '/clustering/status', methods: { GET: () => CONTROL_PLANE_ONLY } },
    ...logLevelEndpoints(deps),
  ]
}

function logLevelEndpoints({ logLevel }: AdminDeps): readonly Endpoint[] {
  if (logLevel === undefined) return []
  return [
    { path: '/debug/node/log-level', methods: { GET: () => message(200, `log level: ${logLevel.get()}`) } },
    {
      path: '/debug/node/log-level/{level}',
      methods: {
        PUT: (request) => {
          const level = parameter(request, 'level')
          return logLevel.set(level) ? message(200, 'log level changed') : message(400, `unknown log level: ${level}`)
        },
      },
    },
  ]
}

import type { AdminDeps } from '../deps.ts'
import type { Endpoint } from '../endpoint.ts'
import { NOT_FOUND } from '../endpoint.ts'

/** `GET /metrics`: for Prometheus, while there is a configuration of the plugin of that name; without one there is nothing to be found. */
export function metricsEndpoint(deps: AdminDeps): Endpoint {
  return {
    path: '/metrics',
    methods: {
      GET: async () => {
        const metrics = await deps.metrics()
        return metrics === null ? NOT_FOUND : { status: 200, body: Buffer.from(metrics.text), headers: { 'content-type': metrics.type } }
      },
    },
  }
}

import { pluginSchema } from '../../plugin/define.ts'
import type { Infer } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'

/** The configuration of prometheus: Kong's fields and defaults. */
export const schema = pluginSchema({
  name: 'prometheus',
  description:
    'Counts requests, latencies and bytes by Service and Route, for Prometheus to fetch from `/metrics` of the Admin API and of the Status API. While a ' +
    'configuration of it exists, connections, memory and what the OAuth plugins do (`kong_introspection_*`, `kong_idp_*`) are shown there too. A request is ' +
    'counted once, by the configuration that applies to it; a request that no Route matches is not counted.',
  scopes: ['service', 'route', 'consumer'],
  config: {
    per_consumer: field.boolean({
      default: false,
      description: 'Fills the `consumer` label of requests and bytes with the username of the Consumer.',
    }),
    status_code_metrics: field.boolean({ default: false, description: 'Counts requests by status: `kong_http_requests_total`.' }),
    ai_metrics: field.boolean({ default: false, description: 'Accepted for files made for Kong; there is nothing to count.' }),
    latency_metrics: field.boolean({
      default: false,
      description: 'Where time goes: `kong_kong_latency_ms`, `kong_upstream_latency_ms`, `kong_request_latency_ms`.',
    }),
    bandwidth_metrics: field.boolean({ default: false, description: 'Counts bytes, heads included: `kong_bandwidth_bytes`.' }),
    upstream_health_metrics: field.boolean({
      default: false,
      description: 'Accepted for files made for Kong; there are no health checks yet.',
    }),
    wasm_metrics: field.boolean({ default: false, description: 'Accepted for files made for Kong; there is nothing to count.' }),
  },
})

/** A stored configuration. */
export type Config = Infer<typeof schema>

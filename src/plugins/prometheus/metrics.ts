/** What the plugin counts: names, labels and buckets are Kong's. */
import type { MetricDefinition } from '../../telemetry/metrics.ts'

/** Bounds for time spent in the gateway, in milliseconds. */
export const KONG_BUCKETS = [1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000] as const
/** Bounds for time spent waiting for the upstream, and for whole requests, in milliseconds. */
export const UPSTREAM_BUCKETS = [25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10_000, 30_000, 60_000] as const

const LATENCY_LABELS = ['service', 'route', 'workspace'] as const

export const REQUESTS: MetricDefinition = {
  name: 'kong_http_requests_total',
  help: 'Requests by status, and by who answered: the upstream (service) or the gateway (kong).',
  type: 'counter',
  labels: ['service', 'route', 'code', 'source', 'workspace', 'consumer'],
}

export const BANDWIDTH: MetricDefinition = {
  name: 'kong_bandwidth_bytes',
  help: 'Bytes of requests (ingress) and answers (egress), heads included.',
  type: 'counter',
  labels: ['service', 'route', 'direction', 'workspace', 'consumer'],
}

export const KONG_LATENCY: MetricDefinition = {
  name: 'kong_kong_latency_ms',
  help: 'Milliseconds in the gateway before the upstream was asked, or until its own answer.',
  type: 'histogram',
  labels: LATENCY_LABELS,
  buckets: KONG_BUCKETS,
}

export const UPSTREAM_LATENCY: MetricDefinition = {
  name: 'kong_upstream_latency_ms',
  help: 'Milliseconds until the upstream began to answer.',
  type: 'histogram',
  labels: LATENCY_LABELS,
  buckets: UPSTREAM_BUCKETS,
}

export const REQUEST_LATENCY: MetricDefinition = {
  name: 'kong_request_latency_ms',
  help: 'Milliseconds from the first byte of a request to the last byte of its answer.',
  type: 'histogram',
  labels: LATENCY_LABELS,
  buckets: UPSTREAM_BUCKETS,
}

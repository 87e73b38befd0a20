/** What the gateway shows of itself at `/metrics`, with Kong's names. */
import type { MetricDefinition, MetricSnapshot, Series } from '../telemetry/metrics.ts'

/** Figures of the whole gateway at one moment. */
export interface NodeFigures {
  readonly nodeId: string
  readonly version: string
  readonly connections: {
    readonly accepted: number
    readonly handled: number
    readonly active: number
    readonly reading: number
    readonly writing: number
    readonly waiting: number
  }
  readonly requests: number
  /** Timers that run and that wait. */
  readonly timers: { readonly running: number; readonly pending: number }
  readonly datastoreReachable: boolean
  /** Series that found no place. */
  readonly metricErrors: number
  /** Heap of each process, primary included. */
  readonly processes: readonly { readonly pid: number; readonly heapBytes: number }[]
}

const SUBSYSTEM = 'http'

/** The node's own metrics. */
export function nodeMetrics(figures: NodeFigures): readonly MetricSnapshot[] {
  const { nodeId, version, connections, requests, timers, datastoreReachable, metricErrors, processes } = figures
  // Kong counts what it has accepted and handled once more as the total.
  const states = Object.entries({ ...connections, total: requests })
  return [
    one(NODE_INFO, [[[nodeId, version], 1]]),
    one(
      CONNECTIONS,
      states.map(([state, value]) => [[nodeId, SUBSYSTEM, state], value]),
    ),
    one(REQUESTS, [[[nodeId, SUBSYSTEM], requests]]),
    one(
      TIMERS,
      Object.entries(timers).map(([state, value]) => [[state], value]),
    ),
    one(ERRORS, [[[], metricErrors]]),
    one(DATASTORE, [[[], datastoreReachable ? 1 : 0]]),
    one(
      MEMORY,
      processes.map(({ pid, heapBytes }) => [[nodeId, String(pid), SUBSYSTEM], heapBytes]),
    ),
  ]
}

function one(definition: MetricDefinition, values: readonly (readonly [labels: readonly string[], value: number])[]): MetricSnapshot {
  return { ...definition, series: values.map(([labels, value]): Series => ({ labels, value, counts: null })) }
}

const NODE_INFO: MetricDefinition = {
  name: 'kong_node_info',
  help: 'The node and the version of Kong that it is compatible with.',
  type: 'gauge',
  labels: ['node_id', 'version'],
}
const CONNECTIONS: MetricDefinition = {
  name: 'kong_nginx_connections_total',
  help: 'Client connections by state; the state total counts requests.',
  type: 'gauge',
  labels: ['node_id', 'subsystem', 'state'],
}
const REQUESTS: MetricDefinition = {
  name: 'kong_nginx_requests_total',
  help: 'Requests of clients, also those that no Route matched.',
  type: 'gauge',
  labels: ['node_id', 'subsystem'],
}
const TIMERS: MetricDefinition = { name: 'kong_nginx_timers', help: 'Timers of the workers.', type: 'gauge', labels: ['state'] }
const ERRORS: MetricDefinition = {
  name: 'kong_nginx_metric_errors_total',
  help: 'Series that found no place because there were too many.',
  type: 'counter',
  labels: [],
}
const DATASTORE: MetricDefinition = {
  name: 'kong_datastore_reachable',
  help: 'Whether the database answers.',
  type: 'gauge',
  labels: [],
}
const MEMORY: MetricDefinition = {
  name: 'kong_memory_workers_lua_vms_bytes',
  help: 'Bytes of the JavaScript heap in use, by process; the name is the one that dashboards for Kong know.',
  type: 'gauge',
  labels: ['node_id', 'pid', 'kong_subsystem'],
}

import { redactTarget } from '../../http/query.ts'
import type { RequestContext } from '../../plugin/context.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { Queue, type QueueLimits, queuesOf } from '../../plugin/queue.ts'
import { queueLimits } from '../../plugin/queue-schema.ts'
import type { Span, Trace } from '../../telemetry/trace.ts'
import { withoutPort } from '../../util/authority.ts'
import { createResource, encodeSpans, postSpans, weighSpan } from './export.ts'
import { joinTrace, type Propagation, readPropagation } from './propagation.ts'
import { type Config, QUEUE_DEFAULTS, schema } from './schema.ts'

/** What a configuration comes to. */
interface State {
  readonly propagation: Propagation
  /** Null: what the gateway's setting says. */
  readonly samplingRate: number | null
  readonly answerHeader: string | null
  /** Null where there is nowhere to send spans. */
  readonly queue: Queue<Span> | null
  readonly release: () => void
}

/** Time that an idle connection to the collector is kept. */
const KEEPALIVE_MS = 60_000
/** What a collector has to say is short. */
const MAX_ANSWER_BYTES = 65_536

/**
 * Takes up the trace that a request belongs to, tells the upstream of it, and sends the spans of sampled requests to an OpenTelemetry collector. Wire-compatible
 * with Kong's plugin of the same name.
 */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 14,
  configure,
  trace: decide,
  access(context, state) {
    // A configuration that only some Consumers have is not known to apply before this moment.
    if (context.trace?.sampled === null) decide(context, context.trace, state)
  },
  headerFilter({ trace, response }, { answerHeader }) {
    if (answerHeader !== null && trace !== null) response.headers.set(answerHeader, trace.id)
  },
  log,
  close: ({ release }) => release(),
})

function configure(config: Config, kit: PluginKit): State {
  return {
    propagation: readPropagation(config),
    samplingRate: config.sampling_rate,
    answerHeader: config.http_response_header_for_traceid,
    ...(config.traces_endpoint === null ? NO_QUEUE : acquireQueue(config, config.traces_endpoint, kit)),
  }
}

const NO_QUEUE: Pick<State, 'queue' | 'release'> = { queue: null, release() {} }

/** Configurations share a queue only where one can stand in for the other. */
function acquireQueue(config: Config, url: string, kit: PluginKit): Pick<State, 'queue' | 'release'> {
  const limits = limitsOf(config)
  const queues = queuesOf<Span>(kit, schema.name)
  const { connect_timeout, send_timeout, read_timeout, headers, resource_attributes } = config
  const key = JSON.stringify([url, connect_timeout, send_timeout, read_timeout, headers, resource_attributes, limits])
  const queue = queues.acquire(key, () => {
    const server = URL.parse(url)?.origin ?? 'no URL'
    return new Queue({ entries: 'spans', plugin: schema.name, server, limits, send: sender(config, url, kit), log: kit.log })
  })
  return { queue, release: () => queues.release(key) }
}

function sender(config: Config, url: string, kit: PluginKit): (spans: readonly Span[]) => Promise<void> {
  const { connect_timeout, send_timeout, read_timeout } = config
  const connectTimeoutMs = connect_timeout ?? 1000
  const timeoutMs = read_timeout ?? 5000
  const http = kit.httpClient({
    timeoutMs,
    connectTimeoutMs,
    deadlineMs: connectTimeoutMs + (send_timeout ?? 5000) + timeoutMs,
    keepaliveMs: KEEPALIVE_MS,
    verifyTls: true,
    maxResponseBytes: MAX_ANSWER_BYTES,
  })
  const resource = createResource({
    'service.name': 'kong',
    ...(kit.node === undefined ? {} : { 'service.instance.id': kit.node.id, 'service.version': kit.node.version }),
    ...config.resource_attributes,
  })
  const headers = Object.entries(config.headers ?? {})
  return async (spans) => postSpans(http, url, headers, await encodeSpans(spans, resource))
}

/** The queue's parameters, those by their older names first. */
function limitsOf({ queue, batch_span_count, batch_flush_delay }: Config): QueueLimits {
  return {
    ...queueLimits(queue, QUEUE_DEFAULTS),
    ...(batch_span_count === null ? null : { maxBatchSize: batch_span_count }),
    ...(batch_flush_delay === null ? null : { maxCoalescingDelayMs: batch_flush_delay * 1000 }),
  }
}

function decide({ request }: RequestContext, trace: Trace, { propagation, samplingRate }: State): void {
  joinTrace(trace, request.headers, propagation, samplingRate ?? trace.settings.samplingRate)
}

function log(context: RequestContext, state: State): void {
  const { trace } = context
  if (trace === null) return
  // The request ended before its route, or its Consumer, was known.
  if (trace.sampled === null) decide(context, trace, state)
  describe(context, trace)
  const spans = trace.finish(trace.nowMs(context.record.endedMs))
  if (state.queue !== null) for (const span of spans) state.queue.add(span, weighSpan(span))
}

/** The attributes of the request as a whole. Arguments that may be credentials are left out of its address. */
function describe({ id, request, record, route }: RequestContext, { root, sampled }: Trace): void {
  if (sampled !== true) return
  const { host } = request
  root.set('http.method', request.method)
  root.set('http.url', `${request.scheme}://${host}${redactTarget(request.rawPath + request.query)}`)
  root.set('http.host', withoutPort(host))
  root.set('http.scheme', request.scheme)
  root.set('http.flavor', request.version)
  root.set('http.client_ip', request.clientAddress)
  root.set('net.peer.ip', request.peerAddress)
  root.set('kong.request.id', id)
  root.set('http.status_code', record.status)
  const paths = route?.['paths']
  root.set('http.route', Array.isArray(paths) && typeof paths[0] === 'string' ? paths[0] : '')
}

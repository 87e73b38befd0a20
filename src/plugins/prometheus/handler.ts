import type { RequestContext } from '../../plugin/context.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { latenciesOf } from '../../plugin/record.ts'
import { type Metric, metricsOf, observe, type Series } from '../../telemetry/metrics.ts'
import { BANDWIDTH, KONG_BUCKETS, KONG_LATENCY, REQUEST_LATENCY, REQUESTS, UPSTREAM_BUCKETS, UPSTREAM_LATENCY } from './metrics.ts'
import { type Config, schema } from './schema.ts'

/** There is one workspace. */
const WORKSPACE = 'default'

/** Counts each request that a Route matched, with Kong's names, labels and buckets. */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 13,
  configure: (config: Config, kit) => new Observer(config, kit),
  log: (context, observer) => observer.observe(context),
})

/** The series of one Route and consumer, found once. */
interface Counted {
  readonly consumer: string
  /** By status: answers of the upstream. */
  readonly served: (Series | undefined)[]
  /** By status: answers of the gateway. */
  readonly answered: (Series | undefined)[]
  readonly ingress: Series | null
  readonly egress: Series | null
}

interface RouteSeries extends Counted {
  readonly service: string
  readonly route: string
  /** `upstream` is made when one was waited for. */
  readonly latencies: { readonly kong: Series; upstream: Series | null; readonly request: Series } | null
  readonly byConsumer: Map<string, Counted>
}

class Observer {
  readonly #perConsumer: boolean
  readonly #requests: Metric | null
  readonly #bandwidth: Metric | null
  readonly #latencies: { readonly kong: Metric; readonly upstream: Metric; readonly request: Metric } | null
  /** By the Route as the snapshot has it: a new configuration brings new objects, and old ones are forgotten with it. */
  readonly #routes = new WeakMap<object, RouteSeries>()

  constructor(config: Config, kit: PluginKit) {
    const metrics = metricsOf(kit)
    this.#perConsumer = config.per_consumer === true
    this.#requests = config.status_code_metrics === true ? metrics.metric(REQUESTS) : null
    this.#bandwidth = config.bandwidth_metrics === true ? metrics.metric(BANDWIDTH) : null
    this.#latencies =
      config.latency_metrics === true
        ? { kong: metrics.metric(KONG_LATENCY), upstream: metrics.metric(UPSTREAM_LATENCY), request: metrics.metric(REQUEST_LATENCY) }
        : null
  }

  observe(context: RequestContext): void {
    const { route, record } = context
    if (route === null) return
    const known = this.#routes.get(route) ?? this.#open(route, context.service)
    const { consumer } = context.identity
    const counted = this.#perConsumer && consumer !== null ? this.#ofConsumer(known, consumer.username ?? '') : known
    if (this.#requests !== null) this.#count(this.#requests, known, counted, context)
    if (counted.ingress !== null) counted.ingress.value += record.bytesReceived
    if (counted.egress !== null) counted.egress.value += record.bytesSent
    if (known.latencies !== null) this.#time(known.latencies, known, context)
  }

  #time(latencies: NonNullable<RouteSeries['latencies']>, { service, route }: RouteSeries, { record }: RequestContext): void {
    const { kong, proxy, request } = latenciesOf(record)
    observe(latencies.request, request, UPSTREAM_BUCKETS)
    observe(latencies.kong, kong, KONG_BUCKETS)
    if (proxy < 0) return
    latencies.upstream ??= this.#latencies?.upstream.series([service, route, WORKSPACE]) ?? null
    if (latencies.upstream !== null) observe(latencies.upstream, proxy, UPSTREAM_BUCKETS)
  }

  /** Who answered decides the source: the upstream (also where it was not waited for) or the gateway. */
  #count(requests: Metric, { service, route }: RouteSeries, counted: Counted, context: RequestContext): void {
    const { status, forwardedMs } = context.record
    const served = !context.exited && forwardedMs > 0
    const byStatus = served ? counted.served : counted.answered
    let series = byStatus[status]
    if (series === undefined) {
      series = requests.series([service, route, String(status), served ? 'service' : 'kong', WORKSPACE, counted.consumer])
      byStatus[status] = series
    }
    series.value++
  }

  #open(entity: Readonly<Record<string, unknown>>, serviceEntity: RequestContext['service']): RouteSeries {
    const service = textOf(serviceEntity?.['name'] ?? serviceEntity?.['host'])
    const route = textOf(entity['name'] ?? entity['id'])
    const labels = [service, route, WORKSPACE]
    const latencies = this.#latencies
    const made: RouteSeries = {
      ...this.#counted(service, route, ''),
      service,
      route,
      latencies: latencies && { kong: latencies.kong.series(labels), upstream: null, request: latencies.request.series(labels) },
      byConsumer: new Map(),
    }
    this.#routes.set(entity, made)
    return made
  }

  #ofConsumer({ byConsumer, service, route }: RouteSeries, consumer: string): Counted {
    const known = byConsumer.get(consumer)
    if (known !== undefined) return known
    const made = this.#counted(service, route, consumer)
    byConsumer.set(consumer, made)
    return made
  }

  #counted(service: string, route: string, consumer: string): Counted {
    const bytes = (direction: string): Series | null => this.#bandwidth?.series([service, route, direction, WORKSPACE, consumer]) ?? null
    return { consumer, served: [], answered: [], ingress: bytes('ingress'), egress: bytes('egress') }
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

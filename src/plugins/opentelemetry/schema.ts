import { headerName, headerValue } from '../../entities/validators.ts'
import { pluginSchema } from '../../plugin/define.ts'
import { type QueueDefaults, queueField } from '../../plugin/queue-schema.ts'
import type { Infer, Violations } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import type { JsonObject } from '../../schema/validate.ts'

const EXTRACTED = ['ot', 'w3c', 'datadog', 'b3', 'gcp', 'jaeger', 'aws', 'instana'] as const
const FORMATS = ['ot', 'w3c', 'datadog', 'b3', 'gcp', 'b3-single', 'jaeger', 'aws', 'instana'] as const

/** Largest number of milliseconds in Kong's time-outs. */
const MAX_TIMEOUT_MS = 2 ** 31 - 2

const timeout = (defaultMs: number, description: string) =>
  field.integer({ default: defaultMs, between: [0, MAX_TIMEOUT_MS], unit: 'ms', description })

/** What the queue is by default where that is not what loggers have. */
export const QUEUE_DEFAULTS: QueueDefaults = { max_batch_size: 200 }

/** The configuration of opentelemetry: Kong's fields, defaults and rules. */
export const schema = pluginSchema({
  name: 'opentelemetry',
  description:
    'Sends traces of requests to an OpenTelemetry collector (OTLP over HTTP, protobuf) and passes the ids of a trace on to the upstream, in any of nine formats of ' +
    'headers. What a trace has spans for is said by the setting `tracing_instrumentations`; where that is `off`, headers are still passed on.',
  scopes: ['service', 'route', 'consumer'],
  config: {
    traces_endpoint: field.url({
      referenceable: true,
      description: 'Where traces are posted, such as `http://collector:4318/v1/traces`. Certificates are verified.',
    }),
    logs_endpoint: field.url({
      referenceable: true,
      notBuilt: 'exporting logs over OTLP is not available yet',
      description: 'Where logs are posted. Not available yet.',
    }),
    headers: field.map({
      keys: field.string({ validator: headerName }),
      values: field.string({ referenceable: true, encrypted: true, validator: headerValue }),
      description: 'Headers of these posts, such as the key of a tracing service.',
    }),
    resource_attributes: field.map({
      keys: field.string({ required: true }),
      values: field.string({ required: true }),
      description:
        'Attributes of the resource beside, or instead of, `service.name` (`kong`), `service.version` and `service.instance.id`.',
    }),
    queue: queueField(QUEUE_DEFAULTS),
    batch_span_count: field.integer({ description: 'Deprecated: `queue.max_batch_size`, which it takes the place of when it is set.' }),
    batch_flush_delay: field.integer({
      unit: 's',
      description: 'Deprecated: `queue.max_coalescing_delay`, which it takes the place of when it is set.',
    }),
    connect_timeout: timeout(1000, 'Time to connect.'),
    send_timeout: timeout(5000, 'Time to send; with the other two it bounds the whole exchange.'),
    read_timeout: timeout(5000, 'Time to wait for the answer.'),
    http_response_header_for_traceid: field.string({
      validator: headerName,
      description: "Header of the answer that tells the client the trace's id. Absent: none.",
    }),
    header_type: field.string({
      default: 'preserve',
      oneOf: ['preserve', 'ignore', 'b3', 'b3-single', 'w3c', 'jaeger', 'ot', 'aws', 'gcp', 'datadog', 'instana'],
      description:
        'Deprecated: `propagation`. `preserve` answers in the format that the client used; `ignore` does not look at what the client sent; the name of a format ' +
        'adds that format to the one that the client used. Without effect where `propagation` says what to extract, clear or inject.',
    }),
    sampling_rate: field.number({
      between: [0, 1],
      description:
        'Part of the requests that are traced, where the client does not decide. Absent: the setting `tracing_sampling_rate`. A client decides by the sampled flag of ' +
        'its headers.',
    }),
    propagation: field.record({
      required: true,
      fields: {
        extract: field.array({
          elements: field.string({ oneOf: [...EXTRACTED] }),
          description: 'Formats that are looked for, in order; the first one found counts. `b3` stands for both of its forms.',
        }),
        clear: field.array({
          elements: field.string(),
          description: 'Names of headers that do not go on to the upstream.',
        }),
        inject: field.array({
          elements: field.string({ oneOf: ['preserve', ...FORMATS] }),
          description: 'Formats in which the upstream is told. `preserve` is the format that the client used.',
        }),
        default_format: field.string({
          required: true,
          default: 'w3c',
          oneOf: [...FORMATS],
          description: 'What `preserve` means for a client that told nothing.',
        }),
      },
      description: 'How a trace comes in and goes on.',
    }),
  },
  checks: [
    { kind: 'at_least_one_of', fields: ['traces_endpoint', 'logs_endpoint'] },
    { kind: 'custom', fields: ['traces_endpoint'], run: checkEndpoint },
  ],
})

/** A stored configuration. */
export type Config = Infer<typeof schema>

/** Credentials stand in `headers`, not in an address that is shown and logged. */
function checkEndpoint({ traces_endpoint }: JsonObject): Violations | undefined {
  const url = URL.parse(String(traces_endpoint))
  if (url === null) return undefined
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { traces_endpoint: 'scheme must be http or https' }
  return url.username === '' && url.password === '' ? undefined : { traces_endpoint: 'must not contain a user name or password' }
}

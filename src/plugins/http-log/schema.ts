import { headerValue, notNegative } from '../../entities/validators.ts'
import { customFieldsField } from '../../plugin/custom-fields.ts'
import { pluginSchema } from '../../plugin/define.ts'
import { queueField } from '../../plugin/queue-schema.ts'
import type { Infer, Violations } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { isObject } from '../../schema/validate.ts'

/** The configuration of http-log: Kong's fields, rules and texts, and `ssl_verify`. */
export const schema = pluginSchema({
  name: 'http-log',
  description:
    'Sends an entry about each request to an HTTP server, behind the back of the request: a server that is slow or away delays and breaks nothing. Tokens, keys ' +
    'and cookies are left out of entries; see [Logs](../observability.md#logs) for what stands in one.',
  scopes: ['service', 'route', 'consumer'],
  protocols: ['grpc', 'grpcs', 'http', 'https', 'tcp', 'tls', 'tls_passthrough', 'udp', 'ws', 'wss'],
  config: {
    http_endpoint: field.url({
      required: true,
      encrypted: true,
      referenceable: true,
      description: 'Where entries go. User and password in it become Basic credentials; its query is not sent (as in Kong).',
    }),
    method: field.string({ default: 'POST', oneOf: ['POST', 'PUT', 'PATCH'], description: 'Method of the requests.' }),
    content_type: field.string({
      default: 'application/json',
      oneOf: ['application/json', 'application/json; charset=utf-8'],
      description: 'Content-Type of the requests.',
    }),
    timeout: field.number({
      default: 10_000,
      unit: 'ms',
      validator: notNegative,
      description: 'Time for connecting, for sending and for reading (each).',
    }),
    keepalive: field.number({
      default: 60_000,
      unit: 'ms',
      validator: notNegative,
      description: 'Time for which an idle connection stays open; 0 closes it after use.',
    }),
    retry_count: field.integer({ description: 'Has no effect any more (Kong 3.0); see `queue`.' }),
    queue_size: field.integer({ description: 'Old name of `queue.max_batch_size`; wins over it unless it is 1.' }),
    flush_timeout: field.number({ unit: 's', description: 'Old name of `queue.max_coalescing_delay`; wins over it unless it is 2.' }),
    headers: field.map({
      keys: field.string({
        match: /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/,
        matchNone: [
          { pattern: /^host$/i, err: "cannot contain 'Host' header" },
          { pattern: /^content-length$/i, err: "cannot contain 'Content-Length' header" },
          { pattern: /^content-type$/i, err: "cannot contain 'Content-Type' header" },
          {
            pattern: /^(?:connection|transfer-encoding|upgrade|keep-alive|te|trailer|expect)$/i,
            err: 'cannot contain a header that frames the message',
          },
        ],
      }),
      values: field.string({ referenceable: true, validator: headerValue }),
      description: 'Headers added to the requests, by name.',
    }),
    ssl_verify: field.boolean({
      required: true,
      default: true,
      description: 'Whether the certificate of an https endpoint is verified (Kong 3.9 never does).',
    }),
    queue: queueField(),
    custom_fields_by_lua: customFieldsField(),
  },
  checks: [{ kind: 'custom', fields: ['http_endpoint', 'headers'], run: checkCredentials }],
})

/** A stored configuration. */
export type Config = Infer<typeof schema>

/** One set of credentials, and a scheme that HTTP has. */
function checkCredentials({ http_endpoint, headers }: JsonObject): Violations | undefined {
  const url = URL.parse(String(http_endpoint))
  if (url === null) return undefined
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { http_endpoint: 'scheme must be http or https' }
  const both =
    (url.username !== '' || url.password !== '') && isObject(headers) && Object.keys(headers).some((name) => /^authorization$/i.test(name))
  if (!both) return undefined
  return { '@entity': ["specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"] }
}

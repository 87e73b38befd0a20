import { hostname } from 'node:os'
import { redactQuery } from '../../http/query.ts'
import type { RequestContext } from '../../plugin/context.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { Config } from './schema.ts'
import { schema } from './schema.ts'

/** Kong's messages for a status without a configured one; other statuses have an empty body. */
const MESSAGES: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  404: 'Not found',
  405: 'Method not allowed',
  500: 'An unexpected error occurred',
  502: 'Bad Gateway',
  503: 'Service unavailable',
}

/** Largest request body that `echo` shows. */
const ECHO_BYTES = 1_048_576

/** Answers with a configured status and body and sends nothing upstream: for maintenance, and to close the door on anonymous consumers. */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 2,
  configure: (config: Config) => config,
  access(context, config) {
    if (config.trigger !== null && !isTriggered(context, config.trigger)) return
    const status = config.status_code ?? 503
    if (config.echo) return echo(context, status, config)
    if (config.body !== null) {
      context.exit(status, config.body, config.content_type === null ? [] : [['Content-Type', config.content_type]])
      return
    }
    const message = config.message ?? MESSAGES[status]
    context.exit(status, message === undefined ? null : { message })
  },
})

function isTriggered({ request }: RequestContext, trigger: string): boolean {
  return request.headers.has(trigger.toLowerCase()) || request.hasArgument(trigger)
}

async function echo(context: RequestContext, status: number, config: Config): Promise<void> {
  const { request } = context
  const body = await request.readBody(ECHO_BYTES)
  const headers: Record<string, string> = Object.create(null) as Record<string, string>
  request.headers.each((_name, value, lowerName) => {
    headers[lowerName] = SECRET_HEADERS.has(lowerName) ? 'REDACTED' : value
  })
  context.exit(status, {
    message: config.message ?? MESSAGES[status],
    kong: { node_id: null, worker_pid: process.pid, hostname: hostname() },
    request: {
      scheme: request.scheme,
      host: request.host,
      port: request.port,
      headers,
      query: redactQuery(request.query),
      raw_body: body === null || headers['content-type']?.startsWith('application/x-www-form-urlencoded') ? null : body.toString('utf8'),
      method: request.method,
      path: request.rawPath,
    },
    matched_route: context.route,
    matched_service: context.service,
  })
}

const SECRET_HEADERS = new Set(['authorization', 'proxy-authorization', 'cookie', 'access-token', 'x-access-token', 'dpop'])

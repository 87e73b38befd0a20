import type { HttpClient, HttpRequest } from '../../oauth/http.ts'
import { customFields } from '../../plugin/custom-fields.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { entryText, type LoggedFields, logEntry } from '../../plugin/log-entry.ts'
import { Queue, type QueueLimits, queuesOf } from '../../plugin/queue.ts'
import { queueLimits } from '../../plugin/queue-schema.ts'
import { toByteString } from '../../util/bytes.ts'
import { type Config, schema } from './schema.ts'

/** A configuration at work. */
interface State {
  /** Null where the endpoint cannot be used. */
  readonly queue: Queue<string> | null
  readonly fields: LoggedFields
  readonly release: () => void
}

/** Sends an entry about each request to an HTTP server. A failure there never touches a request. */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 12,
  configure,
  log(context, { queue, fields }) {
    if (queue === null) return
    const entry = entryText(logEntry(context, fields))
    queue.add(entry, Buffer.byteLength(entry))
  },
  close: ({ release }) => release(),
})

function configure(config: Config, kit: PluginKit): State {
  const url = URL.parse(config.http_endpoint)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    // A vault reference may come to this; the rest of the configuration is none the worse for it.
    kit.log.error('http_endpoint is no http or https URL, entries are not sent', { plugin: schema.name, plugin_id: kit.pluginId })
    return { queue: null, fields: [], release() {} }
  }
  const limits = limitsOf(config)
  const queues = queuesOf<string>(kit, schema.name)
  const key = keyOf(config, limits)
  warn(config, url, kit)
  const queue = queues.acquire(key, () => {
    const client = kit.httpClient({
      timeoutMs: config.timeout ?? 10_000,
      keepaliveMs: config.keepalive ?? 60_000,
      verifyTls: config.ssl_verify,
    })
    return new Queue({
      entries: 'log entries',
      plugin: schema.name,
      server: url.origin,
      limits,
      send: sender(config, url, limits, client),
      log: kit.log,
    })
  })
  return { queue, fields: customFields(config.custom_fields_by_lua), release: () => queues.release(key) }
}

/** The old names win where they say something else than they did by default (Kong 3.x). */
function limitsOf({ queue, queue_size, flush_timeout }: Config): QueueLimits {
  const limits = queueLimits(queue)
  return {
    ...limits,
    ...(queue_size === null || queue_size === 1 ? null : { maxBatchSize: Math.max(queue_size, 1) }),
    ...(flush_timeout === null || flush_timeout === 2 ? null : { maxCoalescingDelayMs: Math.max(flush_timeout, 0) * 1000 }),
  }
}

/** Configurations share a queue only where one can stand in for the other: an entry leaves with the headers that its own configuration names. */
function keyOf({ http_endpoint, method, content_type, timeout, keepalive, headers, ssl_verify }: Config, limits: QueueLimits): string {
  return JSON.stringify([http_endpoint, method, content_type, timeout, keepalive, headers, ssl_verify, limits])
}

/** Rejects unless the server answers with a status below 300. */
function sender(config: Config, url: URL, { maxBatchSize }: QueueLimits, client: HttpClient): (batch: readonly string[]) => Promise<void> {
  const request: Omit<HttpRequest, 'body'> = {
    method: config.method ?? 'POST',
    // Kong sends neither the query nor the fragment.
    url: `${url.origin}${url.pathname}`,
    headers: headersOf(config, url),
  }
  return async (batch) => {
    const body = maxBatchSize === 1 ? (batch[0] ?? '') : `[${batch.join(',')}]`
    const { status } = await client({ ...request, body })
    if (status >= 300) throw new Error(`the log server answered with status ${status}`)
  }
}

function headersOf({ content_type, headers }: Config, { username, password }: URL): readonly (readonly [string, string])[] {
  const credentials = username === '' && password === '' ? null : `${decodedOnce(username)}:${decodedOnce(password)}`
  return [
    ['Content-Type', content_type ?? 'application/json'],
    ...(credentials === null ? [] : [['Authorization', `Basic ${Buffer.from(credentials).toString('base64')}`] as const]),
    ...Object.entries(headers ?? {}).map(([name, value]) => [name, toByteString(value)] as const),
  ]
}

/** A `%` that escapes nothing stands for itself. */
function decodedOnce(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Once for each configuration. */
function warn(config: Config, url: URL, { log, pluginId }: PluginKit): void {
  const about = { plugin: schema.name, plugin_id: pluginId, server: url.origin }
  if (url.search !== '') log.warn('the query of http_endpoint is not sent', about)
  if (url.protocol === 'https:' && !config.ssl_verify) log.warn('ssl_verify is off: whoever is in the way can read the log', about)
  if (config.retry_count !== null && config.retry_count !== 10) log.warn('retry_count has no effect, use queue', about)
}

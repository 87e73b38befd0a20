/** A request context over a downstream without sockets: for tests of one plugin, phase by phase. */
import { type Consumer, createConsumerDirectory } from '../../src/entities/consumer-directory.ts'
import type { Downstream } from '../../src/http/exchange.ts'
import { HeaderList } from '../../src/http/headers.ts'
import { ClientRequest, RequestContext } from '../../src/plugin/context.ts'
import { RequestRecord } from '../../src/plugin/record.ts'
import type { Log, LogMembers } from '../../src/telemetry/log.ts'

export type FakeRequest = {
  method?: string
  /** Path and query. Default `/`. */
  target?: string
  headers?: readonly (readonly [name: string, value: string])[]
  body?: string | Buffer
  /** The body comes in chunks of unknown number. */
  chunked?: boolean
  consumers?: readonly Consumer[]
  log?: Log
}

export type LogLine = { level: keyof Log; message: string; members: LogMembers }

/** A log that remembers. */
export function recordingLog(): { log: Log; lines: LogLine[]; text(): string } {
  const lines: LogLine[] = []
  const at =
    (level: keyof Log) =>
    (message: string, members: LogMembers = {}) => {
      lines.push({ level, message, members })
    }
  const log: Log = { debug: at('debug'), info: at('info'), notice: at('notice'), warn: at('warn'), error: at('error') }
  return { log, lines, text: () => JSON.stringify(lines) }
}

/** A context as a plugin gets it in `access`. Errors are rendered as `{"message":…,"request_id":…}`. */
export function fakeContext(options: FakeRequest = {}): RequestContext {
  const { method = 'GET', target = '/', headers = [], body, chunked = false, consumers = [] } = options
  const bytes = body === undefined ? null : Buffer.from(body)
  const list = new HeaderList()
  for (const [name, value] of headers) list.add(name, value)
  const queryAt = target.indexOf('?')
  const rawPath = queryAt === -1 ? target : target.slice(0, queryAt)
  const downstream: Downstream = {
    method,
    target,
    version: '1.1',
    headers: list,
    peer: { address: '192.0.2.1', port: 40_000 },
    local: { address: '192.0.2.2', port: 8000 },
    proxied: null,
    tls: null,
    body: fakeBody(bytes, chunked),
    respond() {},
    sendEarlyHints() {},
    flush() {},
    sendHead() {},
    write: () => true,
    end() {},
    onDrain() {},
    switchProtocols: null,
    abort() {},
    onAbandoned() {},
    bytesReceived: 0,
    bytesSent: 0,
  }
  const request = new ClientRequest(downstream, {
    rawPath,
    path: rawPath,
    query: queryAt === -1 ? '' : target.slice(queryAt),
    host: 'api.example',
    clientAddress: '192.0.2.1',
    port: 8000,
  })
  return new RequestContext({
    id: '0123456789abcdef0123456789abcdef',
    startedAtMs: 0,
    request,
    record: new RequestRecord(0),
    consumers: createConsumerDirectory(consumers),
    log: options.log ?? recordingLog().log,
    renderError: (context, _status, message) => ({
      contentType: 'application/json; charset=utf-8',
      body: JSON.stringify({ message, request_id: context.id }),
    }),
  })
}

function fakeBody(bytes: Buffer | null, chunked: boolean): Downstream['body'] {
  let read = 0
  return {
    framing: bytes === null ? 'none' : chunked ? 'chunked' : 'length',
    length: bytes === null ? 0 : chunked ? null : bytes.length,
    async collect(limitBytes) {
      const all = bytes ?? Buffer.alloc(0)
      const chunk = all.subarray(read, read + limitBytes)
      read += chunk.length
      return { bytes: chunk, complete: read === all.length }
    },
    read: () => {
      throw new Error('nobody forwards a fake body')
    },
    resume() {},
    discard() {},
  }
}

/** What a kit lends under a name to all configurations, made at first use. */
export function sharedObjects(): <T>(name: string, make: () => T) => T {
  const made = new Map<string, unknown>()
  return <T>(name: string, make: () => T): T => {
    if (!made.has(name)) made.set(name, make())
    return made.get(name) as T
  }
}

/**
 * What loggers write about a finished request: Kong's log entry, by Kong's names and in Kong's units. Made in the log phase, when the record is complete.
 *
 * Credentials are left out: values of headers and arguments under the names of {@link RequestContext.credentialNames}, values of all cookies, whatever repeats
 * the token that authenticated the request, and user information and credential arguments in every value that may be a URL. A name stays, so that one sees that
 * something was there.
 *
 * The request's headers are those that plugins left: what they removed (hidden credentials) or set is not or is there, as in Kong. `host` is the client's own.
 */
import type { TlsFacts, UpstreamFailure } from '../http/exchange.ts'
import type { HeaderList } from '../http/headers.ts'
import { isSecretArgument, parseQuery, redactTarget } from '../http/query.ts'
import { withoutPort } from '../util/authority.ts'
import { fromByteString } from '../util/bytes.ts'
import { Members } from '../util/members.ts'
import { setOwn } from '../util/own-property.ts'
import type { RequestContext } from './context.ts'
import type { Latencies, UpstreamTry } from './record.ts'
import { latenciesOf } from './record.ts'

/** Lower-case name → value, or values where the name is repeated. */
export type LoggedHeaders = Readonly<Record<string, string | readonly string[]>>

/** Name → value, values where it is repeated, or true for an argument without `=`. */
export type LoggedArguments = Readonly<Record<string, string | true | readonly (string | true)[]>>

export interface LoggedTry {
  /** Epoch milliseconds; the same in nanoseconds. */
  readonly balancer_start: number
  readonly balancer_start_ns: number
  /** Time for choosing the target. A Service has one, so nothing is chosen. */
  readonly balancer_latency: number
  readonly balancer_latency_ns: number
  /** Absent where it is not known. */
  readonly ip?: string | undefined
  readonly port?: number | undefined
  /** Only where the attempt failed. */
  readonly state?: 'failed' | undefined
  /** Status that the failure stands for. */
  readonly code?: number | undefined
}

/** Kong's log entry. What does not apply is undefined, and so absent from JSON. Further members come from plugins (`correlation_id`) and from configured fields. */
export interface LogEntry {
  readonly request: {
    readonly id: string
    /** The request-target. */
    readonly uri: string
    readonly url: string
    readonly querystring: LoggedArguments
    readonly method: string
    readonly headers: LoggedHeaders
    /** Bytes, head included. */
    readonly size: number
    readonly tls?: { readonly version: string; readonly cipher: string; readonly client_verify: string } | undefined
  }
  /** Path and query that went upstream, or ''. */
  readonly upstream_uri: string
  /** One status for each attempt, as in `502, 200`; '' where none was made. */
  readonly upstream_status: string
  readonly response: { readonly status: number; readonly headers: LoggedHeaders; readonly size: number }
  readonly latencies: Latencies
  readonly tries?: readonly LoggedTry[] | undefined
  readonly authenticated_entity?: { readonly id: string; readonly consumer_id?: string } | undefined
  readonly route?: LoggedEntity | undefined
  readonly service?: LoggedEntity | undefined
  readonly consumer?: LoggedEntity | undefined
  readonly client_ip: string
  /** Epoch milliseconds. */
  readonly started_at: number
  /** Who made the answer. */
  readonly source: 'upstream' | 'kong'
  readonly workspace: string
  readonly workspace_name: string
}

/** An entity as it is configured, without the members that are null. */
export type LoggedEntity = Readonly<Record<string, unknown>>

/** What a configuration adds to entries, replaces or (null) removes, by dotted path. */
export type LoggedFields = readonly (readonly [path: string, value: unknown])[]

/** There is one workspace. Kong gives it this id wherever it has no database. */
const WORKSPACE_ID = '0dc6f45b-8f8d-40d2-a504-473544ee190b'

const REDACTED = 'REDACTED'

/** The entry of a finished request. It belongs to the caller, except for the entities in it. */
export function logEntry(context: RequestContext, fields: LoggedFields = []): LogEntry {
  const { request, record, response, identity, route, service } = context
  const { tries: attempts } = record.attempts ?? NO_ATTEMPTS
  const tries = attempts.length === 0 ? attempts : attempts.filter(({ failure }) => failure !== 'resolve')
  const entityId = identity.credential?.id ?? null
  const uri = targetOf(request.target, context)
  const entry: LogEntry = {
    request: {
      id: context.id,
      uri,
      url: urlOf(context, uri),
      querystring: argumentsOf(context),
      method: request.method,
      headers: headersOf(request.headers, context, request.host === '' ? null : request.host),
      size: record.bytesReceived,
      tls: request.tls === null ? undefined : tlsOf(request.tls),
    },
    upstream_uri: record.upstreamPath === null ? '' : targetOf(record.upstreamPath, context),
    upstream_status: statusesOf(tries, record.upstreamStatus),
    response: { status: record.status, headers: headersOf(response.headers, context, null), size: record.bytesSent },
    latencies: latenciesOf(record),
    tries: tries.length === 0 ? undefined : tries.map(loggedTry),
    authenticated_entity: entityId === null ? undefined : authenticatedEntity(entityId, context),
    route: route === null ? undefined : presentMembers(route),
    service: service === null ? undefined : presentMembers(service),
    consumer: identity.consumer === null ? undefined : presentMembers(identity.consumer),
    client_ip: request.clientAddress,
    started_at: context.startedAtMs,
    source: record.upstreamStatus !== null && !context.exited ? 'upstream' : 'kong',
    workspace: WORKSPACE_ID,
    workspace_name: 'default',
  }
  if (context.trace !== null && context.trace.loggedIds !== null) setMember(entry, 'trace_id', context.trace.loggedIds)
  if (context.hasLogValues) for (const [path, value] of context.logValues) setMember(entry, path, value)
  for (const [path, value] of fields) setMember(entry, path, value)
  return entry
}

/** An entry as JSON. Its entities are those of many entries: each is put into text once. */
export function entryText(entry: LogEntry): string {
  const { route, service, consumer } = entry
  const text = JSON.stringify({ ...entry, route: undefined, service: undefined, consumer: undefined })
  return `${text.slice(0, -1)}${memberText('route', route)}${memberText('service', service)}${memberText('consumer', consumer)}}`
}

function memberText(name: string, entity: object | undefined): string {
  if (entity === undefined) return ''
  const known = texts.get(entity)
  const text = known || JSON.stringify(entity)
  // What a plugin put in an entity's place is of this entry alone.
  if (known === '') texts.set(entity, text)
  return `,"${name}":${text}`
}

const NO_ATTEMPTS: { readonly tries: readonly UpstreamTry[] } = { tries: [] }

/** Scheme, host without its port, the port always, and the request-target. */
function urlOf({ request }: RequestContext, uri: string): string {
  const { target, host, scheme, port } = request
  if (!target.startsWith('/') && target !== '*') return uri
  return `${scheme}://${fromByteString(withoutPort(host).toLowerCase())}:${port}${uri === '*' ? '' : uri}`
}

function tlsOf({ version, cipher }: TlsFacts): NonNullable<LogEntry['request']['tls']> {
  return { version, cipher, client_verify: 'NONE' }
}

// --------------------------------------------------------------------------------------------------------------------------------- credentials

/** Headers whose values are URLs even where they do not look it. */
const URL_HEADERS = new Set(['location', 'content-location', 'referer', 'refresh', 'link', 'x-original-uri', 'x-rewrite-url'])

/** A request-target without credentials. */
function targetOf(target: string, { token, credentialNames: names }: RequestContext): string {
  let shown = redactTarget(target, names.arguments)
  if (token !== null && shown.includes(token)) shown = shown.replaceAll(token, REDACTED)
  if (token !== null && shown.includes('%')) shown = shown.replaceAll(encodeURIComponent(token), REDACTED)
  return fromByteString(shown)
}

/** @param host shown instead of the `Host` that went upstream; null: as it stands */
function headersOf(headers: HeaderList, context: RequestContext, host: string | null): LoggedHeaders {
  const { token, credentialNames: names } = context
  const shown = new Members<string | string[]>()
  for (let i = 0; i < headers.size; i++) {
    const { lower } = headers.nameAt(i)
    const sent = lower === 'host' && host !== null ? host : headers.valueAt(i)
    const value =
      names.headers.has(lower) || (token !== null && sent.includes(token)) ? REDACTED : headerValue(lower, sent, names.arguments)
    const before = shown[lower]
    if (before === undefined) shown[lower] = value
    else if (typeof before === 'string') shown[lower] = [before, value]
    else before.push(value)
  }
  return shown
}

function headerValue(lowerName: string, value: string, names: ReadonlySet<string>): string {
  const mayBeUrl = value.includes('?') || value.includes('://') || URL_HEADERS.has(lowerName)
  return fromByteString(mayBeUrl ? redactTarget(value, names) : value)
}

/** The client's arguments; `request.query` is what plugins left of them. */
function argumentsOf({ request, token, credentialNames: names }: RequestContext): LoggedArguments {
  const shown = new Members<string | true | (string | true)[]>()
  if (request.query === '') return shown
  for (const argument of parseQuery(redactTarget(request.query, names.arguments))) {
    const { name } = argument
    const secret = isSecretArgument(name, names.arguments) || (token !== null && argument.value?.includes(token) === true)
    const value = argument.value === null ? true : secret ? REDACTED : argument.value
    const before = shown[name]
    if (before === undefined) shown[name] = value
    else if (Array.isArray(before)) before.push(value)
    else shown[name] = [before, value]
  }
  return shown
}

function authenticatedEntity(id: string, { identity }: RequestContext): NonNullable<LogEntry['authenticated_entity']> {
  const consumerId = identity.consumer?.id
  return consumerId === undefined ? { id } : { id, consumer_id: consumerId }
}

// ------------------------------------------------------------------------------------------------------------------------------------ attempts

function loggedTry({ startedAtMs, address, port, failure }: UpstreamTry): LoggedTry {
  return {
    balancer_start: startedAtMs,
    balancer_start_ns: startedAtMs * 1_000_000,
    balancer_latency: 0,
    balancer_latency_ns: 0,
    ip: address === '' ? undefined : address,
    port: address === '' ? undefined : port,
    state: failure === null ? undefined : 'failed',
    code: failure === null ? undefined : statusOf(failure),
  }
}

/** What a failure is to nginx. */
function statusOf(failure: UpstreamFailure): number {
  return failure === 'timeout' || failure === 'connect-timeout' ? 504 : 502
}

function statusesOf(tries: readonly UpstreamTry[], answered: number | null): string {
  if (tries.length === 1 && tries[0]?.failure === null) return String(answered)
  return tries.map(({ failure }) => (failure === null ? answered : statusOf(failure))).join(', ')
}

// ------------------------------------------------------------------------------------------------------------------------------------- members

/** Entities never change, so each is gone through once. */
const present = new WeakMap<object, LoggedEntity>()
/** Their JSON; '' until it is first asked for. */
const texts = new WeakMap<object, string>()

function presentMembers(entity: object): LoggedEntity {
  const known = present.get(entity)
  if (known !== undefined) return known
  const made: LoggedEntity = Object.fromEntries(Object.entries(entity).filter(([, value]) => value !== null && value !== undefined))
  present.set(entity, made)
  texts.set(made, '')
  return made
}

/** Sets what `path` names, making objects on the way where there are none; null and undefined remove it. Objects that others share are copied first. */
function setMember(entry: object, path: string, value: unknown): void {
  const names = path.split('.')
  const last = names.pop() as string
  let target = entry as Record<string, unknown>
  for (const name of names) {
    const inner = Object.hasOwn(target, name) ? target[name] : undefined
    const isObject = typeof inner === 'object' && inner !== null
    if (!isObject && value == null) return
    const own = !isObject ? {} : Array.isArray(inner) ? [...inner] : { ...inner }
    setOwn(target, name, own)
    target = own as Record<string, unknown>
  }
  if (value == null) delete target[last]
  else setOwn(target, last, value)
}

/** What a caller presents, where, and how it is kept from the upstream. */
import { parseQuery, removeArguments } from '../../http/query.ts'
import { findInBody, removeFromBody } from '../../introspection/body-credentials.ts'
import type { IntrospectedRequest } from '../../introspection/request.ts'
import { cookieValues, type ExtractionPlan, type HeadLocation, searchableFormat } from '../../introspection/token-extraction.ts'
import { bodyLocation, queryValues } from './caller-arguments.ts'
import type { Config } from './schema.ts'
import type { Soon } from './soon.ts'

/** A user's name and password, and where they were. */
export interface FoundPair {
  readonly username: string
  readonly password: string
  readonly place: 'header' | 'query' | 'body'
}

/** Characters of the longest Authorization value that is read as a pair. */
const MAX_BASIC_LENGTH = 8192
const TOKEN_ARGUMENT = 'access_token'

/** Where bearer tokens are looked for: header, cookie, query, body in this order, as far as configured (Kong). */
export function tokenPlan(config: Config): ExtractionPlan {
  const places = config.bearer_token_param_type ?? []
  const head: HeadLocation[] = []
  if (places.includes('header')) head.push(...headerLocations(config.bearer_token_header_name))
  if (places.includes('cookie') && config.bearer_token_cookie_name !== null) {
    head.push({ kind: 'cookie', name: config.bearer_token_cookie_name })
  }
  if (places.includes('query')) head.push({ kind: 'query', name: TOKEN_ARGUMENT })
  return { head, body: places.includes('body') ? bodyLocation(TOKEN_ARGUMENT) : null }
}

/** Lower-case names of the headers in which credentials may come: these are read before anything may remove them. */
export function credentialHeaders(config: Config): ReadonlySet<string> {
  const found = tokenPlan(config).head.flatMap((location) => (location.kind === 'header' ? [location.name] : []))
  return new Set(['authorization', 'cookie', ...found])
}

function headerLocations(name: string | null): readonly HeadLocation[] {
  const authorization: HeadLocation = { kind: 'authorization', schemes: ['bearer'] }
  const header = (lowerName: string): HeadLocation => ({ kind: 'header', name: lowerName, optionalSchemes: ['bearer'] })
  if (name === null) return [authorization, header('access-token'), header('x-access-token')]
  return name.toLowerCase() === 'authorization' ? [authorization] : [header(name.toLowerCase())]
}

/** A user's name and password; the first place that has both decides. Rejects when the client leaves. */
export function findPair(request: IntrospectedRequest, places: readonly string[]): Soon<FoundPair | null> {
  const pair = (places.includes('header') ? pairInHeader(request) : null) ?? (places.includes('query') ? pairInQuery(request) : null)
  return pair ?? (places.includes('body') ? pairInBody(request) : null)
}

/** RFC 7617 section 2: base64 of UTF-8; the name ends at the first colon. */
function pairInHeader({ headers }: IntrospectedRequest): FoundPair | null {
  const value = headers.only('authorization') ?? null
  if (value === null || value.length > MAX_BASIC_LENGTH) return null
  const encoded = /^[ \t]*basic[ \t]+([A-Za-z0-9+/]+={0,2})[ \t]*$/i.exec(value)?.[1]
  const text = encoded === undefined ? null : readUtf8(Buffer.from(encoded, 'base64'))
  const colon = text?.indexOf(':') ?? -1
  return text === null || colon === -1 ? null : pairOf(text.slice(0, colon), text.slice(colon + 1), 'header')
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

function pairInQuery(request: IntrospectedRequest): FoundPair | null {
  const [username, ...moreNames] = queryValues(request, 'username')
  const [password, ...morePasswords] = queryValues(request, 'password')
  return moreNames.length + morePasswords.length > 0 ? null : pairOf(username, password, 'query')
}

function pairInBody(request: IntrospectedRequest): Soon<FoundPair | null> {
  const location = bodyLocation('username')
  const format = searchableFormat(request, location)
  if (format === null) return null
  return request.readBody(location.limitBytes).then((bytes) => {
    if (bytes === null) return null
    const type = request.headers.get('content-type') ?? ''
    const username = findInBody(bytes, format, type, 'username')
    const password = findInBody(bytes, format, type, 'password')
    return username.kind === 'one' && password.kind === 'one' ? pairOf(username.value, password.value, 'body') : null
  })
}

function pairOf(username: string | undefined, password: string | undefined, place: FoundPair['place']): FoundPair | null {
  return username === undefined || username === '' || password === undefined || password === '' ? null : { username, password, place }
}

/** Removes a pair from where it was found. A promise comes back only for a body. */
export function hidePair(request: IntrospectedRequest, { username, password, place }: FoundPair): Soon<void> {
  if (place === 'header') return request.headers.remove('authorization')
  if (place === 'body') return hideInBody(request, username, password)
  const isIt = ({ name }: { readonly name: string }): boolean => name === 'username' || name === 'password'
  if (parseQuery(request.query).some(isIt)) request.query = removeArguments(request.query, isIt)
}

async function hideInBody(request: IntrospectedRequest, username: string, password: string): Promise<void> {
  const location = bodyLocation('username')
  const format = searchableFormat(request, location)
  const bytes = await request.readBody(location.limitBytes)
  if (bytes === null || format === null) return
  const type = request.headers.get('content-type') ?? ''
  const withoutName = removeFromBody(bytes, format, type, 'username', username) ?? bytes
  request.replaceBody(removeFromBody(withoutName, format, type, 'password', password) ?? withoutName)
}

/** The value of a cookie; undefined where there is none, or several of this name. */
export function cookieOf(request: IntrospectedRequest, name: string): string | undefined {
  const values = cookieValues(request, name)
  return values.length === 1 ? values[0] : undefined
}

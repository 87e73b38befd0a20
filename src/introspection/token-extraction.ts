/**
 * Where a request carries its token (RFC 6750 section 2): the order of places and what happens with several tokens are decided here only. The first place
 * that holds a candidate decides. A place that holds it twice, or two Authorization lines, is ambiguous, and then the request has no token at all.
 */
import { parseQuery } from '../http/query.ts'
import { type BodyFormat, bodyFormat, findInBody } from './body-credentials.ts'
import { isGrpc } from './grpc.ts'
import type { IntrospectedRequest } from './request.ts'

/** `Authorization: <scheme> <token>`; other values are credentials of another kind and passed over. */
export interface AuthorizationLocation {
  readonly kind: 'authorization'
  /** In lower case. */
  readonly schemes: readonly string[]
}

/** A header whose whole value is the token, a scheme before it allowed. */
export interface HeaderLocation {
  readonly kind: 'header'
  /** In lower case. */
  readonly name: string
  /** In lower case. */
  readonly optionalSchemes: readonly string[]
}

export interface CookieLocation {
  readonly kind: 'cookie'
  readonly name: string
}

export interface QueryLocation {
  readonly kind: 'query'
  readonly name: string
}

export interface BodyLocation {
  readonly kind: 'body'
  readonly name: string
  readonly methods: ReadonlySet<string>
  readonly formats: ReadonlySet<BodyFormat>
  /** A longer body is not searched. */
  readonly limitBytes: number
}

export type HeadLocation = AuthorizationLocation | HeaderLocation | CookieLocation | QueryLocation
export type TokenLocation = HeadLocation | BodyLocation

/** Places in their order; the body comes last, as it has to be waited for. Of a gRPC call only the headers are searched. */
export interface ExtractionPlan {
  readonly head: readonly HeadLocation[]
  readonly body: BodyLocation | null
}

/** A token, fit to be asked about or not. */
export interface FoundToken {
  readonly kind: 'token'
  readonly token: string
  readonly location: TokenLocation
  /** Scheme of the Authorization header in lower case; '' elsewhere. */
  readonly scheme: string
  /** False: characters other than visible ASCII, or too long. No server is asked about it. */
  readonly wellFormed: boolean
}

export type Extraction = FoundToken | { readonly kind: 'missing' } | { readonly kind: 'ambiguous' }

/** Longest token that a server is asked about. */
export const MAX_TOKEN_LENGTH = 16_384

const MISSING: Extraction = { kind: 'missing' }
const AMBIGUOUS: Extraction = { kind: 'ambiguous' }
const VISIBLE = /^[\x21-\x7e]+$/

/** Finds the token. A promise comes back only where the body has to be read; it rejects when the client leaves. */
export function extractToken(request: IntrospectedRequest, plan: ExtractionPlan): Extraction | Promise<Extraction> {
  for (const location of plan.head) {
    const found = extractFromHead(request, location)
    if (found.kind !== 'missing') return found
  }
  const { body } = plan
  const format = body === null ? null : searchableFormat(request, body)
  return body === null || format === null ? MISSING : extractFromBody(request, body, format)
}

/** The format in which the body is to be searched, or null. */
export function searchableFormat(request: IntrospectedRequest, location: BodyLocation): BodyFormat | null {
  if (!location.methods.has(request.method) || !request.hasBody) return null
  if (request.bodyLength !== null && request.bodyLength > location.limitBytes) return null
  const { headers } = request
  // An encoded body would have to be decoded first, and two types mean that nobody knows.
  const type = headers.only('content-type') ?? null
  if (headers.has('content-encoding') || type === null) return null
  const format = bodyFormat(type)
  return format !== null && location.formats.has(format) ? format : null
}

/** What one place holds. */
export function extractFromHead(request: IntrospectedRequest, location: HeadLocation): Extraction {
  switch (location.kind) {
    case 'authorization':
      return fromAuthorization(request, location)
    case 'header':
      return fromHeader(request, location)
    case 'cookie':
      return fromCookie(request, location)
    default:
      return fromQuery(request, location)
  }
}

async function extractFromBody(request: IntrospectedRequest, location: BodyLocation, format: BodyFormat): Promise<Extraction> {
  const bytes = await request.readBody(location.limitBytes)
  if (bytes === null) return MISSING
  const member = findInBody(bytes, format, request.headers.get('content-type') ?? '', location.name)
  if (member.kind === 'several') return AMBIGUOUS
  return member.kind === 'one' ? found(member.value, location) : MISSING
}

function fromAuthorization(request: IntrospectedRequest, location: AuthorizationLocation): Extraction {
  const value = request.headers.only('authorization')
  if (value === undefined) return MISSING
  if (value === null) return AMBIGUOUS
  const text = trimmed(value)
  const schemeEnd = firstSpace(text)
  if (schemeEnd === -1) return MISSING
  const scheme = schemeOf(text, schemeEnd, location.schemes)
  if (scheme === undefined) return MISSING
  const token = found(text.slice(skipSpaces(text, schemeEnd)), location, scheme)
  return token.wellFormed || firstSpace(token.token) === -1 ? token : MISSING
}

function fromHeader(request: IntrospectedRequest, location: HeaderLocation): Extraction {
  const value = request.headers.only(location.name)
  if (value === undefined) return MISSING
  if (value === null) return AMBIGUOUS
  const text = trimmed(value)
  const schemeEnd = firstSpace(text)
  const scheme = schemeEnd === -1 ? undefined : schemeOf(text, schemeEnd, location.optionalSchemes)
  const token = scheme === undefined ? text : text.slice(skipSpaces(text, schemeEnd))
  return token === '' ? MISSING : found(token, location, scheme)
}

function fromCookie(request: IntrospectedRequest, location: CookieLocation): Extraction {
  // Quotes may stand around a value (RFC 6265 section 4.1.1) and are no part of a token.
  const values = cookieValues(request, location.name).map((value) => /^"(.*)"$/.exec(value)?.[1] ?? value)
  const [value = ''] = values
  if (values.length > 1) return AMBIGUOUS
  return value === '' ? MISSING : found(value, location)
}

function fromQuery(request: IntrospectedRequest, location: QueryLocation): Extraction {
  if (request.query.length <= 1 || isGrpc(request)) return MISSING
  const values = parseQuery(request.query).filter(({ name }) => name === location.name)
  if (values.length > 1) return AMBIGUOUS
  const value = values[0]?.value ?? ''
  return value === '' ? MISSING : found(value, location)
}

/** Values of the cookies of this name as they were sent (RFC 6265 section 4.2.1). */
export function cookieValues({ headers }: Pick<IntrospectedRequest, 'headers'>, name: string): readonly string[] {
  return headers
    .all('cookie')
    .flatMap((line) => line.split(';'))
    .filter((pair) => cookieName(pair) === name)
    .map((pair) => pair.slice(pair.indexOf('=') + 1).trim())
}

/** Name of one `name=value` of a Cookie line. */
export function cookieName(pair: string): string {
  return pair.slice(0, Math.max(0, pair.indexOf('='))).trim()
}

function found(token: string, location: TokenLocation, scheme = ''): FoundToken {
  return { kind: 'token', token, location, scheme, wellFormed: token.length <= MAX_TOKEN_LENGTH && VISIBLE.test(token) }
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9
}

function firstSpace(text: string): number {
  const space = text.indexOf(' ')
  const tab = text.indexOf('\t')
  return space === -1 || (tab !== -1 && tab < space) ? tab : space
}

function skipSpaces(text: string, from: number): number {
  let at = from
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

function trimmed(value: string): string {
  return isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1)) ? value.trim() : value
}

function schemeOf(text: string, end: number, schemes: readonly string[]): string | undefined {
  for (const scheme of schemes) if (scheme.length === end && text.slice(0, end).toLowerCase() === scheme) return scheme
  return undefined
}

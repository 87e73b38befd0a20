import type { HttpRequest } from './http.ts'

/** Ordered name and value pairs: of a form or of a header section. */
export type Pairs = readonly (readonly [string, string])[]

/** A POST with a form body that is still being put together: client authentication completes it, `toHttpRequest` closes it. */
export interface FormRequest {
  readonly url: string
  readonly headers: Pairs
  readonly form: Pairs
}

/** Characters that form encoding leaves alone. */
const UNRESERVED = /^[A-Za-z0-9*._-]*$/
/** Lower-case names of fields that follow from the body and the connection; nobody sets them by hand. */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set(['content-type', 'content-length', 'transfer-encoding', 'connection'])
/** Control characters end or break a header line. */
const HEADER_UNSAFE = /[\0-\x08\x0a-\x1f\x7f]/

/** Parameters with which a client authenticates; only client authentication may set them. */
const CLIENT_AUTHENTICATION_PARAMETERS: ReadonlySet<string> = new Set([
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
])

/** Encodes one name or value as `application/x-www-form-urlencoded`: UTF-8, space as `+`, what is reserved as %XX (RFC 6749 appendix B). */
export function encodeFormComponent(text: string): string {
  if (UNRESERVED.test(text)) return text
  return new URLSearchParams([['', text]]).toString().slice(1)
}

/** Encodes pairs as a form body, in their order. */
export function encodeForm(pairs: Pairs): string {
  return pairs.map(([name, value]) => `${encodeFormComponent(name)}=${encodeFormComponent(value)}`).join('&')
}

/** Puts `entries` in place of every pair of their names; pairs of other names keep their place. Names of headers compare without case. */
export function replacePairs(pairs: Pairs, entries: Pairs, sameName: 'exact' | 'any-case' = 'exact'): Pairs {
  if (entries.length === 0) return pairs
  const key = (name: string): string => (sameName === 'exact' ? name : name.toLowerCase())
  const replaced = new Set(entries.map(([name]) => key(name)))
  return [...pairs.filter(([name]) => !replaced.has(key(name))), ...entries]
}

/** Replaces or adds headers, except those that frame the message (Content-Type, Content-Length, Transfer-Encoding, Connection): these stay ours. */
export function withHeaders(headers: Pairs, entries: Pairs): Pairs {
  return replacePairs(
    headers,
    entries.filter(([name]) => !FRAMING_HEADERS.has(name.toLowerCase())),
    'any-case',
  )
}

/** Who may add which parameters to a form. */
export interface AddedParameters {
  /** from the operator: added in order, may replace the names in `replaceable` */
  readonly trusted?: Pairs | undefined
  /** from a request of somebody else: added only where nothing of ours has that name, apart from `replaceableByUntrusted` */
  readonly untrusted?: Pairs | undefined
  readonly replaceable: ReadonlySet<string>
  readonly replaceableByUntrusted: ReadonlySet<string>
}

/**
 * Adds parameters to the computed ones without ever letting a protected one be replaced or doubled: a server that reads the first and one that
 * reads the last of two would see different requests (RFC 6749 section 3.2). A name given several times by one side stays repeated.
 */
export function addParameters(computed: Pairs, added: AddedParameters): Pairs {
  if ((added.trusted?.length ?? 0) === 0 && (added.untrusted?.length ?? 0) === 0) return computed
  const protectedNames = new Set(computed.map(([name]) => name).filter((name) => !added.replaceable.has(name)))
  const trusted = (added.trusted ?? []).filter(([name]) => !protectedNames.has(name))
  const ours = replacePairs(computed, trusted)
  const trustedNames = new Set(trusted.map(([name]) => name))
  const taken = new Set(ours.map(([name]) => name))
  const untrusted = (added.untrusted ?? []).filter(
    ([name]) =>
      !CLIENT_AUTHENTICATION_PARAMETERS.has(name) &&
      (!taken.has(name) || (added.replaceableByUntrusted.has(name) && !trustedNames.has(name))),
  )
  return replacePairs(ours, untrusted)
}

/**
 * Closes a form request: body, Content-Type, the fragment of the URL dropped and its query kept (RFC 6749 section 3.2).
 *
 * @throws {TypeError} a header name or value holds a control character
 */
export function toHttpRequest(request: FormRequest): HttpRequest {
  for (const [name, value] of request.headers) {
    if (HEADER_UNSAFE.test(name) || HEADER_UNSAFE.test(value)) throw new TypeError('a header holds a control character')
  }
  const [url = ''] = request.url.split('#', 1)
  return {
    method: 'POST',
    url,
    headers: [...request.headers, ['Content-Type', 'application/x-www-form-urlencoded']],
    body: encodeForm(request.form),
  }
}

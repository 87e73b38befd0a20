/** Authorization server metadata: RFC 8414 and OpenID Connect Discovery 1.0. */
import { sameIssuer } from './claims.ts'
import { DiscoveryError } from './errors.ts'
import type { HttpClient, HttpResponse } from './http.ts'
import { isJsonObject, type JsonObject, parseJsonObject, textOf, textsOf } from './json.ts'

/** Members of metadata that are addresses. */
const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'introspection_endpoint',
  'token_introspection_endpoint',
  'revocation_endpoint',
  'userinfo_endpoint',
  'end_session_endpoint',
  'pushed_authorization_request_endpoint',
  'jwks_uri',
] as const
/** Members of metadata that are lists of names. */
const LISTS = [
  'scopes_supported',
  'response_types_supported',
  'grant_types_supported',
  'code_challenge_methods_supported',
  'token_endpoint_auth_methods_supported',
  'introspection_endpoint_auth_methods_supported',
  'revocation_endpoint_auth_methods_supported',
] as const
const SUFFIXES = ['openid-configuration', 'oauth-authorization-server']

/** An endpoint that metadata may name. */
export type EndpointName = (typeof ENDPOINTS)[number]

/** What a metadata document says, reduced to members of the right type. */
export type ServerMetadata = { readonly [name in EndpointName]?: string } & {
  readonly [name in (typeof LISTS)[number]]?: readonly string[]
} & {
  readonly issuer?: string
  readonly mtls_endpoint_aliases: { readonly [name in EndpointName]?: string }
  readonly require_pushed_authorization_requests: boolean
  readonly require_signed_request_object: boolean
  readonly authorization_response_iss_parameter_supported: boolean
  /** the whole document, as received */
  readonly document: JsonObject
  /** members that were left out because they are no http(s) address or no list: for the log */
  readonly ignored: readonly string[]
}

/** A document and where it was found. */
export interface Discovery {
  readonly url: string
  readonly metadata: ServerMetadata
  /** the document names another issuer than the one that was asked for, beyond a slash at the end: worth a warning */
  readonly issuerDiffers: boolean
}

/**
 * The address of a well-known document. `append`: after the path (OpenID Connect Discovery section 4); `insert`: between host and path (RFC 8414
 * section 3.1, RFC 9728 section 3.1). One slash at the end of the identifier is dropped; a query stays.
 *
 * @throws {TypeError} `identifier` is no URL
 */
export function wellKnownUrl(identifier: string, suffix: string, mode: 'append' | 'insert'): string {
  const url = new URL(identifier)
  const path = url.pathname.replace(/\/$/, '')
  url.pathname = mode === 'append' ? `${path}/.well-known/${suffix}` : `/.well-known/${suffix}${path}`
  url.hash = ''
  return url.href
}

/**
 * The issuer identifier without a well-known path, in either form, and without a slash at the end: what two spellings of one issuer share.
 *
 * @throws {DiscoveryError} no http(s) URL
 */
export function normaliseIssuer(issuer: string): string {
  const url = issuerUrl(issuer)
  url.pathname = basePath(url.pathname)
  return url.href.replace(/\/(?=$|\?)/, '')
}

/**
 * Where a server's metadata may be, in the order to try: the very address when it names a well-known document, the OpenID Connect form, the RFC 8414
 * form.
 *
 * @throws {DiscoveryError} no http(s) URL
 */
export function discoveryUrls(issuer: string): readonly string[] {
  const url = issuerUrl(issuer)
  const base = new URL(url)
  base.pathname = basePath(url.pathname)
  const named = url.pathname.replace(/\/$/, '') !== base.pathname.replace(/\/$/, '')
  return [
    ...new Set([
      ...(named ? [url.href] : []),
      wellKnownUrl(base.href, 'openid-configuration', 'append'),
      wellKnownUrl(base.href, 'oauth-authorization-server', 'insert'),
    ]),
  ]
}

/**
 * Fetches a server's metadata: the addresses of discoveryUrls in turn, the next one only after 404.
 *
 * @param headers added to the request
 * @throws {DiscoveryError} no connection, a status other than 200, or no JSON object
 */
export async function fetchMetadata(
  http: HttpClient,
  issuer: string,
  headers: readonly (readonly [string, string])[] = [],
): Promise<Discovery> {
  for (const url of discoveryUrls(issuer)) {
    let response: HttpResponse
    try {
      response = await http({ method: 'GET', url, headers: [['Accept', 'application/json'], ...headers] })
    } catch (cause) {
      throw new DiscoveryError('the metadata document could not be fetched', { cause })
    }
    if (response.status === 404) continue
    if (response.status !== 200) throw new DiscoveryError(`the metadata document was answered with status ${response.status}`)
    const document = parseJsonObject(response.body)
    if (document === null) throw new DiscoveryError('the metadata document is not a JSON object')
    const metadata = readMetadata(document)
    return { url, metadata, issuerDiffers: metadata.issuer === undefined || !sameIssuer(metadata.issuer, normaliseIssuer(issuer)) }
  }
  throw new DiscoveryError('the metadata document was answered with status 404')
}

/** Reads a metadata document: members of the wrong type are left out and listed, unknown ones stay in `document` (RFC 8414 section 3.2). */
export function readMetadata(document: JsonObject): ServerMetadata {
  const ignored: string[] = []
  const aliases = document['mtls_endpoint_aliases']
  const issuer = textOf(document['issuer'])
  return {
    ...(issuer === undefined ? {} : { issuer }),
    ...addressesOf(document, ignored),
    ...listsOf(document, ignored),
    mtls_endpoint_aliases: isJsonObject(aliases) ? addressesOf(aliases, ignored, 'mtls_endpoint_aliases.') : {},
    require_pushed_authorization_requests: document['require_pushed_authorization_requests'] === true,
    require_signed_request_object: document['require_signed_request_object'] === true,
    authorization_response_iss_parameter_supported: document['authorization_response_iss_parameter_supported'] === true,
    document,
    ignored,
  }
}

/**
 * The address of an endpoint according to metadata. With mutual TLS the alias comes first (RFC 8705 section 5). An introspection endpoint is also found
 * under its older name `token_introspection_endpoint`.
 */
export function endpointOf(metadata: ServerMetadata, name: EndpointName, mutualTls = false): string | undefined {
  const alias = mutualTls ? metadata.mtls_endpoint_aliases : {}
  const found = alias[name] ?? metadata[name]
  return found === undefined && name === 'introspection_endpoint' ? endpointOf(metadata, 'token_introspection_endpoint', mutualTls) : found
}

/** The client authentication methods of an endpoint according to metadata; without a list of its own that of the token endpoint, as Kong has it. */
export function authMethodsOf(metadata: ServerMetadata, endpoint: 'token' | 'introspection' | 'revocation'): readonly string[] | undefined {
  return metadata[`${endpoint}_endpoint_auth_methods_supported`] ?? metadata.token_endpoint_auth_methods_supported
}

function addressesOf(document: JsonObject, ignored: string[], prefix = ''): { [name in EndpointName]?: string } {
  const addresses: { [name in EndpointName]?: string } = {}
  for (const name of ENDPOINTS) {
    const value = document[name]
    if (value === undefined || value === null) continue
    if (typeof value === 'string' && isHttpUrl(value)) addresses[name] = value
    else ignored.push(prefix + name)
  }
  return addresses
}

function listsOf(document: JsonObject, ignored: string[]): { [name in (typeof LISTS)[number]]?: readonly string[] } {
  const lists: { [name in (typeof LISTS)[number]]?: readonly string[] } = {}
  for (const name of LISTS) {
    const value = document[name]
    if (value === undefined || value === null) continue
    const list = textsOf(value)
    if (list === undefined) ignored.push(name)
    else lists[name] = list
  }
  return lists
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:')
}

function issuerUrl(issuer: string): URL {
  if (!isHttpUrl(issuer)) throw new DiscoveryError('the issuer is no http or https address')
  const url = new URL(issuer)
  url.hash = ''
  return url
}

function basePath(path: string): string {
  const trimmed = path.replace(/\/$/, '')
  for (const suffix of SUFFIXES) {
    const wellKnown = `/.well-known/${suffix}`
    if (trimmed.endsWith(wellKnown)) return trimmed.slice(0, -wellKnown.length)
    if (trimmed.startsWith(`${wellKnown}/`)) return trimmed.slice(wellKnown.length)
  }
  return trimmed
}

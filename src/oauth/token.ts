/** The token endpoint: password, client credentials and refresh grants (RFC 6749 sections 4.3, 4.4 and 6) and its answers (section 5). */
import { numericDate } from './claims.ts'
import { echoesSecret } from './echo.ts'
import { addParameters, type FormRequest, type Pairs, withHeaders } from './form.ts'
import type { HttpRequest, HttpResponse } from './http.ts'
import { type JsonObject, type JsonValue, parseJsonObject, textOf } from './json.ts'
import { decodeJwt } from './jwt.ts'

/** What is presented to the token endpoint. The credentials of a client credentials grant are those of client authentication. */
export type Grant =
  | { readonly grant_type: 'password'; readonly username: string; readonly password: string }
  | { readonly grant_type: 'client_credentials' }
  | { readonly grant_type: 'refresh_token'; readonly refresh_token: string }

/** A token request. */
export interface TokenRequest {
  readonly endpoint: string
  readonly grant: Grant
  /** joined by spaces; no parameter when there is none, or only empty ones */
  readonly scopes?: readonly string[] | null | undefined
  /** one parameter for each */
  readonly audiences?: readonly string[] | null | undefined
  readonly headers?: Pairs | undefined
  /** the operator's own parameters: may replace `scope` and `audience` */
  readonly parameters?: Pairs | undefined
  /** taken from a caller's request: may replace only the computed `scope` and `audience` */
  readonly untrustedParameters?: Pairs | undefined
}

const REPLACEABLE: ReadonlySet<string> = new Set(['scope', 'audience'])
/** A caller has no say in what is presented, in no grant. */
const GRANT_PARAMETERS: ReadonlySet<string> = new Set([
  'grant_type',
  'username',
  'password',
  'refresh_token',
  'code',
  'code_verifier',
  'redirect_uri',
])

/** The request of a grant, to be completed by client authentication and closed by `toHttpRequest`. It never has a `redirect_uri` of ours. */
export function tokenRequest(request: TokenRequest): FormRequest {
  const scope = (request.scopes ?? []).filter((word) => word !== '').join(' ')
  const computed: [string, string][] = [
    ...Object.entries(request.grant),
    ...(scope === '' ? [] : [['scope', scope] as [string, string]]),
    ...(request.audiences ?? []).map((audience): [string, string] => ['audience', audience]),
  ]
  return {
    url: request.endpoint,
    headers: withHeaders([['Accept', 'application/json']], request.headers ?? []),
    form: addParameters(computed, {
      trusted: request.parameters,
      untrusted: request.untrustedParameters?.filter(([name]) => !GRANT_PARAMETERS.has(name)),
      replaceable: REPLACEABLE,
      replaceableByUntrusted: REPLACEABLE,
    }),
  }
}

/** Tokens as granted. */
export interface GrantedTokens {
  readonly access_token: string
  /** the canonical spelling; an answer without it means Bearer */
  readonly token_type: 'Bearer' | 'DPoP'
  readonly id_token?: string
  readonly refresh_token?: string
  /** what was granted, where it differs from what was asked for (RFC 6749 section 5.1) */
  readonly scope?: string
  /** seconds since the epoch: by `expires_in`, else by `exp` of the access token when it is a JWT, else null: unknown. May lie in the past */
  readonly expiresAtS: number | null
  /** every member of the answer */
  readonly members: JsonObject
}

/** Why an answer of the token endpoint is of no use. */
export type TokenFailure = 'unexpected_status' | 'not_a_json_object' | 'no_access_token' | 'unknown_token_type' | 'expires_in_unreadable'

/**
 * What an answer comes to. `error` and `error_description` of a refusal are the server's, cut and cleaned for a log; they are not for the caller's eyes
 * unless the operator says so.
 */
export type TokenOutcome =
  | ({ readonly kind: 'granted' } & GrantedTokens)
  | { readonly kind: 'refused'; readonly status: number; readonly error?: string; readonly error_description?: string }
  | { readonly kind: 'failure'; readonly reason: TokenFailure }

/** Characters of a server's error text that are kept. */
const MAX_ERROR_TEXT = 256

/**
 * Reads an answer of the token endpoint: 200 with a JSON object is a grant, 4xx a refusal, all else a failure.
 *
 * @param nowS       seconds since the epoch, when the answer arrived
 * @param grant_type of the request: a refresh token beside a client credentials grant is ignored (RFC 6749 section 4.4.3)
 * @param request what was sent: an error text that gives secrets of it back is dropped
 */
export function interpretTokenResponse(
  response: HttpResponse,
  nowS: number,
  grant_type?: Grant['grant_type'],
  request?: HttpRequest,
): TokenOutcome {
  if (response.status >= 400 && response.status < 500) return refusal(response, request)
  if (response.status !== 200) return { kind: 'failure', reason: 'unexpected_status' }
  const members = parseJsonObject(response.body)
  if (members === null) return { kind: 'failure', reason: 'not_a_json_object' }
  const access_token = textOf(members['access_token'])
  if (access_token === undefined) return { kind: 'failure', reason: 'no_access_token' }
  const token_type = tokenTypeOf(members)
  if (token_type === null) return { kind: 'failure', reason: 'unknown_token_type' }
  const expiresIn = numericDate(members['expires_in'] ?? undefined)
  if (expiresIn === null) return { kind: 'failure', reason: 'expires_in_unreadable' }
  return {
    kind: 'granted',
    access_token,
    token_type,
    ...textMember(members, 'id_token'),
    ...(grant_type === 'client_credentials' ? {} : textMember(members, 'refresh_token')),
    ...textMember(members, 'scope'),
    expiresAtS: expiresIn === undefined ? expiryOfJwt(access_token) : nowS + expiresIn,
    members,
  }
}

function refusal(response: HttpResponse, request: HttpRequest | undefined): TokenOutcome {
  const members = parseJsonObject(response.body)
  const error = errorText(members?.['error'], request)
  const error_description = errorText(members?.['error_description'], request)
  return {
    kind: 'refused',
    status: response.status,
    ...(error === undefined ? {} : { error }),
    ...(error_description === undefined ? {} : { error_description }),
  }
}

function tokenTypeOf(members: JsonObject): 'Bearer' | 'DPoP' | null {
  const type = members['token_type']
  if (type === undefined || type === null) return 'Bearer'
  if (typeof type !== 'string') return null
  const lower = type.toLowerCase()
  return lower === 'bearer' ? 'Bearer' : lower === 'dpop' ? 'DPoP' : null
}

/** The token came from the server itself, so that its `exp` may be believed for what it is used for: how long to keep it. */
function expiryOfJwt(token: string): number | null {
  return numericDate(decodeJwt(token)?.payload['exp']) ?? null
}

function textMember<Name extends string>(members: JsonObject, name: Name): { [name in Name]?: string } {
  const text = textOf(members[name])
  return text === undefined ? {} : ({ [name]: text } as { [name in Name]?: string })
}

/** The server's words, fit for a log: cut, printable, and without secrets of ours. */
function errorText(member: JsonValue | undefined, request: HttpRequest | undefined): string | undefined {
  const text = textOf(member)
  if (text === undefined || (request !== undefined && echoesSecret(text, request))) return undefined
  return text.slice(0, MAX_ERROR_TEXT).replace(/[^\x20-\x7e]/g, '?')
}

/**
 * Token introspection (RFC 7662) and its signed answers (RFC 9701): the request, and two readings of the answer, which share their parts.
 * `interpretIntrospection` is that of a plain introspection client, `interpretOidcIntrospection` that of an OpenID Connect relying party, which
 * may also ask for a JWT. Both begin with "not active": only an answer that says so in every respect makes a token active, and what the
 * server got wrong is a failure of the server, never a verdict about the token.
 */
import { audiencesOf, checkIssuer, checkTimes, checkValidity, numericDate } from './claims.ts'
import { addParameters, type FormRequest, type Pairs, withHeaders } from './form.ts'
import { type HttpResponse, mediaTypeOf } from './http.ts'
import { isJsonObject, type JsonObject, parseJsonObject, textOf } from './json.ts'
import { hasTyp, isCompactJwe, type JwsVerification } from './jwt.ts'

/** What is asked. */
export interface IntrospectionRequest {
  readonly endpoint: string
  /** as received, without scheme */
  readonly token: string
  readonly token_type_hint?: string | null | undefined
  /** name of the parameter that holds the token, for servers with another one; default `token` */
  readonly tokenParameter?: string | undefined
  /** default `application/json` */
  readonly accept?: string | undefined
  /** replace or add to Authorization, Accept and the like; those that frame the message are ignored */
  readonly headers?: Pairs | undefined
  /** the operator's own parameters: may replace `token_type_hint`, never the token */
  readonly parameters?: Pairs | undefined
  /** taken from a caller's request: never replace or double a parameter of ours or of client authentication */
  readonly untrustedParameters?: Pairs | undefined
}

const REPLACEABLE: ReadonlySet<string> = new Set(['token_type_hint'])
const NONE: ReadonlySet<string> = new Set()

/** The request of RFC 7662 section 2.1, to be completed by client authentication and closed by `toHttpRequest`. */
export function introspectionRequest(request: IntrospectionRequest): FormRequest {
  const computed: [string, string][] = [[request.tokenParameter ?? 'token', request.token]]
  if (request.token_type_hint != null && request.token_type_hint !== '') computed.push(['token_type_hint', request.token_type_hint])
  return {
    url: request.endpoint,
    headers: withHeaders([['Accept', request.accept ?? 'application/json']], request.headers ?? []),
    form: addParameters(computed, {
      trusted: request.parameters,
      untrusted: request.untrustedParameters,
      replaceable: REPLACEABLE,
      replaceableByUntrusted: NONE,
    }),
  }
}

/** Why a token is not active. `active_unreadable` is a defect of the server and worth a log line at error level. */
export type InactiveReason =
  | 'active_false'
  | 'active_unreadable'
  | 'expired'
  | 'not_yet_valid'
  | 'wrong_issuer'
  | 'not_an_access_token'
  | 'no_content'
  | 'error_response'

/** Why an answer is of no use. `client_refused`: the server does not accept the credentials of the one who asks. */
export type IntrospectionFailure =
  | 'client_refused'
  | 'unexpected_status'
  | 'not_a_json_object'
  | 'exp_unreadable'
  | 'nbf_unreadable'
  | 'unexpected_jwt'
  | 'jwt_expected'
  | 'jwt_malformed'
  | 'jwt_not_decrypted'
  | 'jwt_signature'
  | 'jwt_wrong_typ'
  | 'jwt_wrong_issuer'
  | 'jwt_wrong_audience'
  | 'jwt_time'
  | 'jwt_incomplete'

/**
 * What an answer comes to. `claims` are the members of the answer, unknown ones included. `jwt` is the signed answer as received, decrypted. `cacheable`:
 * the server itself said that the token is not active; what we concluded, or what time will change, is not to be kept.
 */
export type IntrospectionOutcome =
  | { readonly kind: 'active'; readonly claims: JsonObject; readonly jwt?: string }
  | { readonly kind: 'inactive'; readonly cacheable: boolean; readonly reason: InactiveReason }
  | { readonly kind: 'failure'; readonly reason: IntrospectionFailure }

/**
 * Reads an answer as a plain introspection client. The content type is not looked at: many servers send text/plain or none. An `exp` that has
 * passed counts as the server's own "not active", `nbf` ahead does not, since time will change it. An unreadable `exp` or `nbf` is a failure, an
 * unreadable `iat` has no say.
 *
 * @param nowS seconds since the epoch
 */
export function interpretIntrospection(response: HttpResponse, nowS: number): IntrospectionOutcome {
  if (response.status === 400 && hasTokenError(response)) return inactive('error_response', false)
  const claims = readJson(response)
  if (typeof claims === 'string') return failure(claims)
  if (claims['active'] === false) return inactive('active_false', true)
  if (claims['active'] !== true) return inactive('active_unreadable', false)
  return refuseOtherTokens(claims) ?? refuseByTime(checkValidity(claims, nowS), { expiredIsCacheable: true }) ?? { kind: 'active', claims }
}

/** What is asked for, and so what must come. */
export type IntrospectionAccept = 'application/json' | 'application/jwt' | 'application/token-introspection+jwt'

/** Rules for the claims of a result: they are policy, and hold for an answer from a cache as for a fresh one. */
export interface ResultRules {
  readonly nowS: number
  readonly leewayS?: number | undefined
  /** false: `exp` and `nbf` have no say */
  readonly verifyClaims: boolean
  /** when set, `iss` must be one of them where it is present */
  readonly issuersAllowed?: readonly string[] | null | undefined
}

/** Rules for an answer that is a JWT. Keys stay with the caller, who may want to fetch newer ones before giving up. */
export interface SignedAnswerRules {
  /** `iss` of the answer must be one of them */
  readonly issuers: readonly string[]
  /** `aud` of the answer must name one of them: the client identifier, or whatever the server calls the one who asks */
  readonly audiences: readonly string[]
  /** seconds since `iat` at most; absent: no limit */
  readonly maxAgeS?: number | undefined
  /** verifies the signature only: algorithm and keys of the server */
  readonly verifySignature: (jws: string) => JwsVerification | Promise<JwsVerification>
  /** decrypts a nested JWT; absent: encrypted answers are failures */
  readonly decrypt?: ((jwe: string) => Promise<string | null>) | undefined
}

/** How an OpenID Connect relying party reads the answer. */
export interface OidcIntrospectionRules extends ResultRules {
  readonly accept: IntrospectionAccept
  /** false: for servers that send no `active`; `active: false` refuses all the same */
  readonly checkActive: boolean
  /** needed unless `accept` is `application/json` */
  readonly signed?: SignedAnswerRules | undefined
}

/**
 * Reads an answer as an OpenID Connect relying party. 204 means not active (servers that return the token's content answer so). A plain answer where a
 * signed one was asked for is a downgrade and a failure, and the other way round. A promise comes back only for a JWT.
 *
 * @throws {TypeError} a JWT was asked for without rules for it
 */
export function interpretOidcIntrospection(
  response: HttpResponse,
  rules: OidcIntrospectionRules,
): IntrospectionOutcome | Promise<IntrospectionOutcome> {
  if (response.status === 204) return inactive('no_content', true)
  if ((response.status === 400 || response.status === 404) && hasTokenError(response)) return inactive('error_response', false)
  if (response.status !== 200) return failure(statusFailure(response.status))
  const isJwt = mediaTypeOf(response).endsWith('jwt')
  if (rules.accept === 'application/json') {
    if (isJwt) return failure('unexpected_jwt')
    const claims = readJson(response)
    return typeof claims === 'string' ? failure(claims) : judgeResult(claims, rules)
  }
  if (rules.signed === undefined) throw new TypeError('a signed answer was asked for without rules for it')
  return isJwt ? readSigned(response, rules, rules.signed) : failure('jwt_expected')
}

/**
 * Applies the rules for claims to a result, fresh or from a cache: kind of token, `exp`, `nbf`, `iss`. Null when nothing speaks against it.
 *
 * @see interpretOidcIntrospection, which has applied them to a fresh one
 */
export function refuseResult(claims: JsonObject, rules: ResultRules): Exclude<IntrospectionOutcome, { kind: 'active' }> | null {
  const other = refuseOtherTokens(claims)
  if (other !== null) return other
  const time = rules.verifyClaims ? refuseByTime(checkValidity(claims, rules.nowS, rules.leewayS), { expiredIsCacheable: false }) : null
  if (time !== null) return time
  if (rules.issuersAllowed != null && checkIssuer(claims, rules.issuersAllowed) !== null) return inactive('wrong_issuer', false)
  return null
}

function judgeResult(claims: JsonObject, rules: OidcIntrospectionRules, jwt?: string): IntrospectionOutcome {
  if (claims['active'] === false) return inactive('active_false', true)
  if (rules.checkActive && claims['active'] !== true) return inactive('active_unreadable', false)
  return refuseResult(claims, rules) ?? (jwt === undefined ? { kind: 'active', claims } : { kind: 'active', claims, jwt })
}

/**
 * A signed answer. In this order: decryption; signature; `iss` and times; then, when it has a `token_introspection` or had to have one, the type, the
 * audience and `iat` of RFC 9701 section 5, and the result is that member alone. Otherwise (drafts before the RFC, and servers that return the
 * access token itself) the payload is the result, and its own times are judged as those of a result.
 */
async function readSigned(response: HttpResponse, rules: OidcIntrospectionRules, signed: SignedAnswerRules): Promise<IntrospectionOutcome> {
  const body = Buffer.from(response.body).toString('latin1').trim()
  const jws = isCompactJwe(body, body.length) ? ((await signed.decrypt?.(body)) ?? null) : body
  if (jws === null) return failure('jwt_not_decrypted')
  const verified = await signed.verifySignature(jws)
  if (!verified.ok) return failure(verified.reason === 'malformed' ? 'jwt_malformed' : 'jwt_signature')
  const payload = parseJsonObject(verified.payload)
  if (payload === null) return failure('jwt_malformed')
  const result = payload['token_introspection']
  if (result === undefined && rules.accept === 'application/jwt') {
    return checkIssuer(payload, signed.issuers) === null ? judgeResult(payload, rules, jws) : failure('jwt_wrong_issuer')
  }
  if (!hasTyp(verified.header, { exactly: 'token-introspection+jwt' })) return failure('jwt_wrong_typ')
  if (payload['iss'] === undefined || payload['iat'] === undefined || !isJsonObject(result)) return failure('jwt_incomplete')
  if (checkIssuer(payload, signed.issuers) !== null) return failure('jwt_wrong_issuer')
  if (!audiencesOf(payload).some((audience) => signed.audiences.includes(audience))) return failure('jwt_wrong_audience')
  if (checkTimes(payload, rules.nowS, rules.leewayS) !== null || isTooOld(payload, rules, signed)) return failure('jwt_time')
  return judgeResult(result, rules, jws)
}

function isTooOld(payload: JsonObject, rules: OidcIntrospectionRules, signed: SignedAnswerRules): boolean {
  if (signed.maxAgeS === undefined) return false
  return (numericDate(payload['iat']) ?? Number.NEGATIVE_INFINITY) + signed.maxAgeS < rules.nowS - (rules.leewayS ?? 0)
}

/** The JSON object of a 200 answer, or why there is none. */
function readJson(response: HttpResponse): JsonObject | IntrospectionFailure {
  if (response.status !== 200) return statusFailure(response.status)
  return parseJsonObject(response.body) ?? 'not_a_json_object'
}

function statusFailure(status: number): IntrospectionFailure {
  return status === 401 || status === 403 ? 'client_refused' : 'unexpected_status'
}

/** Some servers answer a token that they cannot read with an error instead of `active: false`. */
function hasTokenError(response: HttpResponse): boolean {
  const error = parseJsonObject(response.body)?.['error']
  return error === 'invalid_token' || error === 'invalid_request' || error === 'unsupported_token_type'
}

/** An active refresh token or ID token is no access token: the server may widen its search beyond the hint (RFC 7662 section 2.1). */
function refuseOtherTokens(claims: JsonObject): Exclude<IntrospectionOutcome, { kind: 'active' }> | null {
  const isOther = (mark: string | undefined): boolean => mark === 'refresh_token' || mark === 'id_token'
  const other = isOther(textOf(claims['token_type'])?.toLowerCase()) || isOther(textOf(claims['token_use'])?.toLowerCase())
  return other ? inactive('not_an_access_token', false) : null
}

function refuseByTime(
  time: ReturnType<typeof checkValidity>,
  { expiredIsCacheable }: { expiredIsCacheable: boolean },
): Exclude<IntrospectionOutcome, { kind: 'active' }> | null {
  switch (time) {
    case null:
      return null
    case 'expired':
      return inactive('expired', expiredIsCacheable)
    case 'not_yet_valid':
      return inactive('not_yet_valid', false)
    case 'exp_unreadable':
      return failure('exp_unreadable')
    default:
      return failure('nbf_unreadable')
  }
}

function inactive(reason: InactiveReason, cacheable: boolean) {
  return { kind: 'inactive', cacheable, reason } as const
}

function failure(reason: IntrospectionFailure) {
  return { kind: 'failure', reason } as const
}

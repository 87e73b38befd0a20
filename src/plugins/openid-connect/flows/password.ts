/**
 * A user's name and password are exchanged for tokens (RFC 6749 section 4.3). What the provider granted is kept under a digest of everything that it depends
 * on, so that a repeated request makes no call.
 *
 *   nothing ──grant──▶ kept ──access token ends──▶ refreshable ──refresh──▶ kept
 *                                                     └──refused──▶ grant
 *
 * There is one call at a time for each digest; refusals and failures are not kept.
 */
import { hash } from 'node:crypto'
import type { CacheSpace, Loaded } from '../../../cache/cache.ts'
import { type FailedAnswer, failed } from '../../../introspection/answer.ts'
import type { CallGuard } from '../../../introspection/call-guard.ts'
import { type SharedIntrospection, sharedIntrospectionOf } from '../../../introspection/introspector.ts'
import { serverOf } from '../../../introspection/profile.ts'
import type { IntrospectedRequest } from '../../../introspection/request.ts'
import { numericDate } from '../../../oauth/claims.ts'
import type { Pairs } from '../../../oauth/form.ts'
import type { HttpClient, HttpRequest } from '../../../oauth/http.ts'
import { decodeJwt } from '../../../oauth/jwt.ts'
import type { ServerMetadata } from '../../../oauth/metadata.ts'
import { type Grant, type GrantedTokens, interpretTokenResponse, type TokenOutcome, tokenRequest } from '../../../oauth/token.ts'
import { copiedHeaders, copiedParameters } from '../caller-arguments.ts'
import type { Client } from '../clients.ts'
import type { FoundPair } from '../credentials.ts'
import type { Evidence } from '../evidence.ts'
import type { IssuerData } from '../issuers.ts'
import { callProvider, connectionOf, isFailed, pairwise } from '../provider-calls.ts'
import { andThen, type Soon } from '../soon.ts'
import { JWT_REASONS, type RefusedJwt, type VerifiedJwt } from '../token-verifier.ts'
import {
  type Authenticated,
  type Flow,
  type FlowParts,
  locate,
  type Outcome,
  type PairAttempt,
  unauthorized,
  unexpected,
  unlocated,
  unreachable,
} from './outcome.ts'
import { type Obtained, type TokenStore, TokenStores } from './token-stores.ts'

type Granted = Extract<Obtained, { kind: 'granted' }>

/** Everything that a request to the token endpoint is made of. */
interface Question {
  readonly client: Client
  readonly endpoint: string
  readonly metadata: ServerMetadata | null
  readonly pair: FoundPair
  readonly parameters: Pairs
  readonly headers: Pairs
}

/** Bytes of an entry besides the tokens. */
const ENTRY_BYTES = 1024
const BYTES_PER_CHARACTER = 4
const DEFAULT_TTL_S = 3600
/** Errors with which a token endpoint refuses the gateway itself, not the user (RFC 6749 section 5.2). */
const OUR_FAULTS = new Set(['invalid_client', 'unauthorized_client', 'unsupported_grant_type'])

/** Method `password`. */
export class PasswordFlow implements Flow<PairAttempt> {
  readonly #parts: FlowParts
  readonly #stores: TokenStores
  readonly #store: TokenStore
  readonly #space: CacheSpace<Obtained>
  readonly #shared: SharedIntrospection
  readonly #http: HttpClient
  readonly #timeoutMs: number
  readonly #guards = new Map<string, CallGuard>()
  readonly #evidence = new WeakMap<GrantedTokens, Evidence>()

  constructor(parts: FlowParts) {
    const { kit, config } = parts
    this.#parts = parts
    this.#stores = kit.shared('openid-connect tokens', () => new TokenStores(kit.settings, kit.now))
    this.#store = this.#stores.acquire(config.cache_tokens_salt ?? kit.pluginId, kit.pluginId, hash('sha256', JSON.stringify(config)))
    this.#space = this.#store.space
    this.#shared = sharedIntrospectionOf(kit)
    const connection = connectionOf(config)
    this.#http = kit.httpClient(connection)
    this.#timeoutMs = connection.timeoutMs
  }

  authenticate(attempt: PairAttempt): Soon<Outcome> {
    const { config } = this.#parts
    return andThen(locate(this.#parts, 'token_endpoint'), ({ endpoint, data }) => {
      if (endpoint === undefined) return unlocated(this.#parts, data, 'the provider has no token endpoint')
      return andThen(this.#copied(attempt.request), (parameters) => {
        const { client, pair, request } = attempt
        const headers = copiedHeaders(request.headers, config.token_headers_client ?? [])
        const question: Question = { client, pair, endpoint, metadata: data?.metadata ?? null, parameters, headers }
        return this.#answer(question, keyOf(question, this.#parts, data), true)
      })
    })
  }

  close(): void {
    this.#stores.release(this.#store)
    for (const server of this.#guards.keys()) this.#shared.guards.release(server)
    this.#guards.clear()
  }

  #copied(request: IntrospectedRequest): Soon<Pairs> {
    return copiedParameters(request, this.#parts.config.token_post_args_client ?? [], ['query', 'body', 'header'])
  }

  /** @param again whether tokens whose keys are gone may be asked for once more */
  #answer(question: Question, key: string, again: boolean): Soon<Outcome> {
    const stored = this.#space.peek(key)
    const obtained = stored?.value ?? this.#space.load(key, () => this.#load(question, key))
    return andThen(obtained, (result) => this.#conclude(result, question, key, again && stored !== undefined))
  }

  #conclude(obtained: Obtained, question: Question, key: string, again: boolean): Soon<Outcome> {
    switch (obtained.kind) {
      case 'failed':
        return unexpected(obtained, REASONS[obtained.failure] ?? REASON, serverOf(question.endpoint))
      case 'refused': {
        const { providerError } = obtained
        const refused = unauthorized('the provider refuses the user name or the password')
        return providerError === undefined ? refused : { ...refused, providerError, members: { provider_error: providerError } }
      }
      case 'bad-id-token':
        if (obtained.reason === 'keys_unreachable') return unreachable(this.#parts, JWT_REASONS[obtained.reason])
        return unauthorized('the ID token from the token endpoint does not hold', { detail: JWT_REASONS[obtained.reason] })
      default:
        return this.#verify(obtained, question, key, again)
    }
  }

  /** A JWT is verified each time; an opaque token came from the provider itself. */
  #verify(granted: Granted, question: Question, key: string, again: boolean): Soon<Outcome> {
    const { access_token: token } = granted.tokens
    const verified = this.#parts.verifier.verify(token, {
      client: question.client,
      typ: 'access-token',
      verifySignature: this.#checksSignatures,
    })
    return andThen(verified, (result): Soon<Outcome> => {
      if (result === null || result.ok) return this.#authenticated(granted, result)
      if (result.reason === 'keys_unreachable') return unreachable(this.#parts, JWT_REASONS[result.reason])
      if (again && CURABLE.has(result.reason)) {
        this.#space.invalidate(key)
        return this.#answer(question, key, false)
      }
      return unauthorized('the access token from the token endpoint does not hold', { detail: JWT_REASONS[result.reason] })
    })
  }

  get #checksSignatures(): boolean {
    return !(this.#parts.config.ignore_signature ?? []).includes('password')
  }

  #authenticated({ tokens, idToken }: Granted, verified: VerifiedJwt | null): Authenticated {
    const known = this.#evidence.get(tokens)
    const evidence = known ?? this.#makeEvidence(tokens, idToken, verified)
    return { kind: 'authenticated', evidence, accessToken: tokens.access_token, stale: null }
  }

  #makeEvidence(tokens: GrantedTokens, idToken: VerifiedJwt | null, verified: VerifiedJwt | null): Evidence {
    // An answer without `scope` grants what was asked for (RFC 6749 section 5.1).
    const scope = tokens.scope ?? (this.#parts.config.scopes ?? []).join(' ')
    const evidence = this.#parts.evidence.make({
      accessToken: verified?.claims ?? null,
      accessTokenJwk: verified?.jwk ?? null,
      idToken: idToken?.claims ?? null,
      idTokenJwk: idToken?.jwk ?? null,
      granted: verified === null ? { scope } : null,
      obtainedIdToken: tokens.id_token ?? null,
      obtainedRefreshToken: tokens.refresh_token ?? null,
    })
    this.#evidence.set(tokens, evidence)
    return evidence
  }

  // ------------------------------------------------------------------------------------------------------------------------------ the calls

  /** A refresh where an earlier answer allows one, else a grant. */
  async #load(question: Question, key: string): Promise<Loaded<Obtained>> {
    const before = this.#space.stale(key)
    const refreshed = before?.kind === 'granted' ? await this.#refresh(before, question) : null
    if (refreshed !== null) return refreshed
    const { username, password } = question.pair
    return this.#grant(question, { grant_type: 'password', username, password }, null)
  }

  /** Null where nothing can be refreshed, or the provider refuses: then the credentials are asked for their worth again. */
  async #refresh({ tokens }: Granted, question: Question): Promise<Loaded<Obtained> | null> {
    const { refresh_token, expiresAtS } = tokens
    const { config, kit } = this.#parts
    if (config.refresh_tokens === false || refresh_token === undefined || expiresAtS === null) return null
    // What ended for another reason than its own expiry is asked for anew.
    if (expiresAtS - (config.leeway ?? 0) > kit.now() / 1000) return null
    const loaded = await this.#grant(question, { grant_type: 'refresh_token', refresh_token }, refresh_token)
    return loaded.value.kind === 'refused' || loaded.value.kind === 'bad-id-token' ? null : loaded
  }

  async #grant(question: Question, grant: Grant, keptRefreshToken: string | null): Promise<Loaded<Obtained>> {
    const { kit } = this.#parts
    let sent: HttpRequest | undefined
    const request = async (): Promise<HttpRequest> => {
      sent = await this.#request(question, grant)
      return sent
    }
    const answer = await callProvider(request, {
      http: this.#http,
      guard: this.#guardOf(question.endpoint),
      timeoutMs: this.#timeoutMs,
      now: kit.now,
    })
    if (isFailed(answer)) return leave(answer)
    const outcome = interpretTokenResponse(answer, kit.now() / 1000, grant.grant_type, sent)
    if (outcome.kind === 'granted') return this.#keep(withRefreshToken(outcome, keptRefreshToken), question)
    return outcome.kind === 'refused' ? refusal(outcome) : leave(malformed(outcome.reason, answer.status))
  }

  #request({ endpoint, client, metadata, parameters, headers }: Question, grant: Grant): Soon<HttpRequest> {
    const { config, authenticator } = this.#parts
    const form = tokenRequest({
      endpoint,
      grant,
      scopes: config.scopes,
      audiences: config.audience,
      headers,
      parameters: pairwise(config.token_post_args_names, config.token_post_args_values),
      untrustedParameters: parameters,
    })
    return authenticator.complete(form, client, 'token', metadata)
  }

  /** The ID token is verified once, when it arrives: its own `exp` says nothing about the access token's life. */
  async #keep(tokens: GrantedTokens, { client }: Question): Promise<Loaded<Obtained>> {
    const idToken =
      tokens.id_token === undefined
        ? null
        : await this.#parts.verifier.verifyIdToken(tokens.id_token, tokens.access_token, {
            client,
            verifySignature: this.#checksSignatures,
          })
    if (idToken?.ok === false) return leave({ kind: 'bad-id-token', reason: idToken.reason })
    const value: Obtained = { kind: 'granted', tokens, idToken }
    const { config, kit } = this.#parts
    if (config.cache_tokens === false) return leave(value)
    const text = tokens.access_token.length + (tokens.id_token?.length ?? 0) + (tokens.refresh_token?.length ?? 0)
    return { store: 'positive', value, ...this.#lifeOf(tokens, kit.now()), bytes: ENTRY_BYTES + text * BYTES_PER_CHARACTER }
  }

  /** Own expiry, else `cache_ttl`; raised to the least, lowered to the most; never beyond the own expiry. With a refresh token it stays refreshable after. */
  #lifeOf(
    { expiresAtS, refresh_token, access_token }: GrantedTokens,
    nowMs: number,
  ): { readonly expiresAtMs: number; readonly staleUntilMs: number } {
    const { cache_ttl, cache_ttl_min, cache_ttl_max, leeway } = this.#parts.config
    const ttlS = cache_ttl ?? DEFAULT_TTL_S
    const claimed = numericDate(decodeJwt(access_token)?.payload['exp'])
    const endS = Math.min(expiresAtS ?? Number.POSITIVE_INFINITY, claimed ?? Number.POSITIVE_INFINITY)
    const ownS = endS === Number.POSITIVE_INFINITY ? ttlS : endS - nowMs / 1000
    const lifeS = Math.min(Math.max(ownS, cache_ttl_min ?? 0), cache_ttl_max ?? Number.POSITIVE_INFINITY)
    const expiresAtMs = Math.min(nowMs + lifeS * 1000, (endS - (leeway ?? 0)) * 1000)
    const isOver = endS * 1000 <= nowMs
    return { expiresAtMs, staleUntilMs: isOver || refresh_token === undefined ? expiresAtMs : expiresAtMs + ttlS * 1000 }
  }

  #guardOf(endpoint: string): CallGuard {
    const server = serverOf(endpoint)
    const known = this.#guards.get(server)
    if (known !== undefined) return known
    const guard = this.#shared.guards.acquire(server)
    this.#guards.set(server, guard)
    return guard
  }
}

/** Refusals that newer tokens may cure: the keys were changed, or the token ended before its time. */
const CURABLE: ReadonlySet<RefusedJwt['reason']> = new Set(['no_matching_key', 'bad_signature', 'expired'])

/** No credential is a key. A scope that the caller asked for always counts; the configured ones where the operator shares tokens between configurations. */
function keyOf({ endpoint, client, pair, parameters, headers }: Question, { config, issuer }: FlowParts, data: IssuerData | null): string {
  const scopes = config.token_cache_key_include_scope === true ? config.scopes : null
  const { username, password } = pair
  const issued = [data?.issuer ?? issuer.label, endpoint, client.id]
  const parts = [config.cache_tokens_salt, 'password', ...issued, username, password, parameters, headers, config.audience, scopes]
  return hash('sha256', JSON.stringify(parts), 'base64url')
}

function withRefreshToken(tokens: GrantedTokens, kept: string | null): GrantedTokens {
  return tokens.refresh_token === undefined && kept !== null ? { ...tokens, refresh_token: kept } : tokens
}

function refusal({ status, error, error_description }: Extract<TokenOutcome, { kind: 'refused' }>): Loaded<Obtained> {
  if (error !== undefined && OUR_FAULTS.has(error)) {
    return leave(failed('refused', error, { endpointStatus: status }))
  }
  const providerError = [error, error_description].filter((text) => text !== undefined).join(': ')
  return { store: 'drop', value: { kind: 'refused', providerError: providerError === '' ? undefined : providerError } }
}

function malformed(reason: string, status: number): FailedAnswer {
  return failed(reason === 'unexpected_status' ? 'status' : 'malformed', reason, { endpointStatus: status })
}

function leave(value: Obtained): Loaded<Obtained> {
  return { store: 'leave', value }
}

const REASON = 'the token endpoint gave no answer'
const REASONS: Readonly<Record<FailedAnswer['failure'], string>> = {
  transport: 'the token endpoint could not be reached',
  timeout: 'the token endpoint did not answer in time',
  status: 'the token endpoint answered with a status that is no answer',
  malformed: 'the token endpoint sent a malformed answer',
  refused: "the token endpoint refuses the gateway's own credentials",
  suspended: 'the token endpoint is not asked for a moment after failures',
  saturated: 'too many calls to the token endpoint are under way',
  configuration: 'the token request cannot be made with this configuration',
}

/** The bearer token, whatever it is made of, is shown to the provider, which says whether it is active and what it stands for (RFC 7662, RFC 9701). */
import { HeaderList } from '../../../http/headers.ts'
import { parseQuery } from '../../../http/query.ts'
import type { ActiveAnswer, Answer, StaleAnswer } from '../../../introspection/answer.ts'
import { unavailable } from '../../../introspection/decision.ts'
import { Introspector } from '../../../introspection/introspector.ts'
import { fingerprintOf, type InquiryProfile, type Lifetimes, serverOf } from '../../../introspection/profile.ts'
import { bodiless, type IntrospectedRequest } from '../../../introspection/request.ts'
import { INACTIVE_TEXTS, refuseByClock, type VerificationRules } from '../../../introspection/verification.ts'
import { audiencesOf } from '../../../oauth/claims.ts'
import { encodeForm, type Pairs } from '../../../oauth/form.ts'
import type { HttpRequest, HttpResponse } from '../../../oauth/http.ts'
import {
  type IntrospectionOutcome,
  interpretOidcIntrospection,
  introspectionRequest,
  type SignedAnswerRules,
} from '../../../oauth/introspection.ts'
import { textOf } from '../../../oauth/json.ts'
import { decryptNestedJwt } from '../../../oauth/jwe.ts'
import { importPrivateJwk } from '../../../oauth/jwks.ts'
import { decodeJwt, isCompactJws } from '../../../oauth/jwt.ts'
import type { ServerMetadata } from '../../../oauth/metadata.ts'
import { copiedHeaders, copiedParameters } from '../caller-arguments.ts'
import type { Client } from '../clients.ts'
import type { Evidence } from '../evidence.ts'
import type { IssuerData } from '../issuers.ts'
import { connectionOf, pairwise } from '../provider-calls.ts'
import { andThen, type Soon } from '../soon.ts'
import type { VerifiedJwt } from '../token-verifier.ts'
import {
  type Authenticated,
  type Flow,
  type FlowParts,
  locate,
  type Outcome,
  type TokenAttempt,
  unauthorized,
  unexpected,
  unlocated,
} from './outcome.ts'

/** Seconds that "not active" is reused where the configuration does not say. */
const NEGATIVE_TTL_S = 5
/** Seconds of a life where `cache_ttl` is null. */
const DEFAULT_TTL_S = 3600

/** The introspector of one client at one endpoint. */
interface Asked {
  readonly endpoint: string
  readonly introspector: Introspector
}

/** Method `introspection`; one introspector for each client. */
export class IntrospectionFlow implements Flow<TokenAttempt> {
  readonly #parts: FlowParts
  readonly #asked = new Map<number, Asked>()
  readonly #evidence = new WeakMap<ActiveAnswer, Evidence>()
  readonly #copiesFromCaller: boolean
  readonly #lifetimes: Lifetimes
  readonly #verification: VerificationRules
  #warnedAbout: ServerMetadata | null | undefined

  constructor(parts: FlowParts) {
    this.#parts = parts
    const { config } = parts
    this.#lifetimes = lifetimesOf(parts)
    this.#verification = { verifyTimes: config.verify_claims !== false, leewayMs: (config.leeway ?? 0) * 1000 }
    this.#copiesFromCaller = [
      config.introspection_post_args_client,
      config.introspection_post_args_client_headers,
      config.introspection_headers_client,
    ].some((names) => (names ?? []).length > 0)
  }

  authenticate({ token, client, request }: TokenAttempt): Soon<Outcome> {
    return this.introspect(token.token, client, request, null)
  }

  /** @param verified the token as the gateway itself verified it before, or null */
  introspect(token: string, client: Client, request: IntrospectedRequest, verified: VerifiedJwt | null): Soon<Outcome> {
    return andThen(locate(this.#parts, 'introspection_endpoint'), ({ endpoint, data }) => {
      if (endpoint === undefined) return this.#withoutEndpoint(data)
      const { introspector } = this.#askedOf(client, endpoint)
      return andThen(this.#about(request), (about) =>
        andThen(introspector.introspect(token, about), (answer) => this.#conclude(answer, token, client, endpoint, verified)),
      )
    })
  }

  close(): void {
    for (const { introspector } of this.#asked.values()) introspector.close()
    this.#asked.clear()
  }

  /** That the provider has none is told once for each metadata. */
  #withoutEndpoint(data: IssuerData | null): Outcome {
    const { kit } = this.#parts
    const metadata = data?.metadata ?? null
    const outcome = unlocated(this.#parts, data, 'the provider has no introspection endpoint')
    if (outcome.kind === 'unexpected') return outcome
    if (this.#warnedAbout !== metadata) kit.log.warn(outcome.reason, { plugin: 'openid-connect', plugin_id: kit.pluginId })
    this.#warnedAbout = metadata
    return outcome
  }

  #askedOf(client: Client, endpoint: string): Asked {
    const known = this.#asked.get(client.index)
    if (known?.endpoint === endpoint) return known
    known?.introspector.close()
    const asked = { endpoint, introspector: new Introspector(this.#profileOf(client, endpoint), this.#parts.kit) }
    this.#asked.set(client.index, asked)
    return asked
  }

  #conclude(answer: Answer | StaleAnswer, token: string, client: Client, endpoint: string, verified: VerifiedJwt | null): Soon<Outcome> {
    if (answer.kind === 'failed') return unexpected(answer, unavailable(answer).reason, serverOf(endpoint))
    if (answer.kind === 'inactive') return unauthorized(INACTIVE_TEXTS[answer.reason], hintsFor(token, client))
    const active = answer.kind === 'stale' ? answer.answer : answer
    const untimely = refuseByClock(active, this.#verification, this.#parts.kit.now())
    if (untimely !== null) return unauthorized(INACTIVE_TEXTS[untimely])
    const stale = answer.kind === 'stale' ? answer.because : null
    const known = this.#evidence.get(active)
    const evidence = known ?? this.#makeEvidence(active, token, client, verified)
    return andThen(evidence, (made): Authenticated => ({ kind: 'authenticated', evidence: made, accessToken: token, stale }))
  }

  /** What follows from an answer is worked out once. The token's own claims count too: the provider has just vouched for exactly this text. */
  #makeEvidence(active: ActiveAnswer, token: string, client: Client, verified: VerifiedJwt | null): Soon<Evidence> {
    const { verifier, evidence, config, kit } = this.#parts
    const embedded = textOf(active.claims['jwt'])
    const use = { client, typ: 'access-token', verifySignature: !(config.ignore_signature ?? []).includes('introspection') } as const
    const inner = embedded === undefined ? null : verifier.verify(embedded, use)
    return andThen(inner, (result) => {
      if (result?.ok === false)
        kit.log.warn('a JWT in an introspection answer is ignored', { plugin: 'openid-connect', reason: result.reason })
      const made = evidence.make({
        introspection: active.claims,
        introspectionJwt: active.jwt ?? (result?.ok === true ? embedded : null) ?? null,
        embedded: result?.ok === true ? result.claims : null,
        accessToken: verified?.claims ?? decodeJwt(token)?.payload ?? null,
        accessTokenJwk: verified?.jwk ?? null,
      })
      this.#evidence.set(active, made)
      return made
    })
  }

  // ------------------------------------------------------------------------------------------------------------------------------- the call

  #profileOf(client: Client, endpoint: string): InquiryProfile {
    const { config, kit } = this.#parts
    return {
      name: 'openid-connect',
      fingerprint: fingerprintOf('openid-connect', kit.pluginId, endpoint, client.id, [
        client.auth,
        config.introspection_endpoint_auth_method,
        config.introspection_hint,
        config.introspection_accept,
        config.introspection_token_param_name,
        config.introspection_check_active,
        config.introspection_headers_names,
        config.introspection_headers_values,
        config.introspection_post_args_names,
        config.introspection_post_args_values,
      ]),
      call: {
        server: serverOf(endpoint),
        ...connectionOf(config),
        request: (token, about) => this.#request(client, endpoint, token, about),
        interpret: (response, nowS) => this.#interpret(client, response, nowS),
      },
      variation: this.#copiesFromCaller ? (about) => JSON.stringify([about.query, about.headers.toRaw()]) : null,
      lifetimes: this.#lifetimes,
    }
  }

  /** The part of the caller's request that the call depends on, as a request of its own: its query holds the parameters, its headers are those to be sent. */
  #about(request: IntrospectedRequest): Soon<IntrospectedRequest> {
    if (!this.#copiesFromCaller) return request
    const { config } = this.#parts
    const headers = HeaderList.fromRaw(copiedHeaders(request.headers, config.introspection_headers_client ?? []).flat())
    const fromHeaders = copiedParameters(request, config.introspection_post_args_client_headers ?? [], ['header'])
    return andThen(copiedParameters(request, config.introspection_post_args_client ?? [], ['query', 'body']), (fromRequest) =>
      andThen(fromHeaders, (named) => bodiless({ method: 'POST', rawPath: '', query: encodeForm([...fromRequest, ...named]), headers })),
    )
  }

  #request(client: Client, endpoint: string, token: string, about: IntrospectedRequest): Soon<HttpRequest> {
    const { config, authenticator, issuer, issuerPolicy } = this.#parts
    const metadata = issuer.current(issuerPolicy)?.metadata ?? null
    const copied = this.#copiesFromCaller
      ? {
          parameters: parseQuery(about.query).map(({ name, value }): [string, string] => [name, value ?? '']),
          headers: pairsOf(about.headers),
        }
      : NOTHING_COPIED
    const form = introspectionRequest({
      endpoint,
      token,
      token_type_hint: config.introspection_hint,
      tokenParameter: config.introspection_token_param_name ?? undefined,
      accept: config.introspection_accept ?? undefined,
      headers: copied.headers,
      parameters: pairwise(config.introspection_post_args_names, config.introspection_post_args_values),
      untrustedParameters: copied.parameters,
    })
    return authenticator.complete(form, client, 'introspection', metadata)
  }

  #interpret(client: Client, response: HttpResponse, nowS: number): Soon<IntrospectionOutcome> {
    const { config } = this.#parts
    return interpretOidcIntrospection(response, {
      accept: config.introspection_accept ?? 'application/json',
      checkActive: config.introspection_check_active !== false,
      nowS,
      leewayS: config.leeway ?? 0,
      verifyClaims: config.verify_claims !== false,
      issuersAllowed: config.issuers_allowed,
      signed: this.#signedRules(client),
    })
  }

  #signedRules(client: Client): SignedAnswerRules {
    const { config, verifier, issuer, issuerPolicy } = this.#parts
    const verifySignature = !(config.ignore_signature ?? []).includes('introspection')
    return {
      issuers: verifier.issuersFor(issuer.current(issuerPolicy)),
      audiences: client.id === null ? [] : [client.id],
      verifySignature: (jws) => verifier.verifySignature(jws, { client, verifySignature }),
      decrypt: (jwe) => decrypt(jwe, client),
    }
  }
}

const NOTHING_COPIED: { readonly parameters: Pairs; readonly headers: Pairs } = { parameters: [], headers: [] }

function pairsOf(headers: HeaderList): Pairs {
  const pairs: [string, string][] = []
  headers.each((name, value) => pairs.push([name, value]))
  return pairs
}

/** A client's own key opens what was encrypted for it. */
async function decrypt(jwe: string, { jwk }: Client): Promise<string | null> {
  if (jwk === null || jwk['d'] === undefined) return null
  return decryptNestedJwt(jwe, [{ kid: textOf(jwk['kid']), key: importPrivateJwk(jwk) }], jwe.length)
}

/** For the log, where a token that looks good is refused: Keycloak 26.6.2 and later call a token inactive whose audience does not name the one who asks. */
function hintsFor(token: string, { id }: Client): { readonly hint: string } | undefined {
  const claims = isCompactJws(token) ? decodeJwt(token)?.payload : undefined
  if (claims === undefined || id === null || audiencesOf(claims).includes(id)) return undefined
  return { hint: 'the token is a JWT whose audience does not name the client that asks: check the audience mapping of the provider' }
}

function lifetimesOf({ config }: FlowParts): Lifetimes {
  if (config.cache_introspection === false) return { withoutExpS: 0, minS: 0, maxS: 0, negativeS: 0, staleS: 0 }
  return {
    withoutExpS: config.cache_ttl ?? DEFAULT_TTL_S,
    minS: config.cache_ttl_min ?? 0,
    maxS: config.cache_ttl_max ?? Number.POSITIVE_INFINITY,
    negativeS: config.cache_ttl_neg ?? NEGATIVE_TTL_S,
    staleS: config.cache_ttl_resurrect ?? 0,
  }
}

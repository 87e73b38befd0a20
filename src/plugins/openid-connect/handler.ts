import type { Consumer } from '../../entities/consumer-directory.ts'
import { findAnonymous } from '../../entities/consumer-directory.ts'
import { AUTHORIZATION_TEXTS, type AuthorizationRules, refuseByRules } from '../../introspection/authorization.ts'
import { type ConsumerMapping, mapConsumer, NO_CONSUMER } from '../../introspection/consumer-mapping.ts'
import { hideToken } from '../../introspection/credential-hiding.ts'
import { isGrpc } from '../../introspection/grpc.ts'
import { fingerprintOf } from '../../introspection/profile.ts'
import { type ExtractionPlan, extractToken, type FoundToken } from '../../introspection/token-extraction.ts'
import type { RequestContext } from '../../plugin/context.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { Answers, exitGrpc, type Refusal } from './answers.ts'
import { ClientAuthenticator } from './client-authentication.ts'
import { type Client, createClients, selectClient } from './clients.ts'
import { type FoundPair, findPair, hidePair, tokenPlan } from './credentials.ts'
import { credentialNames, EvidenceMaker, identityHeaderNames, type TokenHeader, tokenHeader } from './evidence.ts'
import { BearerFlow } from './flows/bearer.ts'
import { IntrospectionFlow } from './flows/introspection.ts'
import type {
  Attempt,
  Authenticated,
  Flow,
  FlowParts,
  Outcome,
  PairAttempt,
  TokenAttempt,
  Unauthorized,
  Unexpected,
} from './flows/outcome.ts'
import { PasswordFlow } from './flows/password.ts'
import { type Issuer, type IssuerPolicy, Issuers } from './issuers.ts'
import { authorizationRules, consumerMapping } from './policy.ts'
import { connectionOf, pairwise } from './provider-calls.ts'
import { type Config, schema } from './schema.ts'
import { AUTH_METHODS, BUILT_AUTH_METHODS } from './schema-terms.ts'
import { andThen, type Soon } from './soon.ts'
import { createVerifiedJwts, TokenVerifier } from './token-verifier.ts'

const PLUGIN = schema.name

/**
 * Authenticates requests by access tokens or user credentials of an OpenID Connect provider. Wire-compatible with Kong's Enterprise plugin of the same name,
 * as far as it is built.
 */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 1050,
  authenticates: true,
  identityHeaders: (config: Config) => identityHeaderNames(config),
  credentialNames: (config: Config) => credentialNames(config),
  configure: (config: Config, kit) => new OpenIdConnect(config, kit),
  access: (context, plugin) => plugin.access(context),
  headerFilter: (context, plugin) => plugin.headerFilter(context),
  close: (plugin) => plugin.close(),
})

/** The flows by kind of credential, in the order in which they are tried: it does not follow the configuration (Kong). */
interface Flows {
  readonly token: readonly Flow<TokenAttempt>[]
  readonly pair: readonly Flow<PairAttempt>[]
}

/** What a request presents. The first kind that is found ends the search, whatever becomes of it. */
type Presented =
  | { readonly kind: 'token'; readonly token: FoundToken }
  | { readonly kind: 'pair'; readonly pair: FoundPair }
  /** `several`: there are tokens, but nobody can tell which one counts. */
  | { readonly kind: 'none'; readonly several: boolean }

/** A configuration at work. */
class OpenIdConnect {
  readonly #config: Config
  readonly #clients: readonly Client[]
  readonly #issuers: Issuers
  readonly #issuer: Issuer
  readonly #flows: Flows
  readonly #closers: readonly Flow<never>[]
  readonly #plan: ExtractionPlan
  readonly #pairPlaces: readonly string[]
  readonly #evidence: EvidenceMaker
  readonly #answers: Answers
  readonly #rules: AuthorizationRules
  readonly #mapping: ConsumerMapping
  /** Id or username; null: failures are answered. */
  readonly #anonymous: string | null
  readonly #upstreamToken: TokenHeader | null
  readonly #downstreamToken: TokenHeader | null
  /** Lines for the answer to a caller, until its head goes out. */
  readonly #downstream = new WeakMap<RequestContext, readonly string[]>()

  constructor(config: Config, kit: PluginKit) {
    this.#config = config
    this.#clients = createClients(config)
    this.#issuers = kit.shared('openid-connect issuers', () => new Issuers(kit))
    this.#issuer = this.#issuers.acquire({
      issuer: config.issuer,
      discovers: config.using_pseudo_issuer !== true,
      jwksEndpoint: config.jwks_endpoint,
      extraJwksUris: config.extra_jwks_uris ?? [],
      headers: pairwise(config.discovery_headers_names, config.discovery_headers_values),
      verifyTls: config.ssl_verify !== false,
    })
    this.#evidence = new EvidenceMaker(config, kit.log)
    const methods = (config.auth_methods ?? []).filter((method) => BUILT_AUTH_METHODS.includes(method))
    const parts = this.#partsOf(config, kit)
    const introspection = new IntrospectionFlow(parts)
    const bearer = new BearerFlow(parts, introspection)
    const pair = methods.includes('password') ? [new PasswordFlow(parts)] : []
    this.#closers = [bearer, introspection, ...pair]
    this.#flows = {
      token: [...(methods.includes('bearer') ? [bearer] : []), ...(methods.includes('introspection') ? [introspection] : [])],
      pair,
    }
    this.#plan = tokenPlan(config)
    this.#pairPlaces = config.password_param_type ?? []
    this.#answers = new Answers(config, this.#flows.pair.length > 0 && this.#pairPlaces.includes('header'))
    this.#rules = authorizationRules(config)
    this.#mapping = consumerMapping(config)
    this.#anonymous = config.anonymous === '' ? null : config.anonymous
    this.#upstreamToken = tokenHeader(config.upstream_access_token_header)
    this.#downstreamToken = tokenHeader(config.downstream_access_token_header)
    warn(config, kit)
    if (methods.length > 0) this.#issuer.prepare(parts.issuerPolicy)
  }

  #partsOf(config: Config, kit: PluginKit): FlowParts {
    const issuerPolicy: IssuerPolicy = {
      http: kit.httpClient({ ...connectionOf(config), maxResponseBytes: MAX_DISCOVERY_BYTES }),
      rediscoveryS: config.rediscovery_lifetime ?? 30,
      lifetimeS: config.cache_ttl ?? 3600,
    }
    const verified = kit.shared('openid-connect verified tokens', () => createVerifiedJwts(kit.settings.introspection_cache_max_entries))
    const rules = {
      fingerprint: fingerprintOf(PLUGIN, kit.pluginId, this.#issuer.key, config.client_secret),
      verifySignature: config.verify_signature !== false,
      verifyClaims: config.verify_claims !== false,
      allowHmac: config.enable_hs_signatures === true,
      leewayS: config.leeway ?? 0,
      issuersAllowed: config.issuers_allowed,
      domains: config.domains !== null && config.domains.length > 0 ? config.domains : null,
      maxAgeS: config.max_age,
    }
    return {
      config,
      kit,
      issuer: this.#issuer,
      issuerPolicy,
      verifier: new TokenVerifier(rules, this.#issuer, issuerPolicy, verified, kit.now),
      authenticator: new ClientAuthenticator(config, kit.objects, kit.now),
      evidence: this.#evidence,
    }
  }

  close(): void {
    for (const flow of this.#closers) flow.close()
    this.#issuers.release(this.#issuer)
  }

  // ------------------------------------------------------------------------------------------------------------------------------- a request

  access(context: RequestContext): Soon<void> {
    const { request } = context
    if (this.#config.run_on_preflight === false && request.method === 'OPTIONS') return
    if (this.#anonymous !== null && context.authenticated) {
      // An earlier plugin has said who this is: the first success wins.
      return this.#evidence.projection.clearClaims(request.headers)
    }
    return andThen(this.#find(context), (presented) => {
      if (presented.kind === 'none') {
        return this.#fail(context, UNAUTHENTICATED[presented.several ? 'several' : 'nothing'], presented, 0)
      }
      return andThen(selectClient(request, this.#clients, this.#config.client_arg ?? 'client_id'), (client) =>
        andThen(this.#authenticate(context, client, presented), (outcome) => this.#conclude(context, client, presented, outcome)),
      )
    })
  }

  #find({ request }: RequestContext): Soon<Presented> {
    const extraction = this.#flows.token.length === 0 ? NO_TOKEN : extractToken(request, this.#plan)
    return andThen(extraction, (found): Soon<Presented> => {
      if (found.kind === 'token') return { kind: 'token', token: found }
      const several = found.kind === 'ambiguous'
      const pair = this.#flows.pair.length === 0 ? null : findPair(request, this.#pairPlaces)
      return andThen(pair, (known): Presented => (known === null ? { kind: 'none', several } : { kind: 'pair', pair: known }))
    })
  }

  #authenticate({ request }: RequestContext, client: Client, presented: Exclude<Presented, { kind: 'none' }>): Soon<Outcome> {
    if (presented.kind === 'pair') return tryInOrder(this.#flows.pair, { request, client, pair: presented.pair })
    if (!presented.token.wellFormed) return MALFORMED
    return tryInOrder(this.#flows.token, { request, client, token: presented.token })
  }

  /** authorization → consumer → credentials hidden → headers */
  #conclude(context: RequestContext, client: Client, presented: Presented, outcome: Outcome): Soon<void> {
    if (outcome.kind !== 'authenticated') return this.#fail(context, outcome, presented, client.index)
    const { evidence, accessToken } = outcome
    if (outcome.stale !== null) reportStale(context, outcome)

    const unsatisfied = refuseByRules(evidence.ruleSources, this.#rules)
    if (unsatisfied !== null) return this.#forbid(context, AUTHORIZATION_TEXTS[unsatisfied], client.index)

    const consumer = mapConsumer(evidence.sources, this.#mapping, context.consumers)
    if (consumer === null && !this.#mapping.optional) return this.#withoutConsumer(context, presented, client.index)

    return andThen(this.#hide(context, presented), () => {
      const { request } = context
      const { credential, groups } = evidence
      const identity = { consumer, authenticatedGroups: groups, credentialIdentifier: credential?.id ?? null }
      this.#evidence.projection.write(request.headers, identity, evidence.upstream)
      const header = this.#upstreamToken
      if (header !== null) request.headers.set(header.name, `${header.prefix}${accessToken}`)
      this.#keepForCaller(context, outcome)
      context.authenticate({ consumer, credential, authenticatedGroups: groups }, accessToken)
    })
  }

  #hide({ request }: RequestContext, presented: Presented): Soon<void> {
    if (this.#config.hide_credentials === false) return
    if (presented.kind === 'token') return hideToken(request, this.#plan, presented.token)
    return presented.kind === 'pair' ? hidePair(request, presented.pair) : undefined
  }

  #keepForCaller(context: RequestContext, { evidence, accessToken }: Authenticated): void {
    const header = this.#downstreamToken
    const lines = header === null ? evidence.downstream : [header.name, `${header.prefix}${accessToken}`, ...evidence.downstream]
    if (lines.length > 0) this.#downstream.set(context, lines)
  }

  /** What the caller is told; an upstream's header of the same name gives way. */
  headerFilter(context: RequestContext): void {
    const lines = this.#downstream.get(context)
    if (lines === undefined) return
    for (let i = 0; i + 1 < lines.length; i += 2) context.response.headers.set(lines[i] as string, lines[i + 1] as string)
  }

  // ------------------------------------------------------------------------------------------------------------------------------- refusals

  #fail(context: RequestContext, outcome: Exclude<Outcome, Authenticated>, presented: Presented, clientIndex: number): Soon<void> {
    const failure = outcome.kind === 'not-applicable' ? { kind: 'unauthorized' as const, reason: outcome.reason } : outcome
    context.denial = failure.reason
    report(context, failure)
    if (this.#anonymous !== null) return this.#continueAsAnonymous(context, this.#anonymous, presented)
    this.#answers.refuse(context, this.#refusalOf(failure, presented), clientIndex)
  }

  #refusalOf(failure: Unauthorized | Unexpected, presented: Presented): Refusal {
    if (failure.kind === 'unexpected') return failure
    const brought = presented.kind === 'none' ? (presented.several ? 'several' : 'nothing') : 'credential'
    const reason = failure.providerError === undefined ? failure.reason : `${failure.reason}: ${failure.providerError}`
    return { kind: 'unauthorized', presented: brought, reason }
  }

  /** The token is good but not for this: nobody else may take over. */
  #forbid(context: RequestContext, reason: string, clientIndex: number): void {
    context.denial = reason
    context.log.notice('access denied', { plugin: PLUGIN, request_id: context.id, reason })
    this.#answers.refuse(context, { kind: 'forbidden', reason }, clientIndex)
  }

  #withoutConsumer(context: RequestContext, presented: Presented, clientIndex: number): Soon<void> {
    if (this.#anonymous === null) return this.#forbid(context, NO_CONSUMER, clientIndex)
    context.denial = NO_CONSUMER
    context.log.notice('access denied', { plugin: PLUGIN, request_id: context.id, reason: NO_CONSUMER })
    return this.#continueAsAnonymous(context, this.#anonymous, presented)
  }

  #continueAsAnonymous(context: RequestContext, anonymous: string, presented: Presented): Soon<void> {
    const consumer = findAnonymous(context.consumers, anonymous)
    if (consumer === undefined) {
      const message = `anonymous consumer ${anonymous} is configured but doesn't exist`
      context.log.error(message, { plugin: PLUGIN, request_id: context.id })
      return isGrpc(context.request) ? exitGrpc(context, 500, message) : context.exit(500, { message })
    }
    return andThen(this.#hide(context, presented), () => this.#becomeAnonymous(context, consumer))
  }

  #becomeAnonymous(context: RequestContext, consumer: Consumer): void {
    this.#evidence.projection.writeAnonymous(context.request.headers, consumer)
    context.useAnonymous(consumer)
  }
}

/** Largest discovery document or key set. */
const MAX_DISCOVERY_BYTES = 4_194_304
const NO_TOKEN = { kind: 'missing' } as const
const MALFORMED: Unauthorized = { kind: 'unauthorized', reason: 'the token is malformed' }
const UNAUTHENTICATED = {
  nothing: { kind: 'unauthorized', reason: 'the request has no credential' },
  several: { kind: 'unauthorized', reason: 'the request has several tokens' },
} as const

/**
 * Tries the flows until one succeeds. Where none does, "nobody could tell" outweighs "not good": a flow that could not decide might have said yes. Of several
 * refusals the last that applied says why.
 */
function tryInOrder<A extends Attempt>(flows: readonly Flow<A>[], attempt: A, index = 0, before: Outcome | null = null): Soon<Outcome> {
  const flow = flows[index]
  if (flow === undefined) return before ?? UNAUTHENTICATED.nothing
  return andThen(flow.authenticate(attempt), (outcome) => {
    if (outcome.kind === 'authenticated') return outcome
    return tryInOrder(flows, attempt, index + 1, weightier(before, outcome))
  })
}

function weightier(before: Outcome | null, outcome: Outcome): Outcome {
  if (before === null || before.kind === 'not-applicable') return outcome
  if (outcome.kind === 'not-applicable' || (before.kind === 'unexpected' && outcome.kind !== 'unexpected')) return before
  return outcome
}

/** Every failed authentication has its line; none holds a token. */
function report(context: RequestContext, { kind, reason, members }: Unauthorized | Unexpected): void {
  const about = { ...members, plugin: PLUGIN, request_id: context.id, reason }
  if (kind === 'unexpected') context.log.error('authentication is not possible', about)
  else context.log.notice('authentication failed', about)
}

function reportStale(context: RequestContext, { stale }: Authenticated): void {
  context.log.warn('a stored introspection answer stands in for a failed call', {
    plugin: PLUGIN,
    request_id: context.id,
    failure: stale?.failure,
    detail: stale?.detail,
  })
}

/** Once for each configuration. */
function warn(config: Config, { log, pluginId }: PluginKit): void {
  const about = { plugin: PLUGIN, plugin_id: pluginId }
  const methods = config.auth_methods ?? []
  const ignored = methods.filter((method) => !BUILT_AUTH_METHODS.includes(method))
  if (methods.length === AUTH_METHODS.length && ignored.length > 0) {
    log.warn('the default auth_methods hold methods that are not available yet and never match', { ...about, methods: ignored.join(', ') })
  }
  if (config.ssl_verify === false) log.warn('ssl_verify is off: whoever is in the way can pose as the provider', about)
  if (config.verify_signature === false) log.warn('verify_signature is off: anybody can make tokens', about)
  const unsigned = config.ignore_signature ?? []
  if (unsigned.length > 0) log.warn('signatures of tokens from these grants are not checked', { ...about, grants: unsigned.join(', ') })
}

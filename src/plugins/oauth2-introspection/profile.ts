/** From the plugin's configuration to what the introspection engine works with. */
import { dashedName } from '../../http/field-marks.ts'
import { NO_RULES } from '../../introspection/authorization.ts'
import type { ConsumerMapping } from '../../introspection/consumer-mapping.ts'
import { Denials } from '../../introspection/decision.ts'
import { type ClaimHeader, encodePlain, HeaderProjection } from '../../introspection/header-projection.ts'
import { fingerprintOf, type IntrospectionCall, type Lifetimes, type Profile, serverOf } from '../../introspection/profile.ts'
import type { IntrospectedRequest } from '../../introspection/request.ts'
import type { ExtractionPlan } from '../../introspection/token-extraction.ts'
import { bearerChallenge } from '../../oauth/challenge.ts'
import { encodeForm, FRAMING_HEADERS, type Pairs, toHttpRequest, withHeaders } from '../../oauth/form.ts'
import type { HttpRequest } from '../../oauth/http.ts'
import { interpretIntrospection, introspectionRequest } from '../../oauth/introspection.ts'
import type { JsonObject } from '../../oauth/json.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { type Config, schema } from './schema.ts'

/** The configuration has no realm; Kong's sibling plugins use this one by default, and a challenge needs a parameter (RFC 6750 section 3). */
const REALM = 'service'
const MISSING = 'The access token is missing'
const INVALID = 'The access token is invalid or has expired'
/** Seconds that "not active" is reused (Kong 3.12). */
const NEGATIVE_TTL_S = 5
/** Bytes of the longest body that is searched for a token. */
const MAX_SEARCHED_BODY = 1_048_576
/** Bytes of the longest value of an X-Credential-* header. */
const MAX_HEADER_VALUE = 8192

/** Header and place in the order of Authorization header, query, body (RFC 6750 section 2; `token` as in Kong's oauth2 plugin). */
const EXTRACTION: ExtractionPlan = {
  head: [
    { kind: 'authorization', schemes: ['bearer', 'token'] },
    { kind: 'query', name: 'access_token' },
  ],
  body: {
    kind: 'body',
    name: 'access_token',
    methods: new Set(['POST', 'PUT', 'PATCH']),
    formats: new Set(['form', 'json', 'multipart']),
    limitBytes: MAX_SEARCHED_BODY,
  },
}

/** Members of the answer that have a header of their own. */
const CREDENTIAL_HEADERS: readonly (readonly [header: string, member: string])[] = [
  ['X-Credential-Scope', 'scope'],
  ['X-Credential-Client-ID', 'client_id'],
  ['X-Credential-Identifier', 'username'],
  ['X-Credential-Token-Type', 'token_type'],
  ['X-Credential-Exp', 'exp'],
  ['X-Credential-Iat', 'iat'],
  ['X-Credential-Nbf', 'nbf'],
  ['X-Credential-Sub', 'sub'],
  ['X-Credential-Aud', 'aud'],
  ['X-Credential-Iss', 'iss'],
  ['X-Credential-Jti', 'jti'],
]

const DENIALS = {
  no_token: { status: 401, error: 'invalid_request', description: MISSING, challenge: bearerChallenge({ realm: REALM }) },
  invalid_token: {
    status: 401,
    error: 'invalid_token',
    description: INVALID,
    challenge: bearerChallenge({ realm: REALM, error: 'invalid_token', error_description: INVALID }),
  },
  // The plugin has no rule that these would stand for; whatever asked for them would be refused.
  forbidden: { status: 403, error: 'insufficient_scope', description: 'Forbidden', challenge: bearerChallenge({ realm: REALM }) },
  no_consumer: { status: 403, error: 'insufficient_scope', description: 'Forbidden', challenge: bearerChallenge({ realm: REALM }) },
} as const

/** Makes the profile of one configuration. */
export function createProfile(config: Config, { pluginId, settings }: Pick<PluginKit, 'pluginId' | 'settings'>): Profile {
  const headers = sentHeaders(config)
  return {
    name: schema.name,
    fingerprint: fingerprintOf(schema.name, pluginId, config.introspection_url, config.token_type_hint, headers, [
      config.introspect_request,
    ]),
    extraction: EXTRACTION,
    call: createCall(config, headers),
    variation: config.introspect_request ? ({ method, rawPath }) => `${method} ${rawPath}` : null,
    lifetimes: lifetimesOf(config.ttl ?? 30, settings.introspection_cache_ttl_without_exp),
    verification: { verifyTimes: true, leewayMs: 0 },
    authorization: NO_RULES,
    consumer: CONSUMER_MAPPINGS[config.consumer_by],
    projection: new HeaderProjection({ claimHeaders: claimHeaders(config), encode: encodePlain, maxValueBytes: MAX_HEADER_VALUE }),
    credential,
    hideCredentials: config.hide_credentials ?? true,
    denials: new Denials(DENIALS),
  }
}

/** Names of the configured headers that are never sent. */
export function ignoredHeaders(config: Config): readonly string[] {
  return Object.keys(config.custom_introspection_headers).filter((name) => FRAMING_HEADERS.has(name.toLowerCase()))
}

/** Every X-Credential-* header that a configuration writes. */
export function credentialHeaderNames(config: Config): readonly string[] {
  return claimHeaders(config).map(({ name }) => name)
}

function sentHeaders(config: Config): readonly (readonly [string, string])[] {
  return withHeaders([['Authorization', config.authorization_value]], Object.entries(config.custom_introspection_headers))
}

function createCall(config: Config, headers: readonly (readonly [string, string])[]): IntrospectionCall {
  const { introspection_url: endpoint, token_type_hint, introspect_request } = config
  const asking = (token: string, all: Pairs) => introspectionRequest({ endpoint, token, token_type_hint, headers: all })
  let usual: HttpRequest | null = null
  return {
    server: serverOf(endpoint),
    timeoutMs: config.timeout ?? 10_000,
    keepaliveMs: config.keepalive ?? 60_000,
    verifyTls: true,
    request(token, about) {
      if (introspect_request) return toHttpRequest(asking(token, withHeaders(headers, requestHeaders(about))))
      // Only the body differs from token to token.
      usual ??= toHttpRequest(asking('', headers))
      return { ...usual, body: encodeForm(asking(token, NO_HEADERS).form) }
    },
    interpret: interpretIntrospection,
  }
}

const NO_HEADERS: Pairs = []

/** What the caller asks the gateway for. Nothing else of its request reaches the endpoint. */
function requestHeaders({ method, rawPath }: IntrospectedRequest): readonly (readonly [string, string])[] {
  return [
    ['X-Request-Path', rawPath],
    ['X-Request-Http-Method', method.toUpperCase()],
  ]
}

/** `ttl` 0 sets no limit of its own: `exp` ends an answer, and one without `exp` lives for a time that is a setting of the gateway. */
function lifetimesOf(ttlS: number, withoutExpS: number): Lifetimes {
  if (ttlS === 0) return { withoutExpS, minS: 0, maxS: Number.POSITIVE_INFINITY, negativeS: NEGATIVE_TTL_S, staleS: 0 }
  return { withoutExpS: ttlS, minS: 0, maxS: ttlS, negativeS: Math.min(NEGATIVE_TTL_S, ttlS), staleS: 0 }
}

/** `client_id` is compared with `custom_id`, by its decimal text where it is a number. A token that names nobody is good all the same. */
const CONSUMER_MAPPINGS: Readonly<Record<Config['consumer_by'], ConsumerMapping>> = {
  username: { claims: [['username']], by: ['username'], ignoreUsernameCase: false, accepts: new Set(['string']), optional: true },
  client_id: {
    claims: [['client_id']],
    by: ['custom_id'],
    ignoreUsernameCase: false,
    accepts: new Set(['string', 'number']),
    optional: true,
  },
}

function claimHeaders(config: Config): readonly ClaimHeader[] {
  const headers: ClaimHeader[] = CREDENTIAL_HEADERS.map(([name, member]) => ({ name, path: [member] }))
  const taken = new Set(headers.map(({ name }) => spelling(name)))
  const added = new Set<string>()
  for (const member of config.custom_claims_forward) {
    const name = `X-Credential-${member.replace(/[^!#$%&'*+\-.^_`|~0-9A-Za-z]/gu, '-')}`
    if (taken.has(spelling(name)) || added.has(name.toLowerCase())) continue
    added.add(name.toLowerCase())
    headers.push({ name, path: [member] })
  }
  return headers
}

/** What a server may take for the same name. */
function spelling(name: string): string {
  return dashedName(name.toLowerCase())
}

/** The virtual credential: its id tells tokens apart without being one. */
function credential({ username, client_id, scope }: JsonObject, tokenDigest: string) {
  return { id: tokenDigest, username, client_id, scope }
}

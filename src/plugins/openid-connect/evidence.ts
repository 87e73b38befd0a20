/**
 * What a flow found out about who asks, and all that follows from it alone: made once for each token and used by every request with it. It holds no token of
 * the caller; tokens that the gateway itself obtained may be among its header lines.
 */
import { HeaderLines } from '../../http/headers.ts'
import { type ClaimPath, claimInFirst, claimValues } from '../../introspection/authorization.ts'
import { type ClaimHeader, encodeBase64Json, HeaderProjection } from '../../introspection/header-projection.ts'
import type { JsonObject, JsonValue } from '../../oauth/json.ts'
import { type PublicJwk, publicJwk } from '../../oauth/jwks.ts'
import type { CredentialNames } from '../../plugin/credential-names.ts'
import type { Log } from '../../telemetry/log.ts'
import { credentialHeaders } from './credentials.ts'
import type { Config } from './schema.ts'

/** What a flow brings; null for what there is not. */
export interface Facts {
  /** Members of the introspection answer. */
  readonly introspection?: JsonObject | null
  /** The signed answer as received, or the JWT in its member `jwt`. */
  readonly introspectionJwt?: string | null
  /** Claims of the JWT in its member `jwt`, verified. */
  readonly embedded?: JsonObject | null
  readonly accessToken?: JsonObject | null
  readonly accessTokenJwk?: PublicJwk | null
  readonly idToken?: JsonObject | null
  readonly idTokenJwk?: PublicJwk | null
  /** As granted: claims for authorization where the access token itself says nothing. */
  readonly granted?: JsonObject | null
  /** Tokens that the gateway obtained. */
  readonly obtainedIdToken?: string | null
  readonly obtainedRefreshToken?: string | null
}

/** Immutable; shared by all requests with one token. */
export interface Evidence {
  /** Where claims are looked for, for consumer, credential, groups and headers; the first that has one decides. */
  readonly sources: readonly JsonObject[]
  /** The same for what a token must bring: only what the token itself says. */
  readonly ruleSources: readonly JsonObject[]
  readonly credential: { readonly id: string } | null
  readonly groups: readonly string[] | null
  readonly upstream: HeaderLines
  /** Header lines for the caller, flat. */
  readonly downstream: readonly string[]
}

/** Bytes of the longest value that is sent in a header. */
const MAX_HEADER_VALUE = 16_384

/** A header that carries a token, with a scheme in front where one is named. */
export interface TokenHeader {
  readonly name: string
  /** `Bearer `, or ''. */
  readonly prefix: string
}

/** Reads `name` or `name:scheme`; the scheme begins with a capital. */
export function tokenHeader(setting: string | null): TokenHeader | null {
  if (setting === null || setting === '') return null
  const colon = setting.indexOf(':')
  const name = colon === -1 ? setting : setting.slice(0, colon)
  const scheme = colon === -1 ? '' : setting.slice(colon + 1)
  return {
    name: name.toLowerCase() === 'authorization' ? 'Authorization' : name,
    prefix: scheme === '' ? '' : `${scheme[0]?.toUpperCase()}${scheme.slice(1)} `,
  }
}

/** What a field of one direction is called; the fields of both directions have the same names behind it. */
type Direction = 'upstream' | 'downstream'

/** Every header name that a configuration writes upstream, as configured, without a scheme. */
function upstreamHeaderNames(config: Config): readonly string[] {
  const tokens = [config.upstream_access_token_header, config.upstream_id_token_header, config.upstream_refresh_token_header]
  const values = [
    config.upstream_access_token_jwk_header,
    config.upstream_id_token_jwk_header,
    config.upstream_introspection_header,
    config.upstream_introspection_jwt_header,
  ]
  const claims = claimHeaders(config, 'upstream').map(({ name }) => name)
  return [
    ...tokens.flatMap((setting) => tokenHeader(setting)?.name ?? []),
    ...values.flatMap((name) => (name === null || name === '' ? [] : [name])),
    ...claims,
  ]
}

/** Where tokens stand in requests, in those that go upstream, and in answers. */
export function credentialNames(config: Config): CredentialNames {
  const parameters = [config.id_token_param_name, config.refresh_token_param_name]
  const written = DIRECTIONS.flatMap((direction) => [
    config[`${direction}_access_token_header`],
    config[`${direction}_id_token_header`],
    config[`${direction}_refresh_token_header`],
    config[`${direction}_introspection_jwt_header`],
    config[`${direction}_user_info_jwt_header`],
    config[`${direction}_session_id_header`],
  ]).map((setting) => tokenHeader(setting)?.name)
  const present = (names: readonly (string | null | undefined)[]) => names.flatMap((name) => (name == null || name === '' ? [] : [name]))
  return { headers: [...credentialHeaders(config), ...present([...parameters, ...written])], arguments: present(parameters) }
}

const DIRECTIONS: readonly Direction[] = ['upstream', 'downstream']

/** Those of them whose copies in a caller's request can be removed before credentials have been looked for. */
export function identityHeaderNames(config: Config): readonly string[] {
  const needed = credentialHeaders(config)
  return upstreamHeaderNames(config).filter((name) => !needed.has(name.toLowerCase()))
}

/** Deprecated lists first, then the mappings; a later header of the same name wins. */
function claimHeaders(config: Config, direction: Direction): readonly ClaimHeader[] {
  const names = config[`${direction}_headers_names`] ?? []
  const claims = config[`${direction}_headers_claims`] ?? []
  const listed = names.flatMap((name, index) => (claims[index] === undefined ? [] : [{ name, path: [claims[index]] }]))
  return [...listed, ...(config[`${direction}_headers`] ?? []).map(({ header, path }) => ({ name: header, path }))]
}

/** Makes evidence for one configuration. */
export class EvidenceMaker {
  /** Writes the headers for the upstream. */
  readonly projection: HeaderProjection
  readonly #config: Config
  readonly #forCaller: HeaderProjection
  readonly #credentialClaim: ClaimPath
  readonly #groupsClaim: ClaimPath | null
  readonly #log: Log

  constructor(config: Config, log: Log) {
    this.#config = config
    this.#log = log
    this.#credentialClaim = config.credential_claim ?? []
    this.#groupsClaim = config.authenticated_groups_claim
    // The caller's Authorization is its credential, and stays where it is not replaced.
    const alsoCleared = upstreamHeaderNames(config).filter((name) => name.toLowerCase() !== 'authorization')
    const rules = { encode: encodeBase64Json, maxValueBytes: MAX_HEADER_VALUE }
    this.projection = new HeaderProjection({ ...rules, claimHeaders: claimHeaders(config, 'upstream'), alsoCleared })
    this.#forCaller = new HeaderProjection({ ...rules, claimHeaders: claimHeaders(config, 'downstream') })
  }

  /** @param facts what the flow found out */
  make(facts: Facts): Evidence {
    const ruleSources = present([facts.introspection, facts.embedded, facts.accessToken, facts.granted])
    const sources = present([facts.introspection, facts.embedded, facts.accessToken, facts.idToken])
    const groups = this.#groupsClaim === null ? undefined : claimInFirst(sources, this.#groupsClaim)
    return {
      sources,
      ruleSources,
      credential: credentialOf(claimInFirst(sources, this.#credentialClaim)),
      groups: groups === undefined ? null : claimValues(groups),
      upstream: new HeaderLines(this.#linesFor('upstream', this.projection, sources, facts)),
      downstream: this.#linesFor('downstream', this.#forCaller, sources, facts),
    }
  }

  #linesFor(direction: Direction, projection: HeaderProjection, sources: readonly JsonObject[], facts: Facts): readonly string[] {
    const lines: string[] = []
    const config = this.#config
    const add = (name: string | null, value: string | null | undefined): void => {
      if (name === null || name === '' || value == null) return
      if (value.length > MAX_HEADER_VALUE) this.#warn(name)
      else lines.push(name, value)
    }
    const addToken = (setting: string | null, token: string | null | undefined): void => {
      const header = tokenHeader(setting)
      if (header !== null && token != null) add(header.name, `${header.prefix}${token}`)
    }
    addToken(config[`${direction}_id_token_header`], facts.obtainedIdToken)
    addToken(config[`${direction}_refresh_token_header`], facts.obtainedRefreshToken)
    add(config[`${direction}_access_token_jwk_header`], jwkText(facts.accessTokenJwk))
    add(config[`${direction}_id_token_jwk_header`], jwkText(facts.idTokenJwk))
    add(config[`${direction}_introspection_header`], encodeBase64Json(facts.introspection ?? null))
    add(config[`${direction}_introspection_jwt_header`], facts.introspectionJwt)
    return lastOfEach([...lines, ...projection.prepare(sources, (name) => this.#warn(name))])
  }

  #warn(header: string): void {
    this.#log.warn('a value is too long for a header and is not sent', { plugin: 'openid-connect', header })
  }
}

function present(sources: readonly (JsonObject | null | undefined)[]): readonly JsonObject[] {
  return sources.filter((source) => source != null)
}

function credentialOf(claim: JsonValue | undefined): { readonly id: string } | null {
  if (typeof claim === 'string') return claim === '' ? null : { id: claim }
  return typeof claim === 'number' || typeof claim === 'boolean' ? { id: String(claim) } : null
}

function jwkText(jwk: PublicJwk | null | undefined): string | null {
  const published = jwk == null ? null : publicJwk(jwk)
  return encodeBase64Json(published)
}

/** Of lines with the same name only the last, in place of the first. */
function lastOfEach(lines: readonly string[]): readonly string[] {
  const kept = new Map<string, readonly [string, string]>()
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const name = lines[i] as string
    kept.set(name.toLowerCase(), [name, lines[i + 1] as string])
  }
  return [...kept.values()].flat()
}

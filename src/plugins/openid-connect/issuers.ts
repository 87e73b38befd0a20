/**
 * What is known of a provider: its metadata and its keys. One {@link Issuer} for all configurations of a process that would fetch the same from the same
 * place; what one worker fetched, the others take over through the database.
 *
 *   nothing known ──attempt──▶ known ──older than its lifetime, or a token with an unknown key──▶ attempt ──▶ known
 *         ▲                      │ deleted by the Admin API
 *         └──────────────────────┘
 *
 * Invariants:
 *   1. There is one attempt at a time; whoever needs it shares it. Nobody waits for one while data is at hand that will do.
 *   2. After an attempt there is none for the configured time, after a failed one for at most {@link RETRY_S}: neither a flood of made-up key identifiers nor
 *      a dead provider makes a flood of calls.
 *   3. A part that could not be fetched stays as it was. Data is never dropped because the provider fails.
 *   4. Nothing here is a secret: metadata and public keys only.
 */
import { hash } from 'node:crypto'
import type { Pairs } from '../../oauth/form.ts'
import type { HttpClient } from '../../oauth/http.ts'
import { isJsonObject, type JsonValue, parseJsonObject, textOf } from '../../oauth/json.ts'
import { concatenateJwkSets, createJwkSet, fetchJwks, type JwkSet } from '../../oauth/jwks.ts'
import { fetchMetadata, normaliseIssuer, readMetadata, type ServerMetadata } from '../../oauth/metadata.ts'
import type { PluginObjects } from '../../plugin/kit.ts'
import type { JsonObject } from '../../schema/validate.ts'
import type { Log } from '../../telemetry/log.ts'
import { errorText } from '../../util/errors.ts'
import type { Soon } from './soon.ts'

/** Kind of the shared objects. */
export const ISSUERS = 'issuers'
/** Seconds after a failed attempt until the next one. */
const RETRY_S = 5
/** Milliseconds within which what was published has come back from the database. */
const PUBLICATION_MS = 2000
/** Characters of the largest object that goes to the database and all workers; larger ones stay in this worker. */
const MAX_SHARED_LENGTH = 524_288

/** Where metadata and keys come from. Equal sources share what they bring. */
export interface IssuerSource {
  /** As configured. */
  readonly issuer: string
  /** False: the issuer is a mere label, nothing is fetched from it. */
  readonly discovers: boolean
  /** In place of the address in the metadata. */
  readonly jwksEndpoint: string | null
  readonly extraJwksUris: readonly string[]
  /** Added to all requests. */
  readonly headers: Pairs
  readonly verifyTls: boolean
}

/** How one configuration uses it. */
export interface IssuerPolicy {
  readonly http: HttpClient
  /** Seconds between two attempts. */
  readonly rediscoveryS: number
  /** Seconds after which data is refreshed in the background. */
  readonly lifetimeS: number
}

/** Immutable; a new attempt brings a new one. */
export interface IssuerData {
  /** What `iss` is compared with. */
  readonly issuer: string
  /** Null: there is no discovery, or it has not succeeded. */
  readonly metadata: ServerMetadata | null
  /** Null: no key set has been fetched. */
  readonly keys: JwkSet | null
  readonly fetchedAtMs: number
}

/** What the gateway lends. */
export interface IssuerKit {
  readonly log: Log
  readonly now: () => number
  readonly objects: PluginObjects
}

/** All providers of a process. */
export class Issuers {
  readonly #kit: IssuerKit
  readonly #issuers = new Map<string, { readonly issuer: Issuer; users: number }>()

  constructor(kit: IssuerKit) {
    this.#kit = kit
  }

  /** The one for this source; `release` it when the configuration is gone. */
  acquire(source: IssuerSource): Issuer {
    const key = objectKeyOf(source)
    const known = this.#issuers.get(key) ?? { issuer: new Issuer(source, key, this.#kit), users: 0 }
    known.users++
    this.#issuers.set(key, known)
    return known.issuer
  }

  release(issuer: Issuer): void {
    const known = this.#issuers.get(issuer.key)
    if (known !== undefined && --known.users === 0) this.#issuers.delete(issuer.key)
  }
}

/** Metadata and the sets of keys by address, as far as they could be fetched. */
interface Parts {
  readonly metadata: ServerMetadata | null
  readonly sets: ReadonlyMap<string, JwkSet>
}

/** One provider. Made by {@link Issuers.acquire}. */
export class Issuer {
  /** Key of the shared object. */
  readonly key: string
  readonly #source: IssuerSource
  readonly #kit: IssuerKit
  #parts: Parts = NOTHING
  #data: IssuerData | null = null
  #attempt: Promise<void> | null = null
  #attemptedAtMs = Number.NEGATIVE_INFINITY
  #failed = false
  #tried = false
  /** The shared object as last seen, and whether it has come back from the database: only then its absence means that it was deleted. */
  #shared: JsonObject | undefined
  #confirmed = false
  #sharedText = ''

  constructor(source: IssuerSource, key: string, kit: IssuerKit) {
    this.#source = source
    this.key = key
    this.#kit = kit
  }

  /** The issuer to expect while nothing is known. */
  get label(): string {
    return labelOf(this.#source)
  }

  /** True when the last attempt failed in some part. */
  get failed(): boolean {
    return this.#failed
  }

  /** Begins a first attempt in the background where nothing is known: the first request need not wait, and a wrong address is in the log at once. */
  prepare(policy: IssuerPolicy): void {
    if (this.current(policy) === null && this.#attempt === null && this.#mayAttempt(policy)) void this.#begin(policy)
  }

  /** What is known now. Old data is refreshed in the background. */
  current(policy: IssuerPolicy): IssuerData | null {
    this.#takeOver(policy)
    const data = this.#data
    if (
      data !== null &&
      this.#kit.now() - data.fetchedAtMs >= policy.lifetimeS * 1000 &&
      this.#attempt === null &&
      this.#mayAttempt(policy)
    ) {
      void this.#begin(policy)
    }
    return data
  }

  /** What is known, after a first attempt where nothing is. Null when the provider cannot be reached. */
  known(policy: IssuerPolicy): Soon<IssuerData | null> {
    return this.current(policy) ?? this.#after(policy)
  }

  /** For those who can do without: waits for the very first attempt only. */
  atHand(policy: IssuerPolicy): Soon<IssuerData | null> {
    const data = this.current(policy)
    if (data !== null || !this.#tried) return data ?? this.#after(policy)
    this.prepare(policy)
    return null
  }

  /** What is known once it is newer than `data`, which did not do; null when there is nothing newer to be had now. */
  newerThan(data: IssuerData | null, policy: IssuerPolicy): Soon<IssuerData | null> {
    const known = this.current(policy)
    if (known !== data) return known
    const attempted = this.#after(policy)
    return attempted instanceof Promise ? attempted.then((late) => (late === data ? null : late)) : null
  }

  /** Seconds until an attempt may be made, at least 1. */
  retryAfterS(policy: IssuerPolicy): number {
    const waitMs = this.#attemptedAtMs + this.#pauseMs(policy) - this.#kit.now()
    return Math.min(Math.max(1, Math.ceil(waitMs / 1000)), RETRY_S)
  }

  #after(policy: IssuerPolicy): Soon<IssuerData | null> {
    if (this.#attempt === null && !this.#mayAttempt(policy)) return this.#data
    return (this.#attempt ?? this.#begin(policy)).then(() => this.#data)
  }

  #mayAttempt(policy: IssuerPolicy): boolean {
    const elapsedMs = this.#kit.now() - this.#attemptedAtMs
    return elapsedMs < 0 || elapsedMs >= this.#pauseMs(policy)
  }

  #pauseMs({ rediscoveryS }: IssuerPolicy): number {
    return (this.#failed ? Math.min(RETRY_S, rediscoveryS) : rediscoveryS) * 1000
  }

  /** Never rejects. */
  #begin(policy: IssuerPolicy): Promise<void> {
    this.#attemptedAtMs = this.#kit.now()
    const attempt = this.#fetch(policy).finally(() => {
      if (this.#attempt === attempt) this.#attempt = null
    })
    this.#attempt = attempt
    return attempt
  }

  async #fetch(policy: IssuerPolicy): Promise<void> {
    const { jwksEndpoint, extraJwksUris } = this.#source
    const failures: string[] = []
    const metadata = await this.#fetchMetadata(policy, failures)
    const primary = jwksEndpoint ?? metadata?.jwks_uri
    const uris = [...new Set([...(primary === undefined ? [] : [primary]), ...extraJwksUris])]
    const fetched = await Promise.allSettled(uris.map((uri) => fetchJwks(policy.http, uri, this.#source.headers)))
    const sets = new Map<string, JwkSet>()
    for (const [index, uri] of uris.entries()) {
      const result = fetched[index] as PromiseSettledResult<JwkSet>
      const set = result.status === 'fulfilled' ? result.value : this.#parts.sets.get(uri)
      if (set !== undefined) sets.set(uri, set)
      if (result.status === 'fulfilled') continue
      // A further set that fails must not make the others look broken.
      if (uri === primary || primary === undefined) failures.push(errorText(result.reason))
      this.#kit.log.warn('a key set could not be fetched', this.#about({ reason: errorText(result.reason) }))
    }
    this.#failed = failures.length > 0
    this.#tried = true
    this.#attemptedAtMs = this.#kit.now()
    if (metadata === null && sets.size === 0) return failures.length > 0 ? this.#shareFailure() : undefined
    this.#keep({ metadata, sets }, this.#kit.now())
    this.#share(policy)
  }

  async #fetchMetadata(policy: IssuerPolicy, failures: string[]): Promise<ServerMetadata | null> {
    const { discovers, issuer, headers } = this.#source
    if (!discovers) return null
    try {
      const { metadata, issuerDiffers } = await fetchMetadata(policy.http, issuer, headers)
      if (issuerDiffers) this.#kit.log.warn('the discovery document names another issuer than the configuration', this.#about())
      return metadata
    } catch (error) {
      failures.push(errorText(error))
      this.#kit.log.error('discovery failed', this.#about({ reason: errorText(error) }))
      return this.#parts.metadata
    }
  }

  #about(members: { readonly reason?: string } = {}) {
    return { plugin: 'openid-connect', issuer: withoutQuery(this.label), ...members }
  }

  #keep(parts: Parts, fetchedAtMs: number): void {
    this.#parts = parts
    const keys = parts.sets.size === 0 ? null : concatenateJwkSets([...parts.sets.values()])
    this.#data = { issuer: parts.metadata?.issuer ?? this.label, metadata: parts.metadata, keys, fetchedAtMs }
  }

  // ------------------------------------------------------------------------------------------------------------------------ between workers

  /** Looks at the shared object: newer data is taken over, and data that was deleted is forgotten. */
  #takeOver(policy: IssuerPolicy): void {
    const shared = this.#kit.objects.find(ISSUERS, this.key)
    if (shared === this.#shared) return
    this.#shared = shared
    if (shared === undefined) return this.#missing(policy)
    this.#confirmed = true
    const fetchedAtMs = shared['fetched_at_ms']
    if (typeof fetchedAtMs !== 'number' || fetchedAtMs <= (this.#data?.fetchedAtMs ?? Number.NEGATIVE_INFINITY)) return
    // A peer's clock may be ahead; its data must not keep ours from being refreshed.
    this.#keep(partsOf(shared), Math.min(fetchedAtMs, this.#kit.now()))
    this.#sharedText = textOfShared(shared)
  }

  /** Deleted by the Admin API; or this configuration was put together before the publication arrived, and then there is no reason to drop anything. */
  #missing(policy: IssuerPolicy): void {
    if (this.#data === null) return
    if (this.#confirmed || this.#kit.now() - this.#data.fetchedAtMs > PUBLICATION_MS) return this.#forget()
    if (this.#attempt === null) void this.#begin(policy)
  }

  #forget(): void {
    this.#confirmed = false
    this.#sharedText = ''
    this.#parts = NOTHING
    this.#data = null
    this.#attempt = null
    this.#tried = false
    this.#attemptedAtMs = Number.NEGATIVE_INFINITY
  }

  /** Says what was fetched where it is new, or what is shared is old. */
  #share({ lifetimeS }: IssuerPolicy): void {
    const { metadata, sets } = this.#parts
    const content = {
      issuer: this.label,
      configuration: metadata?.document ?? {},
      key_sets: [...sets].map(([uri, { keys }]) => ({ uri, keys })),
    }
    const value = { ...content, fetched_at_ms: this.#kit.now() }
    const text = textOfShared(content)
    const sharedAtMs = this.#shared?.['fetched_at_ms']
    const isFresh = typeof sharedAtMs === 'number' && this.#kit.now() - sharedAtMs < lifetimeS * 500
    if (text === this.#sharedText && isFresh) return
    if (text.length > MAX_SHARED_LENGTH) {
      this.#kit.log.warn('metadata and keys are too large to be shared between workers', this.#about())
      return
    }
    this.#publish(value)
    this.#sharedText = text
  }

  /** A provider that has never answered is listed without content. */
  #shareFailure(): void {
    if (this.#data === null && this.#kit.objects.find(ISSUERS, this.key) === undefined) this.#publish({ issuer: this.label })
  }

  #publish(value: JsonObject): void {
    this.#kit.objects.publish(ISSUERS, this.key, value)
    // Seen without having come back.
    this.#shared = this.#kit.objects.find(ISSUERS, this.key)
  }
}

const NOTHING: Parts = { metadata: null, sets: new Map() }

function labelOf({ issuer, discovers }: IssuerSource): string {
  return discovers ? normaliseIssuer(issuer) : issuer
}

/** The issuer, followed by a digest where more than the issuer decides what is fetched. Headers may be secret, so that only the digest shows them. */
function objectKeyOf(source: IssuerSource): string {
  const { issuer, discovers, jwksEndpoint, extraJwksUris, headers, verifyTls } = source
  const label = labelOf(source)
  // The well-known address itself is asked first where it is what was configured.
  const asked = discovers && /\/\.well-known\//.test(issuer) ? issuer : ''
  if (asked === '' && discovers && jwksEndpoint === null && extraJwksUris.length === 0 && headers.length === 0 && verifyTls) return label
  return `${label} ${hash('sha256', JSON.stringify([asked, discovers, jwksEndpoint, extraJwksUris, headers, verifyTls]), 'base64url')}`
}

function withoutQuery(issuer: string): string {
  return issuer.split(/[?#]/, 1)[0] ?? ''
}

function partsOf(shared: JsonObject): Parts {
  const { configuration, key_sets } = parseJsonObject(JSON.stringify(shared)) ?? {}
  const metadata = isJsonObject(configuration) ? readMetadata(configuration) : null
  const sets = new Map<string, JwkSet>()
  for (const item of Array.isArray(key_sets) ? (key_sets as readonly JsonValue[]) : []) {
    if (!isJsonObject(item)) continue
    const { uri, keys } = item
    const address = textOf(uri)
    if (address !== undefined && Array.isArray(keys)) sets.set(address, createJwkSet(keys))
  }
  return { metadata: metadata !== null && Object.keys(metadata.document).length > 0 ? metadata : null, sets }
}

function textOfShared({ configuration, key_sets }: JsonObject): string {
  return JSON.stringify([configuration, key_sets])
}

/**
 * Tokens that the token endpoint granted, for a whole process. Configurations with the same salt share a store; it goes with the last of them. A
 * configuration that is made anew without any change means that the operator empties the caches, and then its store is emptied too.
 */
import { Cache, type CacheSpace } from '../../../cache/cache.ts'
import type { FailedAnswer } from '../../../introspection/answer.ts'
import type { GrantedTokens } from '../../../oauth/token.ts'
import type { PluginSettings } from '../../../plugin/kit.ts'
import type { RefusedJwt, VerifiedJwt } from '../token-verifier.ts'

/** What credentials have brought. Only `granted` is ever stored. */
export type Obtained =
  | { readonly kind: 'granted'; readonly tokens: GrantedTokens; readonly idToken: VerifiedJwt | null }
  /** `providerError`: the provider's words, cleaned. */
  | { readonly kind: 'refused'; readonly providerError: string | undefined }
  | { readonly kind: 'bad-id-token'; readonly reason: RefusedJwt['reason'] }
  | FailedAnswer

/** Bytes of all tokens together. */
const MAX_BYTES = 33_554_432

/** One configuration's part in a store. */
export interface TokenStore {
  readonly space: CacheSpace<Obtained>
  readonly salt: string
  readonly owner: string
  readonly digest: string
}

/** The stores by salt; they share one bound in number and bytes. */
export class TokenStores {
  readonly #cache: Cache<Obtained>
  readonly #spaces = new Map<string, { readonly space: CacheSpace<Obtained>; users: number }>()
  readonly #latest = new Map<string, TokenStore>()

  constructor(settings: PluginSettings, now: () => number) {
    const maxEntries = settings.introspection_cache_max_entries
    this.#cache = new Cache({ maxEntries, maxBytes: MAX_BYTES, maxNegativeEntries: 1, now })
  }

  /**
   * The store for a salt; `release` it when the configuration is gone.
   *
   * @param owner  id of the configuration
   * @param digest of the configuration's content
   */
  acquire(salt: string, owner: string, digest: string): TokenStore {
    const known = this.#spaces.get(salt) ?? { space: this.#cache.space(), users: 0 }
    known.users++
    this.#spaces.set(salt, known)
    if (this.#latest.get(owner)?.digest === digest) known.space.invalidateAll()
    const store = { space: known.space, salt, owner, digest }
    this.#latest.set(owner, store)
    return store
  }

  release(store: TokenStore): void {
    if (this.#latest.get(store.owner) === store) this.#latest.delete(store.owner)
    const known = this.#spaces.get(store.salt)
    if (known === undefined || --known.users > 0) return
    known.space.close()
    this.#spaces.delete(store.salt)
  }
}

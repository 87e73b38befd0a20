/** Entries kept at most; the oldest is dropped first. */
const MAX_ENTRIES = 100_000

type Payload = Record<string, unknown>
type Entry = { payload: Payload; endsAtMs: number }

/** What oidc-provider asks of the storage of one model. */
export type Adapter = {
  upsert(id: string, payload: Payload, expiresInS?: number): Promise<void>
  find(id: string): Promise<Payload | undefined>
  findByUid(uid: string): Promise<Payload | undefined>
  findByUserCode(userCode: string): Promise<Payload | undefined>
  consume(id: string): Promise<void>
  destroy(id: string): Promise<void>
  revokeByGrantId(grantId: string): Promise<void>
}

/**
 * Everything the authorization server remembers (clients, tokens, grants), in memory. It outlives the oidc-provider instance, which
 * is replaced when the signing keys are rotated.
 */
export class TokenStore {
  readonly #entries = new Map<string, Entry>()
  readonly #keysByGrant = new Map<string, Set<string>>()

  /** The storage of one model (`AccessToken`, `Grant`, `Client`, …). */
  adapter(model: string): Adapter {
    const keyOf = (id: string) => `${model}:${id}`
    return {
      upsert: async (id, payload, expiresInS) => this.#put(keyOf(id), payload, expiresInS),
      find: async (id) => this.#live(keyOf(id))?.payload,
      findByUid: async (uid) => this.#search(model, 'uid', uid),
      findByUserCode: async (userCode) => this.#search(model, 'userCode', userCode),
      consume: async (id) => {
        const entry = this.#live(keyOf(id))
        if (entry !== undefined) entry.payload['consumed'] = Math.floor(Date.now() / 1000)
      },
      destroy: async (id) => this.#remove(keyOf(id)),
      revokeByGrantId: async (grantId) => {
        for (const key of this.#keysByGrant.get(grantId) ?? []) if (key.startsWith(keyOf(''))) this.#remove(key)
      },
    }
  }

  #put(key: string, payload: Payload, expiresInS: number | undefined): void {
    this.#remove(key)
    const oldest = this.#entries.keys().next().value
    if (this.#entries.size >= MAX_ENTRIES && oldest !== undefined) this.#remove(oldest)
    this.#entries.set(key, { payload, endsAtMs: expiresInS === undefined ? Number.POSITIVE_INFINITY : Date.now() + expiresInS * 1000 })
    const grantId = payload['grantId']
    if (typeof grantId !== 'string') return
    const keys = this.#keysByGrant.get(grantId) ?? new Set()
    this.#keysByGrant.set(grantId, keys.add(key))
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.endsAtMs > Date.now()) return entry
    this.#remove(key)
    return undefined
  }

  #search(model: string, member: string, value: string): Payload | undefined {
    for (const [key, { payload }] of this.#entries) {
      if (key.startsWith(`${model}:`) && payload[member] === value) return this.#live(key)?.payload
    }
    return undefined
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    const grantId = entry.payload['grantId']
    if (typeof grantId !== 'string') return
    const keys = this.#keysByGrant.get(grantId)
    keys?.delete(key)
    if (keys?.size === 0) this.#keysByGrant.delete(grantId)
  }
}

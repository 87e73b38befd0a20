/** Admin API of the plugin: what is known of providers, and the keys that the gateway makes for itself (Kong's paths). */
import { withoutSlash } from '../../oauth/claims.ts'
import { isJsonObject, type JsonObject, type JsonValue, parseJsonObject } from '../../oauth/json.ts'
import { generateSigningJwks, publicJwk, publicJwks } from '../../oauth/jwks.ts'
import type { AdminAnswer, AdminRoute, KeptObject, PluginAdmin, PluginAdminKit } from '../../plugin/admin-route.ts'
import { ISSUERS } from './issuers.ts'
import { CURRENT, JWKS, keysOf, PREVIOUS } from './own-keys.ts'

const NOT_FOUND: AdminAnswer = { status: 404, body: { message: 'Not found' } }
const NO_CONTENT: AdminAnswer = { status: 204 }

const admin: PluginAdmin = {
  /** Makes the keys at the first start: one for each algorithm takes about half a second on two cores, the RSA ones nearly all of it. */
  async prepare(kit) {
    if ((await kit.get(JWKS, CURRENT)) === null) await kit.put(JWKS, CURRENT, { keys: await generateSigningJwks() })
  },
  routes: (kit) => [...issuerRoutes(kit), ...keyRoutes(kit)],
}

export default admin

function issuerRoutes(kit: PluginAdminKit): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/openid-connect/issuers',
      handle: async () => ({ status: 200, body: { data: (await kit.list(ISSUERS)).map(shownIssuer), next: null } }),
    },
    {
      method: 'DELETE',
      path: '/openid-connect/issuers',
      async handle() {
        await kit.delete(ISSUERS)
        return NO_CONTENT
      },
    },
    {
      method: 'GET',
      path: '/openid-connect/issuers/{issuers}',
      async handle({ params }) {
        const [found] = await findIssuers(kit, params['issuers'] ?? '')
        return found === undefined ? NOT_FOUND : { status: 200, body: shownIssuer(found) }
      },
    },
    {
      method: 'DELETE',
      path: '/openid-connect/issuers/{issuers}',
      async handle({ params }) {
        const found = await findIssuers(kit, params['issuers'] ?? '')
        for (const { key } of found) await kit.delete(ISSUERS, key)
        return found.length === 0 ? NOT_FOUND : NO_CONTENT
      },
    },
  ]
}

/** By id, or by the issuer: one issuer has several objects where configurations fetch different things from it. */
async function findIssuers(kit: PluginAdminKit, idOrIssuer: string): Promise<readonly KeptObject[]> {
  const all = await kit.list(ISSUERS)
  const byId = all.filter(({ id }) => id === idOrIssuer)
  return byId.length > 0 ? byId : all.filter(({ value }) => value['issuer'] === idOrIssuer || value['issuer'] === withoutSlash(idOrIssuer))
}

/** Member by member, so that nothing else can come out. An issuer that has never answered has an empty configuration. */
function shownIssuer({ id, created_at, value }: KeptObject) {
  const { issuer, configuration, key_sets } = parseJsonObject(JSON.stringify(value)) ?? {}
  return { id, issuer, created_at, configuration: isJsonObject(configuration) ? configuration : {}, keys: publicKeys(key_sets) }
}

function publicKeys(sets: JsonValue | undefined): readonly JsonObject[] {
  const items: readonly JsonValue[] = Array.isArray(sets) ? sets : []
  const keys = items.flatMap((set): readonly JsonValue[] => (isJsonObject(set) && Array.isArray(set['keys']) ? set['keys'] : []))
  return keys.flatMap((key) => (isJsonObject(key) ? (publicJwk(key) ?? []) : []))
}

function keyRoutes(kit: PluginAdminKit): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/openid-connect/jwks',
      async handle() {
        const keys = [...(await ownKeys(kit, CURRENT)), ...(await ownKeys(kit, PREVIOUS))]
        if (keys.length === 0) return NOT_FOUND
        return { status: 200, body: publicJwks(keys.map((jwk) => ({ jwk }))), headers: { 'Content-Type': 'application/jwk-set+json' } }
      },
    },
    {
      method: 'DELETE',
      path: '/openid-connect/jwks',
      /** Rotates: what signed until now stays published, so that assertions under way can be verified. */
      async handle() {
        const keys = await generateSigningJwks()
        const current = await kit.get(JWKS, CURRENT)
        if (current !== null) await kit.put(JWKS, PREVIOUS, current.value)
        await kit.put(JWKS, CURRENT, { keys })
        return NO_CONTENT
      },
    },
  ]
}

/** Private JWKs of a set: {@link publicJwks} stands between them and every answer. */
async function ownKeys(kit: PluginAdminKit, key: string): Promise<readonly JsonObject[]> {
  const kept = await kit.get(JWKS, key)
  return kept === null ? [] : keysOf(kept.value)
}

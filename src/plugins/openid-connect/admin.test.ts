import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdminAnswer, KeptObject, PluginAdminKit } from '../../plugin/admin-route.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { silentLog } from '../../telemetry/log.ts'
import admin from './admin.ts'
import { bearer, ISSUER, RSA, setUp, signed } from './provider.fixture.ts'

/** Objects in memory. */
function createKit() {
  const kept = new Map<string, KeptObject>()
  const ofKind = (kind: string) => [...kept].filter(([name]) => name.startsWith(`${kind}\n`))
  const kit: PluginAdminKit = {
    log: silentLog,
    list: async (kind) => ofKind(kind).map(([, object]) => object),
    get: async (kind, key) => kept.get(`${kind}\n${key}`) ?? null,
    async put(kind, key, value) {
      const object = { id: kept.get(`${kind}\n${key}`)?.id ?? crypto.randomUUID(), key, created_at: 7, value }
      kept.set(`${kind}\n${key}`, object)
      return object
    },
    async delete(kind, key) {
      const gone = ofKind(kind).filter(([, object]) => key === undefined || object.key === key)
      for (const [name] of gone) kept.delete(name)
      return gone.length
    },
  }
  const call = async (method: string, path: string, params: Record<string, string> = {}): Promise<AdminAnswer> => {
    const route = admin.routes(kit).find((one) => one.method === method && one.path === path)
    assert.ok(route !== undefined, `${method} ${path}`)
    return route.handle({ params, query: {}, body: {} })
  }
  return { kit, call }
}

/** What a worker publishes about a provider after a request. */
async function publishedIssuer(): Promise<JsonObject> {
  const it = setUp({ auth_methods: ['bearer'] })
  await it.send(bearer(await signed({ iss: ISSUER })))
  const object = it.world.objects.get(`issuers\n${ISSUER}`)
  assert.ok(object !== undefined)
  return object
}

const ISSUERS = '/openid-connect/issuers'
const ONE = '/openid-connect/issuers/{issuers}'
const JWKS = '/openid-connect/jwks'

test('a known provider is listed, and found by id and by issuer, with metadata and public keys', async () => {
  const { kit, call } = createKit()
  const { id } = await kit.put('issuers', ISSUER, await publishedIssuer())
  const expected = {
    id,
    issuer: ISSUER,
    created_at: 7,
    configuration: (await publishedIssuer())['configuration'],
  }
  const list = await call('GET', ISSUERS)
  const { data, next } = list.body as { data: { keys: { kid: string }[] }[]; next: null }
  assert.equal(next, null)
  const { keys, ...rest } = data[0] as { keys: { kid: string }[] }
  assert.equal(JSON.stringify(rest), JSON.stringify(expected))
  assert.deepEqual(
    keys.map(({ kid }) => kid),
    [RSA.kid],
  )
  for (const issuers of [id, ISSUER, `${ISSUER}/`]) {
    assert.equal(JSON.stringify((await call('GET', ONE, { issuers })).body), JSON.stringify(data[0]))
  }
})

test('a provider that never answered is listed with an empty configuration', async () => {
  const { kit, call } = createKit()
  const { id } = await kit.put('issuers', ISSUER, { issuer: ISSUER })
  assert.deepEqual((await call('GET', ONE, { issuers: id })).body, { id, issuer: ISSUER, created_at: 7, configuration: {}, keys: [] })
})

test('deleting takes one issuer with all its objects, or all; what is not there is 404', async () => {
  const { kit, call } = createKit()
  await kit.put('issuers', ISSUER, { issuer: ISSUER })
  await kit.put('issuers', `${ISSUER} digest`, { issuer: ISSUER })
  await kit.put('issuers', 'https://other.example', { issuer: 'https://other.example' })
  assert.deepEqual(await call('DELETE', ONE, { issuers: ISSUER }), { status: 204 })
  assert.deepEqual(await call('DELETE', ONE, { issuers: ISSUER }), { status: 404, body: { message: 'Not found' } })
  assert.equal((await call('GET', ONE, { issuers: 'nothing' })).status, 404)
  assert.equal((await kit.list('issuers')).length, 1)
  assert.deepEqual(await call('DELETE', ISSUERS), { status: 204 })
  assert.deepEqual((await call('GET', ISSUERS)).body, { data: [], next: null })
})

test('the first start makes a key for each algorithm, and later ones keep them', async () => {
  const { kit } = createKit()
  await admin.prepare?.(kit)
  const made = await kit.get('jwks', 'current')
  const keys = made?.value['keys'] as { alg: string; kid: string; use: string; d: string }[]
  assert.deepEqual(
    keys.map(({ alg }) => alg),
    ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
  )
  assert.equal(new Set(keys.map(({ kid }) => kid)).size, 10)
  await admin.prepare?.(kit)
  assert.equal((await kit.get('jwks', 'current'))?.value, made?.value)
})

test('only public members of the keys are shown, as a JWK set; without keys there is nothing', async () => {
  const { kit, call } = createKit()
  assert.equal((await call('GET', JWKS)).status, 404)
  await kit.put('jwks', 'current', { keys: [{ ...RSA, oth: 'x', k: 'y', secret: 'z' }] })
  const { body, headers } = await call('GET', JWKS)
  assert.equal(headers?.['Content-Type'], 'application/jwk-set+json')
  const [key] = (body as { keys: object[] }).keys
  assert.deepEqual(Object.keys(key ?? {}).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
})

test('rotation makes new keys and keeps publishing the ones before, until the next rotation', async () => {
  const { kit, call } = createKit()
  await kit.put('jwks', 'current', { keys: [RSA] })
  const kids = async () => ((await call('GET', JWKS)).body as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)
  assert.deepEqual(await call('DELETE', JWKS), { status: 204 })
  const second = await kids()
  assert.equal(second.length, 11)
  assert.equal(second.at(-1), RSA.kid)
  await call('DELETE', JWKS)
  const third = await kids()
  assert.equal(third.includes(RSA.kid), false)
  assert.deepEqual(third.slice(10), second.slice(0, 10))
})

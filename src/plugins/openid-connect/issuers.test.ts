import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publicJwks } from '../../oauth/jwks.ts'
import {
  bearer,
  createWorld,
  DISCOVERY,
  DOWN,
  EC,
  headerOf,
  ISSUER,
  JWKS_URI,
  OTHER_RSA,
  RSA,
  setUpFor,
  signed,
  statusOf,
} from './provider.fixture.ts'

const setUp = setUpFor('bearer')
const KEY = `issuers\n${ISSUER}`
let tokens = 0
/** A token that no one has seen yet. */
const fresh = (options: Parameters<typeof signed>[1] = {}) => signed({ iss: ISSUER, jti: String(++tokens) }, options)
const fetches = (world: ReturnType<typeof createWorld>) => world.requestsTo(JWKS_URI).length

test('an issuer with a slash at the end and one with the well-known suffix are discovered at the same address', async () => {
  for (const issuer of [ISSUER, `${ISSUER}/`, DISCOVERY]) {
    const it = setUp({ issuer })
    assert.equal(statusOf(await it.send(bearer(await fresh()))), 0)
    assert.equal(it.http.requests[0]?.url, DISCOVERY)
  }
})

test('after 404 the address of RFC 8414 is tried', async () => {
  const it = setUp()
  it.answer(DISCOVERY, { status: 404 })
  it.answer('https://idp.example/.well-known/oauth-authorization-server/realms/shop', { json: it.metadata })
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 0)
})

test('configuring waits for nothing: discovery begins beside it, unless there is no method that could need it', () => {
  assert.deepEqual(
    setUp().http.requests.map(({ url }) => url),
    [DISCOVERY],
  )
  assert.equal(setUp({ auth_methods: [] }).http.requests.length, 0)
})

test('a hundred tokens with made-up keys make one attempt in the configured time', async () => {
  const it = setUp()
  await it.send(bearer(await fresh()))
  for (let i = 0; i < 100; i++)
    assert.equal(statusOf(await it.send(bearer(await fresh({ key: OTHER_RSA, header: { kid: `k${i}` } })))), 401)
  assert.equal(fetches(it.world), 1)
  it.passS(30)
  for (let i = 0; i < 10; i++) await it.send(bearer(await fresh({ key: OTHER_RSA, header: { kid: `l${i}` } })))
  assert.equal(fetches(it.world), 2)
})

test('a new key is found by the first token that needs it, once the time has passed; at once where it is 0', async () => {
  const rotated = async (config: Record<string, unknown>, seconds: number) => {
    const it = setUp(config)
    await it.send(bearer(await fresh()))
    it.answer(JWKS_URI, { json: publicJwks([{ jwk: OTHER_RSA }]) })
    it.passS(seconds)
    return statusOf(await it.send(bearer(await fresh({ key: OTHER_RSA }))))
  }
  assert.equal(await rotated({}, 29), 401)
  assert.equal(await rotated({}, 30), 0)
  assert.equal(await rotated({ rediscovery_lifetime: 0 }, 0), 0)
})

test('a retired key stops to verify, also a token that was verified with it before', async () => {
  const it = setUp({ rediscovery_lifetime: 0 })
  const token = await fresh()
  assert.equal(statusOf(await it.send(bearer(token))), 0)
  it.answer(JWKS_URI, { json: publicJwks([{ jwk: OTHER_RSA }]) })
  assert.equal(statusOf(await it.send(bearer(await fresh({ key: OTHER_RSA })))), 0)
  assert.equal(statusOf(await it.send(bearer(token))), 401)
})

test('requests at the same time share one attempt', async () => {
  const it = setUp()
  it.http.hold()
  const all = await Promise.all(Array.from({ length: 20 }, () => fresh()))
  const sent = all.map((token) => it.send(bearer(token)))
  it.http.release()
  for (const context of await Promise.all(sent)) assert.equal(statusOf(context), 0)
  assert.equal(it.requestsTo(DISCOVERY).length, 1)
})

test('a provider that was away at the start is found within five seconds, also with a longer rediscovery_lifetime', async () => {
  const it = setUp({ rediscovery_lifetime: 300 })
  it.answer(DISCOVERY, DOWN)
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 503)
  it.answer(DISCOVERY, { json: it.metadata })
  it.passS(4)
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 503)
  it.passS(1)
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 0)
  assert.equal(it.requestsTo(DISCOVERY).length, 2)
})

test('old data serves and is refreshed in the background', async () => {
  const it = setUp({ cache_ttl: 60 })
  await it.send(bearer(await fresh()))
  it.passS(61)
  const { context, done } = it.begin(bearer(await fresh()))
  assert.equal(done, undefined)
  assert.equal(context.authenticated, true)
  assert.equal(it.requestsTo(DISCOVERY).length, 2)
})

test('old data serves on while the provider fails', async () => {
  const it = setUp({ cache_ttl: 60 })
  await it.send(bearer(await fresh()))
  it.answer(DISCOVERY, DOWN)
  it.answer(JWKS_URI, DOWN)
  it.passS(86_400)
  for (let i = 0; i < 3; i++) assert.equal(statusOf(await it.send(bearer(await fresh()))), 0)
})

test('a pseudo issuer is never asked: keys come from the configured address, and the label is the expected iss', async () => {
  const keys = 'https://keys.example/jwks'
  const it = setUp({ issuer: 'my-label', using_pseudo_issuer: true, jwks_endpoint: keys })
  it.answer(keys, { json: publicJwks([{ jwk: EC }]) })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: 'my-label' }, { key: EC })))), 0)
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER }, { key: EC })))), 401)
  assert.deepEqual(
    it.http.requests.map(({ url }) => url),
    [keys],
  )
})

test('jwks_endpoint takes the place of jwks_uri, and a further set that fails leaves the others good', async () => {
  const [keys, good, bad] = ['https://keys.example/jwks', 'https://more.example/jwks', 'https://bad.example/jwks']
  const it = setUp({ jwks_endpoint: keys, extra_jwks_uris: [bad, good] })
  it.answer(keys, { json: publicJwks([{ jwk: EC }]) })
  it.answer(good, { json: publicJwks([{ jwk: OTHER_RSA }]) })
  it.answer(bad, { status: 500 })
  assert.equal(statusOf(await it.send(bearer(await fresh({ key: EC })))), 0)
  assert.equal(statusOf(await it.send(bearer(await fresh({ key: OTHER_RSA })))), 0)
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 401)
  assert.equal(fetches(it.world), 0)
})

test('discovery headers are on all requests, and configurations share only what they fetch alike', async () => {
  const world = createWorld()
  const headers = { discovery_headers_names: ['X-Key'], discovery_headers_values: ['k'] }
  const it = setUp(headers, { world })
  await it.send(bearer(await fresh()))
  assert.deepEqual(
    it.http.requests.map((request) => headerOf(request, 'x-key')),
    ['k', 'k'],
  )
  const same = setUp({ ...headers, scopes_required: null }, { world, pluginId: 'p2' })
  await same.send(bearer(await fresh()))
  assert.equal(world.requestsTo(DISCOVERY).length, 1)
  const other = setUp({}, { world, pluginId: 'p3' })
  await other.send(bearer(await fresh()))
  assert.equal(world.requestsTo(DISCOVERY).length, 2)
})

// ----------------------------------------------------------------------------------------------------------------------------- between workers

test('what one worker fetched is published, without secrets, and another one takes it over without a request', async () => {
  const one = createWorld()
  const first = setUp({}, { world: one })
  await first.send(bearer(await fresh()))
  const shared = one.objects.get(KEY)
  assert.equal(shared?.['issuer'], ISSUER)
  assert.equal(JSON.stringify(shared?.['configuration']), JSON.stringify(one.metadata))
  assert.equal(JSON.stringify(shared).includes('"d"'), false)

  const two = createWorld()
  two.frame((objects) => objects.set(KEY, shared ?? {}))
  const second = setUp({}, { world: two })
  assert.equal(second.begin(bearer(await fresh())).done, undefined)
  assert.equal(two.http.requests.length, 0)
})

test('newer keys of another worker are used before a request is made', async () => {
  const it = setUp()
  await it.send(bearer(await fresh()))
  it.passS(1)
  it.world.frame((objects) => {
    const keys = [{ uri: JWKS_URI, keys: publicJwks([{ jwk: OTHER_RSA }]).keys }]
    objects.set(KEY, { issuer: ISSUER, configuration: it.metadata, key_sets: keys, fetched_at_ms: it.world.clock.nowMs })
  })
  assert.equal(statusOf(await it.send(bearer(await fresh({ key: OTHER_RSA })))), 0)
  assert.equal(fetches(it.world), 1)
})

test('a deleted issuer is discovered anew with the next request, whatever the time since the last attempt', async () => {
  const it = setUp()
  await it.send(bearer(await fresh()))
  it.world.frame()
  await it.send(bearer(await fresh()))
  it.world.frame((objects) => objects.delete(KEY))
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 0)
  assert.equal(it.requestsTo(DISCOVERY).length, 2)
})

test('a frame that was made before the publication drops nothing, even if the provider has gone meanwhile', async () => {
  const it = setUp()
  await it.send(bearer(await fresh()))
  it.answer(DISCOVERY, DOWN)
  it.answer(JWKS_URI, DOWN)
  it.world.frame((objects) => objects.clear())
  assert.equal(statusOf(await it.send(bearer(await fresh()))), 0)
  assert.equal(it.requestsTo(DISCOVERY).length, 2)
})

test('an issuer that is deleted before anybody looked is discovered anew all the same', async () => {
  const it = setUp()
  await it.send(bearer(await fresh()))
  it.passS(3)
  it.answer(JWKS_URI, { json: publicJwks([{ jwk: OTHER_RSA }]) })
  it.world.frame((objects) => objects.delete(KEY))
  assert.equal(statusOf(await it.send(bearer(await fresh({ key: OTHER_RSA })))), 0)
})

test('a provider that has never answered is listed without content', async () => {
  const it = setUp()
  it.answer(DISCOVERY, DOWN)
  await it.send(bearer(await fresh()))
  assert.deepEqual(it.world.objects.get(KEY), { issuer: ISSUER })
})

test('nothing is published anew while it stays the same', async () => {
  const it = setUp({ rediscovery_lifetime: 0 })
  await it.send(bearer(await fresh()))
  const shared = it.world.objects.get(KEY)
  await it.send(bearer(await fresh({ key: OTHER_RSA })))
  assert.equal(fetches(it.world), 2)
  assert.equal(it.world.objects.get(KEY), shared)
})

test('a configuration that goes leaves nothing behind that it alone had', async () => {
  const world = createWorld()
  const it = setUp({}, { world })
  await it.send(bearer(await fresh()))
  it.close()
  world.objects.clear()
  const again = setUp({}, { world })
  await again.send(bearer(await fresh({ key: RSA })))
  assert.equal(world.requestsTo(DISCOVERY).length, 2)
})

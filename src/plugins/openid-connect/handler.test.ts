import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FakeRequest } from '../../../test/support/fake-context.ts'
import plugin from './handler.ts'
import {
  ALICE,
  basic,
  bearer,
  bodyOf,
  configOf,
  createWorld,
  DISCOVERY,
  DOWN,
  FORM,
  formOf,
  GUEST,
  headerOf,
  INTROSPECTION,
  ISSUER,
  OTHER_RSA,
  post,
  type SetUpOptions,
  setUp as setUpPlugin,
  signed,
  statusOf,
  TOKEN,
} from './provider.fixture.ts'

/** All three methods that are built. */
const METHODS = ['password', 'introspection', 'bearer']

function setUp(config: Record<string, unknown> = {}, options: SetUpOptions = {}) {
  const it = setUpPlugin({ auth_methods: METHODS, ...config }, options)
  it.answer(TOKEN, { json: { access_token: 'at-1' } })
  return it
}

const introspecting = (config: Record<string, unknown> = {}, claims: object = { sub: 'u1', scope: 'read' }) => {
  const it = setUp({ auth_methods: ['introspection'], ...config })
  it.answer(INTROSPECTION, { json: { active: true, ...claims } })
  return it
}
const bodyText = (context: { exitBody: Uint8Array }) => Buffer.from(context.exitBody).toString()
const challengeOf = (context: { response: { headers: { all(name: string): readonly string[] } } }) =>
  context.response.headers.all('www-authenticate')

test('the plugin has the priority of Kong, and says which headers it writes', () => {
  assert.equal(plugin.priority, 1050)
  assert.equal(plugin.authenticates, true)
  const config = configOf({
    upstream_headers_claims: ['a'],
    upstream_headers_names: ['x-a'],
    upstream_headers: [{ header: 'x-b', path: ['b'] }],
    upstream_introspection_header: 'x-c',
    upstream_access_token_header: 'x-access-token:bearer',
    upstream_refresh_token_header: 'x-r',
  })
  // Where a token is looked for, its header must still be there.
  assert.deepEqual(plugin.identityHeaders?.(config), ['x-r', 'x-c', 'x-a', 'x-b'])
})

test('the default list of methods loads, and one warning names those that never match', () => {
  const it = setUpPlugin()
  const warnings = it.logged.lines.filter(({ message }) => /not available yet/.test(message))
  assert.equal(warnings.length, 1)
  assert.match(String(warnings[0]?.members['methods']), /authorization_code/)
  assert.equal(setUp().logged.lines.length, 0)
})

// --------------------------------------------------------------------------------------------------------------------------------- methods

test('the order of methods is fixed: a JWT that verifies is not introspected', async () => {
  const it = setUp({ auth_methods: ['introspection', 'bearer'] })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER })))), 0)
  assert.equal(it.requestsTo(INTROSPECTION).length, 0)
})

test('a JWT that fails locally is introspected where that is enabled', async () => {
  const it = setUp({ auth_methods: ['introspection', 'bearer'] })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: 'https://other.example' })))), 0)
  assert.equal(it.requestsTo(INTROSPECTION).length, 1)
})

test('a bad token is not made good by credentials elsewhere', async () => {
  const it = setUp({ auth_methods: ['bearer', 'password'] })
  const token = await signed({ iss: ISSUER }, { key: OTHER_RSA })
  assert.equal(statusOf(await it.send(bearer(token, { target: '/?username=john&password=doe' }))), 401)
  assert.equal(it.requestsTo(TOKEN).length, 0)
})

test('a method that could not decide outweighs one that says no, unless another one says yes', async () => {
  const it = setUp({ auth_methods: ['bearer', 'introspection'] })
  it.answer(INTROSPECTION, DOWN)
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER }, { key: OTHER_RSA })))), 503)
  it.answer(INTROSPECTION, { json: { active: true } })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER }, { key: OTHER_RSA })))), 0)
})

test('without methods every request is refused', async () => {
  for (const auth_methods of [[], null]) {
    const it = setUp({ auth_methods })
    assert.equal(statusOf(await it.send(bearer())), 401)
    assert.equal(statusOf(await it.send(basic())), 401)
    assert.equal(it.questions(), 0)
  }
})

test('an Authorization of another kind is no credential', async () => {
  const context = await setUp().send({ headers: [['Authorization', 'Digest x']] })
  assert.equal(statusOf(context), 401)
  assert.equal(challengeOf(context)[0], 'Bearer realm="idp.example"')
})

test('OPTIONS passes untouched where run_on_preflight is off, and needs a credential where it is on', async () => {
  const off = setUp({ run_on_preflight: false })
  const context = await off.send({ method: 'OPTIONS', headers: [['Authorization', 'Bearer T']] })
  assert.equal(context.exited, false)
  assert.equal(context.authenticated, false)
  assert.equal(statusOf(await setUp().send({ method: 'OPTIONS' })), 401)
})

// ------------------------------------------------------------------------------------------------------------------------------- locations

test('a token is found in every place of Kong, and hidden there', async () => {
  const places: [string, FakeRequest][] = [
    ['Authorization', bearer()],
    ['authorization, other spelling', { headers: [['authorization', 'bEaReR  T']] }],
    ['Access-Token', { headers: [['Access-Token', 'T']] }],
    ['X-Access-Token with scheme', { headers: [['X-Access-Token', 'Bearer T']] }],
    ['query', { target: '/?a=1&access_token=T' }],
    ['form', post(FORM, 'a=1&access_token=T')],
    ['JSON', post('application/json', '{"a":1,"access_token":"T"}')],
  ]
  for (const [place, request] of places) {
    const it = introspecting()
    const context = await it.send(request)
    assert.equal(statusOf(context), 0, place)
    assert.equal(formOf(it.requestsTo(INTROSPECTION)[0])['token'], 'T', place)
    assert.deepEqual(context.request.headers.all('authorization'), ['Bearer T'], place)
    assert.equal(context.request.headers.has('access-token') || context.request.headers.has('x-access-token'), false, place)
    assert.equal(context.request.query.includes('access_token'), false, place)
    assert.equal((await bodyOf(context))?.includes('access_token') ?? false, false, place)
  }
})

test('only the configured places are searched', async () => {
  const query = introspecting({ bearer_token_param_type: ['query'] })
  assert.equal(statusOf(await query.send(bearer())), 401)
  const named = introspecting({ bearer_token_header_name: 'X-Auth' })
  assert.equal(statusOf(await named.send({ headers: [['X-Auth', 'T']] })), 0)
  assert.equal(statusOf(await named.send({ headers: [['X-Auth', 'Bearer T']] })), 0)
  assert.equal(statusOf(await named.send(bearer())), 401)
  assert.equal(statusOf(await named.send({ headers: [['Access-Token', 'T']] })), 401)
})

test('a cookie may hold the token: it is removed, the others stay in order', async () => {
  const it = introspecting({ bearer_token_param_type: ['cookie'], bearer_token_cookie_name: 'at' })
  const context = await it.send({ headers: [['Cookie', 'a=1; at=T; b=2']] })
  assert.equal(statusOf(context), 0)
  assert.deepEqual(context.request.headers.all('cookie'), ['a=1; b=2'])
})

test('Basic still serves for a password where another header is named for the token', async () => {
  const it = setUp({ bearer_token_header_name: 'X-Auth' })
  assert.equal(statusOf(await it.send(basic())), 0)
  assert.equal(it.requestsTo(TOKEN).length, 1)
})

test('a password may hold colons and other letters, and reaches the provider as it is', async () => {
  const it = setUp()
  await it.send(basic('john:a:b:ü'))
  assert.equal(formOf(it.requestsTo(TOKEN)[0])['password'], 'a:b:ü')
})

test('what is no pair is not found: no colon, no base64, not UTF-8, empty parts, two headers, duplicates, no text', async () => {
  const requests: FakeRequest[] = [
    { headers: [['Authorization', 'Basic john:doe']] },
    basic('john'),
    basic(':doe'),
    basic('john:'),
    { headers: [['Authorization', `Basic ${Buffer.from([0xff, 0x3a, 0x61]).toString('base64')}`]] },
    basic('john:doe', { headers: [['Authorization', 'Basic am9objpkb2U=']] }),
    { target: '/?username=john&username=jane&password=doe' },
    post('application/json', '{"username":"john","password":7}'),
    post('application/json', 'null'),
    post('application/json', '["username"]'),
    post('application/json', '{'),
    post('text/plain', 'username=john&password=doe'),
    { ...post(FORM, 'username=john&password=doe'), method: 'GET' },
  ]
  const it = setUp()
  for (const [index, request] of requests.entries()) assert.equal(statusOf(await it.send(request)), 401, String(index))
  assert.equal(it.questions(), 0)
})

test('a pair in a body is used, and only its members are removed', async () => {
  const form = await setUp().send(post(FORM, 'a=1&username=john&password=doe&b=2'))
  assert.equal(await bodyOf(form), 'a=1&b=2')
  assert.equal(form.request.bodyLength, 7)
  const json = await setUp().send(post('application/json', '{"a":1,"username":"john","password":"doe"}'))
  assert.equal(await bodyOf(json), '{"a":1}')
})

test('a token given twice is none, and says so only as an error code', async () => {
  const it = introspecting()
  const context = await it.send({ target: '/?access_token=T&access_token=T' })
  assert.equal(statusOf(context), 401)
  assert.deepEqual(challengeOf(context), ['Bearer realm="idp.example", error="invalid_request"'])
  assert.equal(it.questions(), 0)
})

test('no server is asked about a token that cannot be one', async () => {
  const it = setUp()
  assert.equal(statusOf(await it.send({ headers: [['Access-Token', 'a b']] })), 401)
  assert.equal(statusOf(await it.send(bearer('x'.repeat(20_000)))), 401)
  assert.equal(it.questions(), 0)
})

// --------------------------------------------------------------------------------------------------------------------------------- clients

test('a client is chosen by identifier or number, from headers, query or body; anything else is the first', async () => {
  const clientFor = async (request: FakeRequest, config: Record<string, unknown> = {}) => {
    const it = setUp({ client_id: ['a', 'b'], client_secret: ['sa', 'sb'], ...config })
    assert.equal(statusOf(await it.send(request)), 0)
    const value = headerOf(it.requestsTo(TOKEN)[0], 'authorization') ?? ''
    return Buffer.from(value.slice('Basic '.length), 'base64').toString()
  }
  const query = (text: string): FakeRequest => basic('john:doe', { target: `/?${text}` })
  assert.equal(await clientFor(query('client_id=b')), 'b:sb')
  assert.equal(await clientFor(query('client_id=2')), 'b:sb')
  assert.equal(await clientFor(query('client_id=9')), 'a:sa')
  assert.equal(await clientFor(query('client_id=x')), 'a:sa')
  assert.equal(await clientFor(basic()), 'a:sa')
  assert.equal(await clientFor(basic('john:doe', { target: '/?client_id=a', headers: [['X-Client-ID', 'b']] })), 'b:sb')
  assert.equal(await clientFor(basic('john:doe', { headers: [['Client-Id', 'b']] })), 'b:sb')
  assert.equal(await clientFor(post(FORM, 'client_id=b', basic())), 'b:sb')
  assert.equal(await clientFor(query('tenant=b'), { client_arg: 'tenant' }), 'b:sb')
  assert.equal(await clientFor(query('client_id=b'), { client_arg: 'tenant' }), 'b:sb')
  assert.equal(await clientFor(query('client_id=2'), { client_id: ['2', '1'], client_secret: ['first', 'second'] }), '2:first')
})

// --------------------------------------------------------------------------------------------------------------------------- authorization

test('what is required: one element suffices, all its words must be there, wherever the claim lies', async () => {
  const outcome = async (config: Record<string, unknown>, claims: object) => statusOf(await introspecting(config, claims).send(bearer()))
  assert.equal(await outcome({ scopes_required: ['a', 'b'] }, { scope: 'b c' }), 0)
  assert.equal(await outcome({ scopes_required: ['a', 'b'] }, { scope: 'c' }), 403)
  assert.equal(await outcome({ scopes_required: ['a b'] }, { scope: 'b a x' }), 0)
  assert.equal(await outcome({ scopes_required: ['a b'] }, { scope: 'a' }), 403)
  assert.equal(await outcome({ scopes_required: ['a b', 'c'] }, { scope: ['c'] }), 0)
  assert.equal(await outcome({ scopes_required: ['a'], scopes_claim: ['scp'] }, { scp: ['a'] }), 0)
  assert.equal(await outcome({ scopes_required: ['5'] }, { scope: 5 }), 0)
  assert.equal(await outcome({ scopes_required: [' '] }, { scope: '' }), 403)
  assert.equal(await outcome({ groups_required: ['g'], groups_claim: ['user', 'groups'] }, { user: { groups: ['g'] } }), 0)
  assert.equal(await outcome({ groups_required: ['g'], groups_claim: ['user', 'groups'] }, {}), 403)
  assert.equal(await outcome({ roles_required: ['r'], roles_claim: ['realm_access', 'roles'] }, { realm_access: { roles: ['r'] } }), 0)
  assert.equal(await outcome({ roles_required: ['r'], roles_claim: ['a.b'] }, { 'a.b': 'r' }), 0)
  assert.equal(await outcome({ audience_required: ['x'] }, { aud: 'x' }), 0)
  assert.equal(await outcome({ audience_required: ['x'] }, { aud: ['y', 'x'] }), 0)
  assert.equal(await outcome({ scopes_required: ['a'], audience_required: ['x'] }, { scope: 'a', aud: 'y' }), 403)
  assert.equal(await outcome({ claims_forbidden: ['bad'] }, { bad: null }), 403)
  assert.equal(await outcome({ claims_forbidden: ['bad'] }, {}), 0)
})

test('a stored answer is authorized anew for each configuration and request', async () => {
  const it = introspecting({ consumer_claims: [['sub']] }, { sub: 'alice' })
  assert.equal(statusOf(await it.send(bearer())), 0)
  it.useConsumers([GUEST])
  assert.equal(statusOf(await it.send(bearer())), 403)
  assert.equal(it.requestsTo(INTROSPECTION).length, 1)
})

// --------------------------------------------------------------------------------------------------------------------------------- consumer

test('a claim names the consumer, and the upstream is told who it is', async () => {
  const it = introspecting({ consumer_claims: [['preferred_username']] }, { preferred_username: 'alice', sub: 'u1' })
  const context = await it.send(
    bearer('T', {
      headers: [
        ['X-Consumer-Username', 'root'],
        ['X_Consumer_Id', 'root'],
        ['X-Anonymous-Consumer', 'true'],
      ],
    }),
  )
  const { headers } = context.request
  assert.deepEqual(
    [headers.get('x-consumer-id'), headers.get('x-consumer-custom-id'), headers.get('x-consumer-username')],
    ['c-alice', 'x-1', 'alice'],
  )
  assert.equal(headers.has('x-anonymous-consumer') || headers.has('x_consumer_id'), false)
  assert.equal(context.identity.consumer?.id, 'c-alice')
  assert.deepEqual(context.identity.credential, { id: 'u1' })
  assert.equal(context.authenticated, true)
})

test('without a consumer: 403, or on without one, or the anonymous one', async () => {
  const config = { consumer_claims: [['sub']] }
  const refused = await introspecting(config).send(bearer())
  assert.equal(statusOf(refused), 403)
  const optional = await introspecting({ ...config, consumer_optional: true }).send(bearer('T', { headers: [['X-Consumer-ID', 'root']] }))
  assert.equal(statusOf(optional), 0)
  assert.equal(optional.request.headers.has('x-consumer-id'), false)
  const anonymous = await introspecting({ ...config, anonymous: 'guest' }).send(bearer())
  assert.equal(statusOf(anonymous), 0)
  assert.equal(anonymous.request.headers.get('x-anonymous-consumer'), 'true')
  assert.equal(anonymous.request.headers.get('x-consumer-username'), 'guest')
  assert.equal(anonymous.authenticated, false)
})

test('the first claim that names a consumer decides, by the configured members in the order of Kong', async () => {
  const consumerOf = async (config: Record<string, unknown>, claims: object) =>
    (await introspecting({ consumer_optional: true, ...config }, claims).send(bearer())).identity.consumer?.id
  assert.equal(await consumerOf({ consumer_claims: [['a'], ['b']] }, { b: 'alice' }), 'c-alice')
  assert.equal(await consumerOf({ consumer_claims: [['a'], ['b']] }, { a: 'nobody', b: 'alice' }), 'c-alice')
  assert.equal(await consumerOf({ consumer_claims: [['a']], consumer_by: ['custom_id'] }, { a: 'alice' }), undefined)
  assert.equal(await consumerOf({ consumer_claims: [['a']], consumer_by: ['custom_id'] }, { a: 'x-1' }), 'c-alice')
  assert.equal(await consumerOf({ consumer_claims: [['a']] }, { a: 'ALICE' }), undefined)
  assert.equal(await consumerOf({ consumer_claims: [['a']], by_username_ignore_case: true }, { a: 'ALICE' }), 'c-alice')
  const it = introspecting({ consumer_claims: [['a']], by_username_ignore_case: true }, { a: 'aLice' })
  it.useConsumers([ALICE, { ...GUEST, username: 'Alice' }])
  assert.equal(statusOf(await it.send(bearer())), 403)
})

test('the credential is the configured claim; without it there is none, and the request counts as authenticated all the same', async () => {
  const own = await introspecting({ credential_claim: ['azp'] }, { azp: 'app' }).send(
    bearer('T', { headers: [['X-Credential-Identifier', 'root']] }),
  )
  assert.deepEqual(own.identity.credential, { id: 'app' })
  assert.equal(own.request.headers.get('x-credential-identifier'), 'app')
  const none = await introspecting({}, {}).send(bearer('T', { headers: [['X-Credential-Identifier', 'root']] }))
  assert.equal(none.identity.credential, null)
  assert.equal(none.request.headers.has('x-credential-identifier'), false)
  assert.equal(none.authenticated, true)
})

test('authenticated groups come from their claim alone', async () => {
  const config = { authenticated_groups_claim: ['groups'] }
  const forged: FakeRequest = { headers: [['X-Authenticated-Groups', 'admin']] }
  const two = await introspecting(config, { groups: ['a', 'b'] }).send(bearer('T', forged))
  assert.equal(two.request.headers.get('x-authenticated-groups'), 'a, b')
  assert.deepEqual(two.identity.authenticatedGroups, ['a', 'b'])
  const none = await introspecting(config, {}).send(bearer('T', forged))
  assert.equal(none.request.headers.has('x-authenticated-groups'), false)
})

// ---------------------------------------------------------------------------------------------------------------------------------- headers

test('the access token is forwarded as configured: another header, another scheme, or not at all', async () => {
  const headersFor = async (config: Record<string, unknown>) => (await introspecting(config).send(bearer())).request.headers
  assert.equal((await headersFor({})).get('authorization'), 'Bearer T')
  const raw = await headersFor({ upstream_access_token_header: 'x-at' })
  assert.deepEqual([raw.get('x-at'), raw.has('authorization')], ['T', false])
  assert.equal((await headersFor({ upstream_access_token_header: 'x-at:token' })).get('x-at'), 'Token T')
  assert.equal((await headersFor({ upstream_access_token_header: null })).has('authorization'), false)
  assert.equal((await headersFor({ upstream_access_token_header: null, hide_credentials: false })).get('authorization'), 'Bearer T')
})

test('claims become headers: text as it is, numbers in digits, the rest as base64 of JSON; absent ones remove what the caller sent', async () => {
  const it = introspecting(
    {
      upstream_headers_claims: ['t'],
      upstream_headers_names: ['x-t'],
      upstream_headers: [
        { header: 'x-n', path: ['n'] },
        { header: 'x-l', path: ['l'] },
        { header: 'x-city', path: ['address', 'city'] },
        { header: 'x-none', path: ['none'] },
        { header: 'x-twice', path: ['t'] },
        { header: 'X-Twice', path: ['n'] },
      ],
    },
    { t: 'text', n: 5, l: ['a', 'b'], address: { city: 'Kiel' } },
  )
  const { headers } = (
    await it.send(
      bearer('T', {
        headers: [
          ['X-None', 'forged'],
          ['x_city', 'forged'],
        ],
      }),
    )
  ).request
  assert.equal(headers.get('x-t'), 'text')
  assert.equal(headers.get('x-n'), '5')
  assert.equal(Buffer.from(headers.get('x-l') ?? '', 'base64').toString(), '["a","b"]')
  assert.deepEqual(headers.all('x-city'), ['Kiel'])
  assert.equal(headers.has('x_city') || headers.has('x-none'), false)
  assert.deepEqual(headers.all('x-twice'), ['5'])
})

test('control characters never reach a header, and a value that is too long is left out with a warning', async () => {
  const config = {
    upstream_headers: [
      { header: 'x-a', path: ['a'] },
      { header: 'x-b', path: ['b'] },
    ],
    upstream_introspection_header: 'x-all',
  }
  const it = introspecting(config, { a: 'x\r\nX-Admin: 1\u0000é', b: 'y'.repeat(20_000) })
  const { headers } = (await it.send(bearer())).request
  assert.equal(headers.get('x-a'), Buffer.from('xX-Admin: 1é', 'utf8').toString('latin1'))
  assert.equal(headers.has('x-b') || headers.has('x-all'), false)
  assert.equal(it.logged.lines.filter(({ level }) => level === 'warn').length, 2)
})

test('the introspection answer is sent as base64 of exactly what came', async () => {
  const it = introspecting({ upstream_introspection_header: 'x-i' }, { sub: 'u1', nested: { a: [1] } })
  const { headers } = (await it.send(bearer())).request
  assert.deepEqual(JSON.parse(Buffer.from(headers.get('x-i') ?? '', 'base64').toString()), { active: true, sub: 'u1', nested: { a: [1] } })
})

test('downstream headers are set on the answer to the caller, over those of the upstream, and on nobody else', async () => {
  const it = introspecting({ downstream_headers: [{ header: 'x-sub', path: ['sub'] }], downstream_access_token_header: 'x-at:bearer' })
  const context = await it.send(bearer())
  assert.equal(context.request.headers.has('x-sub'), false)
  context.response.headers.add('X-Sub', 'upstream')
  const headers = it.filter(context)
  assert.deepEqual(headers.all('x-sub'), ['u1'])
  assert.equal(headers.get('x-at'), 'Bearer T')
  const refused = await it.send()
  assert.equal(it.filter(refused).has('x-sub'), false)
})

test('with hide_credentials off everything stays where it was', async () => {
  const it = introspecting({ hide_credentials: false })
  assert.equal((await it.send({ target: '/?access_token=T' })).request.query, '?access_token=T')
  const pair = setUp({ hide_credentials: false })
  const context = await pair.send(post(FORM, 'username=john&password=doe'))
  assert.equal(await bodyOf(context), 'username=john&password=doe')
})

// --------------------------------------------------------------------------------------------------------------------------------- anonymous

test('a bad token, no credential and a failing provider lead to the anonymous consumer; a token that may not do this does not', async () => {
  const config = { anonymous: 'c-guest', scopes_required: ['write'] }
  const it = introspecting(config)
  assert.equal(statusOf(await it.send(bearer())), 403)
  it.answer(INTROSPECTION, { json: { active: false } })
  const bad = await it.send(bearer('bad', { headers: [['X-Authenticated-Groups', 'admin']] }))
  assert.equal(bad.identity.consumer?.id, 'c-guest')
  assert.equal(bad.request.headers.has('authorization') || bad.request.headers.has('x-authenticated-groups'), false)
  assert.equal((await it.send()).identity.consumer?.id, 'c-guest')
  it.answer(INTROSPECTION, DOWN)
  assert.equal((await it.send(bearer('other'))).identity.consumer?.id, 'c-guest')
  assert.ok(it.logged.lines.some(({ level }) => level === 'error'))
})

test('an anonymous consumer that does not exist is an error until it does, and is never found by custom_id', async () => {
  const it = introspecting({ anonymous: 'g-1' })
  const context = await it.send()
  assert.equal(statusOf(context), 500)
  assert.equal(bodyText(context), `{"message":"anonymous consumer g-1 is configured but doesn't exist"}`)
  it.useConsumers([{ ...GUEST, username: 'g-1' }])
  assert.equal(statusOf(await it.send()), 0)
})

test('after another plugin has authenticated the request nothing is done but clearing our headers', async () => {
  const it = introspecting({ anonymous: 'guest', upstream_headers: [{ header: 'x-sub', path: ['sub'] }] })
  const context = await it.send(bearer('T', { headers: [['X-Sub', 'forged']] }), (before) => {
    before.authenticate({ consumer: ALICE, credential: { id: 'k' }, authenticatedGroups: null }, null)
  })
  assert.equal(context.identity.consumer?.id, 'c-alice')
  assert.equal(context.request.headers.has('x-sub'), false)
  assert.equal(it.questions(), 0)
})

// ----------------------------------------------------------------------------------------------------------------------------------- errors

test('no credential: 401 with a message, a challenge without an error, JSON', async () => {
  const context = await introspecting().send()
  assert.equal(statusOf(context), 401)
  assert.equal(bodyText(context), '{"message":"Unauthorized"}')
  assert.equal(context.response.headers.get('content-type'), 'application/json; charset=utf-8')
  assert.deepEqual(challengeOf(context), ['Bearer realm="idp.example"'])
})

test('a bad token is called invalid_token unless the code is not to be shown; a missing scope insufficient_scope, with the scope', async () => {
  const inactive = (config: Record<string, unknown>) => {
    const it = introspecting(config)
    it.answer(INTROSPECTION, { json: { active: false } })
    return it.send(bearer())
  }
  assert.deepEqual(challengeOf(await inactive({})), ['Bearer realm="idp.example", error="invalid_token"'])
  assert.deepEqual(challengeOf(await inactive({ expose_error_code: false })), ['Bearer realm="idp.example"'])
  const forbidden = await introspecting({ scopes_required: ['a b', 'c'] }).send(bearer())
  assert.equal(statusOf(forbidden), 403)
  assert.equal(bodyText(forbidden), '{"message":"Forbidden"}')
  assert.deepEqual(challengeOf(forbidden), ['Bearer realm="idp.example", error="insufficient_scope", scope="a b"'])
})

test('messages are configurable, and reasons are added only where errors are displayed', async () => {
  const own = introspecting({ unauthorized_error_message: 'No.', forbidden_error_message: 'Never.', scopes_required: ['x'] })
  assert.equal(bodyText(await own.send()), '{"message":"No."}')
  assert.equal(bodyText(await own.send(bearer())), '{"message":"Never."}')
  const shown = introspecting({ display_errors: true })
  assert.equal(bodyText(await shown.send()), '{"message":"Unauthorized (the request has no credential)"}')
})

test('each kind of refusal has its own redirect, of the client that served', async () => {
  const config = {
    client_id: ['a', 'b'],
    unauthorized_redirect_uri: ['https://x.example/401a', 'https://x.example/401b'],
    forbidden_redirect_uri: ['https://x.example/403'],
    unexpected_redirect_uri: ['https://x.example/500'],
    scopes_required: ['write'],
  }
  const it = introspecting(config)
  const locationFor = async (request: FakeRequest) => {
    const context = await it.send(request)
    assert.equal(statusOf(context), 302)
    assert.equal(challengeOf(context).length, 0)
    return context.response.headers.get('location')
  }
  assert.equal(await locationFor({}), 'https://x.example/401a')
  assert.equal(await locationFor(bearer('T', { target: '/?client_id=b' })), 'https://x.example/403')
  it.answer(INTROSPECTION, { json: { active: false } })
  assert.equal(await locationFor(bearer('U', { target: '/?client_id=b' })), 'https://x.example/401b')
  it.answer(INTROSPECTION, DOWN)
  assert.equal(await locationFor(bearer('V')), 'https://x.example/500')
  const grpc = await it.send({ headers: [['Content-Type', 'application/grpc']] })
  assert.equal(statusOf(grpc), 200)
})

test('a gRPC call is told in the manner of gRPC', async () => {
  const it = introspecting({ scopes_required: ['write'] })
  const grpc = (token?: string): FakeRequest =>
    token === undefined
      ? { headers: [['Content-Type', 'application/grpc+proto']] }
      : bearer(token, { headers: [['Content-Type', 'application/grpc']] })
  const outcome = async (request: FakeRequest) => {
    const { response } = await it.send(request)
    return [response.status, response.headers.get('grpc-status'), response.headers.get('grpc-message')]
  }
  assert.deepEqual(await outcome(grpc()), [200, '16', 'Unauthorized'])
  assert.deepEqual(await outcome(grpc('T')), [200, '7', 'Forbidden'])
  it.answer(INTROSPECTION, DOWN)
  assert.deepEqual(await outcome(grpc('U')), [200, '14', 'Service unavailable'])
})

test('no log line and no answer holds a token or a secret', async () => {
  const it = setUp({
    display_errors: true,
    scopes_required: ['write'],
    introspection_headers_names: ['X-K'],
    introspection_headers_values: ['header-secret'],
  })
  it.answer(TOKEN, { status: 400, text: '{"error":"invalid_grant"}' })
  const answers = [
    bearer('token-secret'),
    basic('john:pair-secret'),
    bearer(await signed({ iss: ISSUER, jti: 'jwt-secret' })),
    { target: '/?access_token=query-secret' },
  ]
  const texts = [it.logged.text()]
  for (const answer of answers) texts.push(bodyText(await it.send(answer)))
  it.answer(INTROSPECTION, DOWN)
  texts.push(bodyText(await it.send(bearer('other-secret'))), it.logged.text())
  assert.doesNotMatch(texts.join(''), /-secret/)
})

test('a closed configuration leaves requests on their way alone', async () => {
  const it = introspecting()
  await it.send(bearer('first'))
  it.http.hold()
  const pending = it.send(bearer())
  it.close()
  it.http.release()
  assert.equal(statusOf(await pending), 0)
})

test('what is known about one provider helps a new configuration of the same', async () => {
  const world = createWorld()
  const one = setUp({}, { world, pluginId: 'p1' })
  await one.send(bearer())
  const two = setUp({ scopes_required: ['x'] }, { world, pluginId: 'p2' })
  await two.send(bearer())
  assert.equal(world.requestsTo(DISCOVERY).length, 1)
})

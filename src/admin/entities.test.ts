import assert from 'node:assert/strict'
import { test } from 'node:test'
import { at, type Client, idOf, startAdmin } from './admin.fixture.ts'

const UNKNOWN = '11111111-1111-4111-8111-111111111111'
const NOT_FOUND = { message: 'Not found' }

async function create(admin: Client, path: string, json: unknown): Promise<string> {
  const reply = await admin(`POST ${path}`, { json })
  assert.equal(reply.status, 201, reply.text)
  return idOf(reply)
}

// --------------------------------------------------------------------------------------------------------------------------------- basic life

test('POST by form with url: 201, every field shown, url split and not shown', async (t) => {
  const { admin } = await startAdmin(t)
  const reply = await admin('POST /services', { form: 'name=svc&url=http://h.test&tags=a&tags=b' })
  assert.equal(reply.status, 201, reply.text)
  const { id, created_at, updated_at, ...rest } = reply.body as Record<string, unknown>
  assert.match(String(id), /^[0-9a-f-]{36}$/)
  assert.ok(Number.isInteger(created_at) && created_at === updated_at)
  assert.deepEqual(rest, {
    name: 'svc',
    retries: 5,
    protocol: 'http',
    host: 'h.test',
    port: 80,
    path: null,
    connect_timeout: 60_000,
    write_timeout: 60_000,
    read_timeout: 60_000,
    tags: ['a', 'b'],
    client_certificate: null,
    tls_verify: null,
    tls_verify_depth: null,
    ca_certificates: null,
    enabled: true,
  })
})

test('PATCH with url resets what the url stands for', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/services', { name: 'svc', url: 'http://h:8080/base' })
  const { status, body } = await admin('PATCH /services/svc', { form: 'url=https://h2.test' })
  assert.deepEqual(
    [status, at(body, 'host'), at(body, 'port'), at(body, 'path'), at(body, 'protocol')],
    [200, 'h2.test', 443, null, 'https'],
  )
})

test('PUT creates with 200, and replaces: same id, what is left out is reset, the path wins over the body', async (t) => {
  const { admin } = await startAdmin(t)
  const first = await admin('PUT /services/new-name', { json: { host: 'h', tags: ['x'], name: 'ignored' } })
  assert.deepEqual([first.status, at(first.body, 'name')], [200, 'new-name'])
  const second = await admin('PUT /services/new-name', { json: { host: 'h2' } })
  assert.deepEqual([second.status, idOf(second), at(second.body, 'host'), at(second.body, 'tags')], [200, idOf(first), 'h2', null])
  const byId = await admin(`PUT /services/${UNKNOWN}`, { json: { id: idOf(first), host: 'h', name: 'other' } })
  assert.deepEqual([byId.status, idOf(byId)], [200, UNKNOWN])
})

test('an id of the client is kept, a taken one is 400 code 3', async (t) => {
  const { admin } = await startAdmin(t)
  assert.equal(await create(admin, '/services', { id: UNKNOWN, host: 'h' }), UNKNOWN)
  const { status, body } = await admin('POST /services', { json: { id: UNKNOWN, host: 'h' } })
  assert.deepEqual(
    [status, body],
    [400, { code: 3, name: 'primary key violation', message: `primary key violation on key '{id="${UNKNOWN}"}'`, fields: { id: UNKNOWN } }],
  )
})

test('a taken name is 409 code 5', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/services', { name: 'foo', host: 'h' })
  const { status, body } = await admin('POST /services', { form: 'name=foo&host=h' })
  assert.deepEqual(
    [status, body],
    [
      409,
      { code: 5, name: 'unique constraint violation', message: `UNIQUE violation detected on '{name="foo"}'`, fields: { name: 'foo' } },
    ],
  )
})

test('a schema violation is 400 code 2 with a violation per field', async (t) => {
  const { admin } = await startAdmin(t)
  const { status, body } = await admin('POST /services', { json: { host: 7, port: '80', bogus: 1 } })
  assert.deepEqual(
    [status, body],
    [
      400,
      {
        code: 2,
        name: 'schema violation',
        message: '3 schema violations (bogus: unknown field; host: expected a string; port: expected an integer)',
        fields: { bogus: 'unknown field', host: 'expected a string', port: 'expected an integer' },
      },
    ],
  )
})

test('misses: GET 404 plain, PATCH 404 code 6, DELETE 204; plugins PATCH 404 plain', async (t) => {
  const { admin } = await startAdmin(t)
  for (const key of ['none', UNKNOWN]) {
    const get = await admin(`GET /services/${key}`)
    assert.deepEqual([get.status, get.body], [404, NOT_FOUND])
    assert.equal((await admin(`DELETE /services/${key}`)).status, 204)
  }
  assert.deepEqual((await admin('PATCH /services/none', { json: { host: 'h' } })).body, {
    code: 6,
    name: 'not found',
    message: `could not find the entity with '{name="none"}'`,
    fields: { name: 'none' },
  })
  assert.equal(
    at((await admin(`PATCH /services/${UNKNOWN}`, { json: {} })).body, 'message'),
    `could not find the entity with primary key '{id="${UNKNOWN}"}'`,
  )
  const plugin = await admin(`PATCH /plugins/${UNKNOWN}`, { json: { bogus: 1 } })
  assert.deepEqual([plugin.status, plugin.body], [404, NOT_FOUND])
})

test('a path key that no entity could bear is 400 code 10', async (t) => {
  const { admin } = await startAdmin(t)
  for (const target of ['GET /services/a%20b', 'PUT /services/a%20b', 'PATCH /services/a%20b', 'DELETE /services/a%20b']) {
    const { status, body } = await admin(target)
    assert.deepEqual(
      [status, body],
      [
        400,
        {
          code: 10,
          name: 'invalid unique name',
          message: `invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~`,
        },
      ],
      target,
    )
  }
})

test('a service that routes refer to stays; without them it goes, and its plugins with it', async (t) => {
  const { admin } = await startAdmin(t)
  const id = await create(admin, '/services', { name: 's', host: 'h' })
  await create(admin, '/services/s/plugins', { name: 'key-auth' })
  const route = await create(admin, '/routes', { paths: ['/'], service: { id } })
  const refused = await admin('DELETE /services/s')
  assert.deepEqual(
    [refused.status, refused.body],
    [
      400,
      {
        code: 4,
        name: 'foreign key violation',
        message: "an existing 'routes' entity references this 'services' entity",
        fields: { '@referenced_by': 'routes' },
      },
    ],
  )
  const deleted = await admin(`DELETE /routes/${route}`)
  assert.deepEqual([deleted.status, deleted.text, deleted.headers['content-type']], [204, '', undefined])
  assert.equal((await admin('DELETE /services/s')).status, 204)
  assert.equal((await admin('DELETE /services/s')).status, 204)
  assert.deepEqual(at((await admin('GET /plugins')).body, 'data'), [])
})

test('routes: a matcher is required, protocols are checked', async (t) => {
  const { admin } = await startAdmin(t)
  const { status, body } = await admin('POST /routes', { json: {} })
  assert.equal(status, 400)
  assert.equal(
    at(body, 'message'),
    "schema violation (must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https')",
  )
  assert.equal((await admin('POST /routes', { json: { protocols: ['foo'], paths: ['/'] } })).status, 400)
  const comma = await admin('POST /routes', { form: 'methods=GET,POST' })
  assert.match(String(at(comma.body, 'message')), /invalid value: GET,POST/)
})

// -------------------------------------------------------------------------------------------------------------------------------- references

test('references: by id, by name, unknown, malformed, empty, null', async (t) => {
  const { admin } = await startAdmin(t)
  const id = await create(admin, '/services', { name: 's', host: 'h' })
  const post = (service: unknown) => admin('POST /routes', { json: { paths: ['/'], service } })
  for (const service of [{ id }, { name: 's' }]) assert.deepEqual(at((await post(service)).body, 'service'), { id })
  assert.deepEqual(at((await admin('POST /routes', { form: 'paths=/&service.name=s' })).body, 'service'), { id })
  assert.equal(at((await post(null)).body, 'service'), null)
  assert.deepEqual((await post({ id: UNKNOWN })).body, {
    code: 4,
    name: 'foreign key violation',
    message: `the foreign key '{id="${UNKNOWN}"}' does not reference an existing 'services' entity.`,
    fields: { service: { id: UNKNOWN } },
  })
  assert.deepEqual(at((await post({ id: 'x' })).body, 'fields'), { service: { id: 'expected a valid UUID' } })
  assert.equal(at((await post({})).body, 'message'), 'schema violation (service.id: missing primary key)')
  assert.equal(
    at((await admin('POST /routes', { form: 'paths=/&service.id=' })).body, 'message'),
    'schema violation (service.id: missing primary key)',
  )
  const unresolved = await post({ name: 'x' })
  assert.deepEqual(
    [unresolved.status, unresolved.body],
    [
      400,
      {
        code: 13,
        name: 'foreign keys unresolved',
        message: `foreign key unresolved (service.name: the foreign key cannot be resolved with '{name="x"}' for an existing 'services' entity)`,
        fields: { service: { name: `the foreign key cannot be resolved with '{name="x"}' for an existing 'services' entity` } },
      },
    ],
  )
})

test('/routes/{r}/service: the parent can be read, changed and made, but not deleted', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/routes', { name: 'r', paths: ['/'] })
  assert.equal((await admin('GET /routes/r/service')).status, 404)
  assert.equal((await admin('PATCH /routes/r/service', { json: { host: 'x' } })).status, 404)
  assert.equal((await admin('DELETE /routes/r/service')).status, 404)
  const made = await admin('PUT /routes/r/service', { json: { name: 's', host: 'h' } })
  assert.equal(made.status, 200, made.text)
  assert.deepEqual((await admin('GET /routes/r/service')).body, made.body)
  assert.equal(at((await admin('GET /routes/r')).body, 'service', 'id'), idOf(made))
  const replaced = await admin('PUT /routes/r/service', { json: { name: 's2', host: 'h' } })
  assert.deepEqual([idOf(replaced), at(replaced.body, 'name')], [idOf(made), 's2'])
  assert.equal(at((await admin('PATCH /routes/r/service', { form: 'port=81' })).body, 'port'), 81)
  const refused = await admin('DELETE /routes/r/service')
  assert.deepEqual([refused.status, refused.body], [405, { message: 'Method not allowed' }])
  assert.equal((await admin('GET /routes/none/service')).status, 404)
  assert.equal((await admin('PUT /routes/none/service', { json: { host: 'h' } })).status, 404)
})

test('nested: the parent in the path wins, and children of others are not there', async (t) => {
  const { admin } = await startAdmin(t)
  const a = await create(admin, '/services', { name: 'a', host: 'h' })
  const b = await create(admin, '/services', { name: 'b', host: 'h' })
  const route = await admin('POST /services/a/routes', { json: { name: 'r', paths: ['/'], service: { id: b } } })
  assert.deepEqual([route.status, at(route.body, 'service')], [201, { id: a }])
  assert.equal((await admin('GET /services/a/routes/r')).status, 200)
  assert.equal(at((await admin('GET /services/b/routes')).body, 'data', 'length'), 0)
  for (const target of ['GET', 'PUT', 'PATCH', 'DELETE'].map((method) => `${method} /services/b/routes/r`)) {
    const { status, body } = await admin(target, { json: { paths: ['/x'] } })
    assert.deepEqual([status, body], [404, NOT_FOUND], target)
  }
  for (const target of [
    'GET /services/none/routes',
    'POST /services/none/routes',
    'PUT /services/none/routes/r',
    `DELETE /services/a/routes/${UNKNOWN}`,
  ]) {
    const { status, body } = await admin(target, { json: { paths: ['/'] } })
    assert.deepEqual([status, body], [404, NOT_FOUND], target)
  }
  const put = await admin('PUT /services/a/routes/new', { json: { paths: ['/new'] } })
  assert.deepEqual([put.status, at(put.body, 'name'), at(put.body, 'service', 'id')], [200, 'new', a])
  const patched = await admin('PATCH /services/a/routes/new', { form: 'strip_path=false&hosts[]=a.test&hosts[]=b.test' })
  assert.deepEqual(
    [at(patched.body, 'strip_path'), at(patched.body, 'hosts'), at(patched.body, 'paths')],
    [false, ['a.test', 'b.test'], ['/new']],
  )
  assert.equal(at((await admin('PATCH /services/a/routes/new', { json: { service: { id: b } } })).body, 'service', 'id'), b)
  assert.equal((await admin('DELETE /services/a/routes/r')).status, 204)
  assert.equal((await admin('GET /routes/r')).status, 404)
})

// ----------------------------------------------------------------------------------------------------------------------------------- plugins

test('plugins by form: repeated keys, one key and positions all make a list', async (t) => {
  const { admin } = await startAdmin(t)
  const methodsOf = async (form: string) => {
    const reply = await admin('POST /plugins', { form: `name=openid-connect&config.issuer=https://idp.test&${form}` })
    assert.equal(reply.status, 201, reply.text)
    await admin(`DELETE /plugins/${idOf(reply)}`)
    return at(reply.body, 'config', 'auth_methods')
  }
  assert.deepEqual(await methodsOf('config.auth_methods=introspection&config.auth_methods=password'), ['introspection', 'password'])
  assert.deepEqual(await methodsOf('config.auth_methods=introspection'), ['introspection'])
  assert.deepEqual(await methodsOf('config.auth_methods[1]=password&config.auth_methods[2]=session'), ['password', 'session'])
  assert.deepEqual(await methodsOf('config.ttl=5'), ['introspection', 'password', 'session'])
})

test('JSON is not coerced', async (t) => {
  const { admin } = await startAdmin(t)
  const { status, body } = await admin('POST /plugins', {
    json: { name: 'openid-connect', config: { issuer: 'https://idp.test', auth_methods: 'introspection', ttl: '5' } },
  })
  assert.equal(status, 400)
  assert.equal(at(body, 'message'), '2 schema violations (config.auth_methods: expected an array; config.ttl: expected an integer)')
})

test('PATCH of a plugin by form needs no name: values get their types, the rest of the configuration stays', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/services', { name: 's', host: 'h' })
  const config = { issuer: 'https://idp.test', auth_methods: ['introspection', 'password'], anonymous: 'nobody' }
  const id = await create(admin, '/services/s/plugins', { name: 'openid-connect', config })
  for (const path of [`/plugins/${id}`, `/services/s/plugins/${id}`]) {
    const { status, body } = await admin(`PATCH ${path}`, { form: 'config.ttl=5&config.auth_methods=session' })
    assert.equal(status, 200, JSON.stringify(body))
    assert.deepEqual(
      [at(body, 'config', 'ttl'), at(body, 'config', 'auth_methods'), at(body, 'config', 'issuer')],
      [5, ['session'], 'https://idp.test'],
    )
  }
  const cleared = await admin(`PATCH /plugins/${id}`, { form: 'config.anonymous=' })
  assert.equal(at(cleared.body, 'config', 'anonymous'), null)
  assert.equal((await admin(`PATCH /plugins/${id}`, { json: { config: { ttl: null } } })).status, 200)
  const required = await admin(`PATCH /plugins/${id}`, { json: { config: { issuer: null } } })
  assert.deepEqual([required.status, at(required.body, 'fields')], [400, { config: { issuer: 'required field missing' } }])
})

test('shorthands are accepted and echoed beside what they stand for; secrets are shown, so that a dump can be loaded', async (t) => {
  const { admin } = await startAdmin(t)
  const json = { name: 'openid-connect', config: { issuer: 'https://idp.test', secret: 's3cret', redis: { timeout: 7 } } }
  const reply = await admin('POST /plugins', { json })
  assert.deepEqual(at(reply.body, 'config', 'redis'), { connect_timeout: 7, host: null, timeout: 7 })
  assert.equal(at((await admin(`GET /plugins/${idOf(reply)}`)).body, 'config', 'secret'), 's3cret')
  assert.equal(at((await admin('GET /plugins')).body, 'data', 0, 'config', 'redis', 'timeout'), 7)
  const { updated_at: _, ...sent } = reply.body as Record<string, unknown>
  const again = await admin(`PUT /plugins/${idOf(reply)}`, { json: sent })
  assert.deepEqual(again.body, { ...sent, updated_at: at(again.body, 'updated_at') })
})

test('plugins: unknown names, unknown config, forbidden scopes, and twice the same', async (t) => {
  const { admin } = await startAdmin(t)
  assert.equal(at((await admin('POST /plugins', { json: {} })).body, 'message'), 'schema violation (name: required field missing)')
  assert.deepEqual(at((await admin('POST /plugins', { json: { name: 'foo' } })).body, 'fields'), {
    name: "plugin 'foo' not enabled; add it to the 'plugins' configuration property",
  })
  assert.equal(
    at((await admin('POST /plugins', { json: { name: 'key-auth', config: { x: 1 } } })).body, 'message'),
    'schema violation (config.x: unknown field)',
  )
  const consumer = await create(admin, '/consumers', { username: 'bob' })
  assert.deepEqual(at((await admin('POST /plugins', { json: { name: 'key-auth', consumer: { id: consumer } } })).body, 'fields'), {
    consumer: 'value must be null',
  })
  assert.equal((await admin('POST /consumers/bob/plugins', { json: { name: 'limits', config: { minute: 1 } } })).status, 201)
  await create(admin, '/plugins', { name: 'key-auth' })
  const twice = await admin('POST /plugins', { json: { name: 'key-auth' } })
  assert.deepEqual(
    [twice.status, at(twice.body, 'message'), at(twice.body, 'fields')],
    [
      409,
      `UNIQUE violation detected on '{consumer=null,name="key-auth",route=null,service=null}'`,
      { consumer: null, name: 'key-auth', route: null, service: null },
    ],
  )
})

test('a plugin is found by its instance name, and moves between parents', async (t) => {
  const { admin } = await startAdmin(t)
  const service = await create(admin, '/services', { name: 's', host: 'h' })
  const route = await create(admin, '/services/s/routes', { name: 'r', paths: ['/'] })
  assert.equal((await admin('PUT /plugins/my-instance', { json: { name: 'key-auth', route: { id: route } } })).status, 200)
  const moved = await admin('PATCH /plugins/my-instance', { json: { route: null, service: { id: service } } })
  assert.deepEqual([moved.status, at(moved.body, 'route'), at(moved.body, 'service')], [200, null, { id: service }])
  assert.equal(at((await admin('GET /plugins/my-instance/service')).body, 'name'), 's')
  assert.equal((await admin('GET /plugins/my-instance/route')).status, 404)
})

// ------------------------------------------------------------------------------------------------------------------------------------- lists

test('lists are cut into pages; next is a path that keeps size and tags', async (t) => {
  const { admin } = await startAdmin(t)
  for (const username of ['a', 'b', 'c']) await create(admin, '/consumers', { username, tags: ['x y', username] })
  const seen: unknown[] = []
  let path = '/consumers?size=1&tags=x%20y'
  for (let page = 0; page < 3; page++) {
    const { body } = await admin(`GET ${path}`)
    seen.push(at(body, 'data', 0, 'username'))
    if (page === 2) assert.deepEqual([at(body, 'next'), at(body, 'offset')], [null, undefined])
    else {
      const offset = encodeURIComponent(String(at(body, 'offset')))
      assert.equal(at(body, 'next'), `/consumers?offset=${offset}&tags=x%20y&size=1`)
      path = String(at(body, 'next'))
    }
  }
  assert.deepEqual(seen.sort(), ['a', 'b', 'c'])
})

test('a nested list links to its next page without size', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/services', { name: 's', host: 'h' })
  for (const path of ['/1', '/2']) await create(admin, '/services/s/routes', { paths: [path], tags: ['t'] })
  const { body } = await admin('GET /services/s/routes?size=1&tags=ignored')
  assert.equal(at(body, 'data', 'length'), 1)
  assert.equal(at(body, 'next'), `/services/s/routes?offset=${encodeURIComponent(String(at(body, 'offset')))}`)
  assert.equal(at((await admin(`GET ${String(at(body, 'next'))}`)).body, 'next'), null)
})

test('bad sizes are code 9, bad offsets code 7', async (t) => {
  const { admin } = await startAdmin(t)
  for (const [query, text] of [
    ['size=0', 'size must be an integer between 1 and 1000'],
    ['size=1001', 'size must be an integer between 1 and 1000'],
    ['size=1.5', 'size must be an integer between 1 and 1000'],
    ['size=x', 'size must be a number'],
    ['size=', 'size must be a number'],
    ['size', 'size must be a number'],
    ['size=1&size=2', 'size must be a number'],
    ['size.toString=1', 'size must be a number'],
  ] as const) {
    const { status, body } = await admin(`GET /services?${query}`)
    assert.deepEqual([status, body], [400, { code: 9, name: 'invalid size', message: text }], query)
  }
  assert.deepEqual((await admin('GET /services?offset=*')).body, {
    code: 7,
    name: 'invalid offset',
    message: `'*' is not a valid offset: bad base64 encoding`,
  })
  assert.equal(at((await admin('GET /services?offset=x')).body, 'code'), 7)
  assert.equal(at((await admin('GET /services?offset.toString=1')).body, 'code'), 7)
  assert.equal((await admin('GET /services?bogus=1')).status, 200)
})

test('tags: all of, any of, and what is refused', async (t) => {
  const { admin } = await startAdmin(t)
  await create(admin, '/services', { name: 'one', host: 'h', tags: ['a', 'b'] })
  await create(admin, '/services', { name: 'two', host: 'h', tags: ['a'] })
  const names = async (query: string) => {
    const data = at((await admin(`GET /services?${query}`)).body, 'data')
    return (data as { name: string }[]).map(({ name }) => name).sort()
  }
  assert.deepEqual(await names('tags=a'), ['one', 'two'])
  assert.deepEqual(await names('tags=a,b'), ['one'])
  assert.deepEqual(await names('tags=a%2Cb'), ['one'])
  assert.deepEqual(await names('tags=b/zzz'), ['one'])
  assert.deepEqual(await names('tags=b&tags=a'), ['one'])
  for (const [query, text] of [
    ['tags=', 'cannot be null'],
    ['tags', 'cannot be null'],
    ['tags=a,b/c', 'invalid filter syntax'],
    ['tags=a,,b', 'invalid filter syntax'],
    ['tags=%00', 'invalid filter syntax'],
    ['tags=a,b,c,d,e,f', 'cannot query more than 5 tags'],
  ] as const) {
    const { status, body } = await admin(`GET /services?${query}`)
    assert.deepEqual(
      [status, body],
      [400, { code: 11, name: 'invalid options', message: `invalid option (tags: ${text})`, options: { tags: text } }],
      query,
    )
  }
})

test('/tags lists every tag of every entity, page by page', async (t) => {
  const { admin } = await startAdmin(t)
  const service = await create(admin, '/services', { host: 'h', tags: ['a', 'b'] })
  const consumer = await create(admin, '/consumers', { username: 'c', tags: ['a'] })
  const key = (row: unknown) => `${String(at(row, 'tag'))} ${String(at(row, 'entity_name'))} ${String(at(row, 'entity_id'))}`
  const seen: string[] = []
  for (let path: unknown = '/tags?size=1'; path !== null; ) {
    const { body } = await admin(`GET ${String(path)}`)
    seen.push(...(at(body, 'data') as unknown[]).map(key))
    path = at(body, 'next')
  }
  assert.deepEqual(seen.sort(), [`a consumers ${consumer}`, `a services ${service}`, `b services ${service}`])
  const one = await admin('GET /tags/b')
  assert.deepEqual(one.body, { data: [{ tag: 'b', entity_name: 'services', entity_id: service }], next: null })
  assert.deepEqual((await admin('GET /tags/none')).body, { data: [], next: null })
  assert.match(String(at((await admin('GET /tags/a?size=1')).body, 'next')), /^\/tags\/a\?offset=[\w-]+&size=1$/)
  assert.equal(at((await admin('GET /tags?offset=%21')).body, 'code'), 7)
  assert.equal(at((await admin('GET /tags?offset=abcd')).body, 'code'), 7)
  assert.equal(at((await admin('GET /tags?size=0')).body, 'code'), 9)
})

test('consumers are found by custom_id', async (t) => {
  const { admin } = await startAdmin(t)
  const id = await create(admin, '/consumers', { custom_id: 'x/1' })
  assert.deepEqual(at((await admin('GET /consumers?custom_id=x%2F1')).body, 'data', 0, 'id'), id)
  assert.deepEqual((await admin('GET /consumers?custom_id=y')).body, { data: [], next: null })
  for (const query of ['custom_id=', 'custom_id', 'custom_id=a&custom_id=b']) {
    const { status, body } = await admin(`GET /consumers?${query}`)
    assert.deepEqual([status, body], [400, { message: 'custom_id must be an unempty string' }], query)
  }
  const none = await admin('POST /consumers', { json: {} })
  assert.equal(at(none.body, 'message'), "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')")
})

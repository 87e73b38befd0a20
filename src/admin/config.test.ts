import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { type AdminUnderTest, at, startAdmin } from './admin.fixture.ts'

const UNKNOWN = '11111111-1111-4111-8111-111111111111'
const YAML = `_format_version: "3.0"
services:
- name: example-service
  host: h
  routes:
  - name: example-route
    paths: [/x]
consumers:
- username: alice
`
const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const yaml = (raw: string, type = 'text/yaml') => ({ raw, headers: { 'content-type': type } })

async function loaded(t: Parameters<typeof startAdmin>[0]): Promise<AdminUnderTest> {
  const admin = await startAdmin(t, { kind: 'off' })
  assert.equal((await admin.admin('POST /config', yaml(YAML))).status, 201)
  return admin
}

test('with a database /config is 400, for reading and writing', async (t) => {
  const { admin } = await startAdmin(t)
  for (const target of ['GET /config', 'POST /config']) {
    const { status, body } = await admin(target, target.startsWith('POST') ? { json: { _format_version: '3.0' } } : {})
    assert.deepEqual([status, body], [400, { message: 'this endpoint is only available when Kong is configured to not use a database' }])
  }
})

test('a configuration comes as YAML, as an object, as a member, as a form or as a file', async (t) => {
  const object = { _format_version: '3.0', services: [{ name: 'example-service', host: 'h' }] }
  const multipart = `--B\r\nContent-Disposition: form-data; name="config"; filename="kong.yml"\r\nContent-Type: application/yaml\r\n\r\n${YAML}\r\n--B--\r\n`
  for (const sent of [
    yaml(YAML),
    yaml(YAML, 'application/yaml'),
    { json: object },
    { json: { config: JSON.stringify(object) } },
    { json: { config: YAML } },
    { json: { config: object } },
    { form: `config=${encodeURIComponent(YAML)}` },
    { raw: multipart, headers: { 'content-type': 'multipart/form-data; boundary=B' } },
  ]) {
    const { admin, calls } = await startAdmin(t, { kind: 'off' })
    const reply = await admin('POST /config', sent)
    assert.equal(reply.status, 201, reply.text)
    assert.equal(at(reply.body, 'services', '7a267194-6123-5ee0-a1c9-4c1559eb0d95', 'name'), 'example-service')
    assert.equal(at((await admin('GET /services/example-service')).body, 'host'), 'h')
    assert.deepEqual(calls, ['applyChange'])
  }
})

test('the answer holds the entities by id, the hash is the MD5 of the text', async (t) => {
  const { admin } = await startAdmin(t, { kind: 'off' })
  const { body } = await admin('POST /config', yaml(YAML))
  assert.deepEqual(Object.keys(body as object), ['services', 'routes', 'consumers'])
  assert.deepEqual(at(body, 'routes', 'eeb325b8-afd4-5ba2-a113-c34eeb969c1d', 'service'), { id: '7a267194-6123-5ee0-a1c9-4c1559eb0d95' })
  assert.equal(at((await admin('GET /status')).body, 'configuration_hash'), md5(YAML))
})

test('check_hash=1 answers 304 to the text that is loaded', async (t) => {
  const { admin } = await loaded(t)
  const same = await admin('POST /config?check_hash=1', yaml(YAML))
  assert.deepEqual([same.status, same.text], [304, ''])
  assert.equal((await admin('POST /config?check_hash=true', yaml(YAML))).status, 201)
  assert.equal((await admin('POST /config', { form: `check_hash=1&config=${encodeURIComponent(YAML)}` })).status, 304)
  assert.equal((await admin('POST /config?check_hash=1', yaml(`${YAML}\n`))).status, 201)
})

test('without a configuration, with a broken one and with a bad one the old one stays', async (t) => {
  const { admin } = await loaded(t)
  const none = await admin('POST /config', { json: {} })
  assert.deepEqual([none.status, none.body], [400, { message: 'expected a declarative configuration' }])
  const broken = await admin('POST /config', { json: { config: 'just text' } })
  assert.deepEqual(
    [broken.status, broken.body],
    [
      400,
      {
        code: 14,
        name: 'invalid declarative configuration',
        message: 'declarative config is invalid: {error="failed parsing declarative configuration: expected an object"}',
        fields: { error: 'failed parsing declarative configuration: expected an object' },
      },
    ],
  )
  const bad = await admin('POST /config', { json: { _format_version: '3.0', services: [{ host: 'h' }, {}] } })
  assert.deepEqual(
    [bad.status, bad.body],
    [
      400,
      {
        code: 14,
        name: 'invalid declarative configuration',
        message: 'declarative config is invalid: {services={[2]={host="required field missing"}}}',
        fields: { services: [null, { host: 'required field missing' }] },
      },
    ],
  )
  const hostile = { _format_version: '3.0', services: [{ id: { toString: 1 }, host: 'h' }], check_hash: { toString: 1 } }
  assert.equal((await admin('POST /config', { json: hostile })).status, 400)
  assert.equal((await admin('GET /services/example-service')).status, 200)
  assert.equal(at((await admin('GET /services')).body, 'data', 'length'), 1)
})

test('a good configuration replaces everything', async (t) => {
  const { admin } = await loaded(t)
  assert.equal((await admin('POST /config', { json: { _format_version: '3.0', consumers: [{ username: 'bob' }] } })).status, 201)
  assert.deepEqual(at((await admin('GET /services')).body, 'data'), [])
  assert.equal((await admin('GET /consumers/bob')).status, 200)
  const empty = await admin('POST /config', { json: { _format_version: '3.0' } })
  assert.deepEqual([empty.status, empty.body], [201, {}])
})

test('flatten_errors describes each faulty entity on its own', async (t) => {
  const { admin } = await startAdmin(t, { kind: 'off' })
  const json = {
    _format_version: '3.0',
    services: [{ name: 's', host: 'h', plugins: [{ name: 'openid-connect', config: { redis: { host: 5 } } }] }],
  }
  for (const flag of ['1', 'true', 'ON', 'yes']) {
    const { status, body } = await admin(`POST /config?flatten_errors=${flag}`, { json })
    assert.deepEqual(
      [status, body],
      [
        400,
        {
          code: 14,
          name: 'invalid declarative configuration',
          message: 'declarative config is invalid: {}',
          fields: {},
          flattened_errors: [
            {
              entity_type: 'plugin',
              entity_name: 'openid-connect',
              entity: { name: 'openid-connect', config: { redis: { host: 5 } } },
              errors: [
                { type: 'field', field: 'config.issuer', message: 'required field missing' },
                { type: 'field', field: 'config.redis.host', message: 'expected a string' },
              ],
            },
          ],
        },
      ],
    )
  }
  assert.equal(at((await admin('POST /config?flatten_errors=0', { json })).body, 'flattened_errors'), undefined)
})

test('one load at a time: another is 429 with Retry-After', async (t) => {
  const gate = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const applyChange = () => {
    begun.resolve()
    return gate.promise
  }
  const { admin } = await startAdmin(t, { kind: 'off', applyChange })
  const first = admin('POST /config', yaml(YAML))
  await begun.promise
  const second = await admin('POST /config', yaml(YAML))
  assert.deepEqual(
    [second.status, second.body, second.headers['retry-after']],
    [429, { message: 'Currently loading previous configuration' }, '1'],
  )
  gate.resolve()
  assert.equal((await first).status, 201)
  assert.equal((await admin('POST /config', yaml(YAML))).status, 201)
})

test('GET /config can be posted back and is the same', async (t) => {
  const { admin } = await loaded(t)
  await admin('POST /config', {
    json: {
      _format_version: '3.0',
      services: [
        {
          name: 's',
          host: 'h',
          tags: ['on'],
          plugins: [{ name: 'openid-connect', config: { issuer: 'http://i.test', secret: '{vault://env/x}' } }],
        },
      ],
    },
  })
  const config = String(at((await admin('GET /config')).body, 'config'))
  assert.ok(config.startsWith("_format_version: '3.0'\n_transform: false\n"))
  assert.match(config, /secret: '\{vault:\/\/env\/x\}'/)
  const again = await admin('POST /config', yaml(config))
  assert.equal(again.status, 201, again.text)
  const without = (text: string) => text.replace(/updated_at: \d+/g, '')
  assert.equal(without(String(at((await admin('GET /config')).body, 'config'))), without(config))
})

test('single writes are refused without a database, after everything that can be checked before', async (t) => {
  const { admin } = await loaded(t)
  const route = 'eeb325b8-afd4-5ba2-a113-c34eeb969c1d'
  const refused = 'when not using a database'
  for (const [target, text] of [
    ['POST /routes', `cannot create 'routes' entities ${refused}`],
    [`PUT /routes/${route}`, `cannot create or update 'routes' entities ${refused}`],
    ['PUT /routes/new', `cannot create or update 'routes' entities by 'name' ${refused}`],
    [`PATCH /routes/${route}`, `cannot update 'routes' entities ${refused}`],
    ['PATCH /routes/example-route', `cannot update 'routes' entities by 'name' ${refused}`],
    [`DELETE /routes/${route}`, `cannot remove 'routes' entities ${refused}`],
    ['DELETE /routes/example-route', `cannot remove 'routes' entities by 'name' ${refused}`],
    ['POST /services/example-service/routes', `cannot create 'routes' entities ${refused}`],
  ] as const) {
    const { status, body } = await admin(target, target.startsWith('DELETE') ? {} : { json: { paths: ['/y'] } })
    assert.deepEqual([status, body], [405, { code: 12, name: 'operation unsupported', message: text }], target)
  }
  assert.equal((await admin('POST /services', { json: {} })).status, 400)
  assert.equal((await admin('POST /services', { raw: 'x', headers: { 'content-type': 'text/plain' } })).status, 415)
  assert.equal((await admin('PATCH /services/none', { json: { host: 'h' } })).status, 404)
  assert.equal((await admin(`DELETE /services/${UNKNOWN}`)).status, 204)
  assert.equal((await admin('POST /services/none/routes', { json: { paths: ['/'] } })).status, 404)
  assert.equal((await admin('GET /routes/example-route')).status, 200)
})

/** Kong's own client for declarative configuration against our Admin API, unchanged. Debian's package `deck` has it. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { authority, selfSigned, type TestCertificate } from '../support/certificates.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/temp.ts'
import { createDeck, type Deck, type DeckAnswer, findDeck } from './deck.ts'

const found = findDeck()
const skip = found === null ? 'needs decK (apt-get install deck)' : false

test('decK is installed where everything has to run', { skip: process.env['CI'] !== 'true' }, () => {
  assert.notEqual(found, null)
})

type Stage = AsyncDisposable & { readonly gateway: Gateway; readonly deck: Deck; readonly folder: TemporaryFolder }

async function open(options?: GatewayOptions): Promise<Stage> {
  assert.ok(found)
  const folder = await temporaryFolder()
  const gateway = await startGateway(options)
  return {
    gateway,
    folder,
    deck: createDeck(found, gateway.adminOrigin, folder.path),
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await folder.remove()
    },
  }
}

/** A file as a person writes it: only what is not a default. */
function wanted(formatVersion: string): string {
  return `_format_version: "${formatVersion}"
services:
  - name: orders
    url: http://127.0.0.1:9080/anything
    retries: 0
    tags: [team-a]
    routes:
      - name: orders
        paths: [/orders, "/orders/by-name"]
        methods: [GET, POST]
        hosts: ["*.example.test", orders.test]
        headers: { x-version: [v1, v2] }
        https_redirect_status_code: 308
        strip_path: true
        tags: [team-a]
        plugins:
          - name: oauth2-introspection
            config:
              introspection_url: http://127.0.0.1:8090/token/introspection
              authorization_value: Basic Z2F0ZXdheTpnYXRld2F5LXNlY3JldA==
              custom_claims_forward: [email]
              custom_introspection_headers: { x-a: b }
  - name: reports
    url: https://reports.test
    routes:
      - name: reports
        paths: [/reports]
        protocols: [https]
        regex_priority: 10
        preserve_host: true
    plugins:
      - name: openid-connect
        config:
          issuer: http://127.0.0.1:8090/auth/realms/master
          cache_tokens_salt: 0123456789abcdef0123456789abcdef
          client_id: [gateway, other]
          client_secret: [gateway-secret, other-secret]
          client_auth: [client_secret_basic, client_secret_post]
          auth_methods: [bearer, introspection, password]
          scopes_required: ["orders:read reports:read", admin]
          consumer_claims: [[preferred_username], [realm, user]]
          consumer_optional: true
          upstream_headers_claims: [sub]
          upstream_headers_names: [x-sub]
consumers:
  - username: john
    custom_id: customer-1
    tags: [team-a, vip]
    plugins:
      - name: request-termination
        config: { status_code: 403, message: not you }
  - username: ünï cödé / slash
plugins:
  - name: request-termination
    enabled: false
    config: { status_code: 418 }
`
}

const NAMES = ['ca_certificates', 'certificates', 'consumers', 'plugins', 'routes', 'services', 'snis'] as const

/** What the Admin API shows, by id, without times. */
async function stored({ gateway }: Stage): Promise<Record<string, unknown>> {
  const lists = await Promise.all(
    NAMES.map(async (name) => {
      const { json } = await gateway.admin('GET', `/${name}`)
      const data: unknown = json?.['data']
      assert.ok(Array.isArray(data))
      return [name, data.map(({ created_at, updated_at, ...rest }) => rest).sort((a, b) => (a.id < b.id ? -1 : 1))]
    }),
  )
  return Object.fromEntries(lists)
}

function numberOfEntities(entities: Record<string, unknown>): number {
  return Object.values(entities).reduce((sum: number, list) => sum + (Array.isArray(list) ? list.length : 0), 0)
}

async function succeeds(answer: Promise<DeckAnswer>): Promise<string> {
  const { exitCode, output } = await answer
  assert.equal(exitCode, 0, output)
  return output
}

function summary(output: string): Record<string, number> {
  return Object.fromEntries([...output.matchAll(/^ {2}(Created|Updated|Deleted): (\d+)/gm)].map(([, name, count]) => [name, Number(count)]))
}

async function write({ folder }: Stage, name: string, text: string): Promise<string> {
  await writeFile(join(folder.path, name), text)
  return name
}

async function read({ folder }: Stage, name: string): Promise<Record<string, unknown>> {
  return parse(await readFile(join(folder.path, name), 'utf8'))
}

test('decK connects and sees the version that clients negotiate on', { skip }, async () => {
  await using stage = await open()
  assert.match(await succeeds(stage.deck.ping()), /Kong version:\s+3\.9\./)
})

test('decK: what sync made is dumped, differs in nothing, and comes back the same from the dump', { skip }, async () => {
  await using stage = await open()
  const { deck } = stage
  const file = await write(stage, 'wanted.yaml', wanted(deck.formatVersion))

  const planned = await deck.diff(file)
  assert.equal(planned.exitCode, 2, planned.output)
  assert.equal(numberOfEntities(await stored(stage)), 0, 'diff changes nothing')

  assert.deepEqual(summary(await succeeds(deck.sync(file))), { Created: 10, Updated: 0, Deleted: 0 })
  const made = await stored(stage)
  assert.equal(numberOfEntities(made), 10)
  if (deck.readsSchemas) assert.equal((await deck.diff(file)).exitCode, 0, 'a partial file converges')

  await succeeds(deck.dump('dump.yaml', '--with-id'))
  const same = await deck.diff('dump.yaml')
  assert.equal(same.exitCode, 0, same.output)
  assert.deepEqual(summary(await succeeds(deck.sync('dump.yaml'))), { Created: 0, Updated: 0, Deleted: 0 })
  assert.deepEqual(await stored(stage), made)

  await succeeds(deck.reset())
  assert.equal(numberOfEntities(await stored(stage)), 0, 'reset leaves nothing')
  await succeeds(deck.dump('empty.yaml'))
  assert.deepEqual(Object.keys(await read(stage, 'empty.yaml')), ['_format_version'])

  assert.deepEqual(summary(await succeeds(deck.sync('dump.yaml'))), { Created: 10, Updated: 0, Deleted: 0 })
  assert.deepEqual(await stored(stage), made)
  await succeeds(deck.dump('again.yaml', '--with-id'))
  assert.deepEqual(await read(stage, 'again.yaml'), await read(stage, 'dump.yaml'))
})

test('decK: a change in the file changes only what differs, and what is gone from the file is deleted', { skip }, async () => {
  await using stage = await open()
  const { deck } = stage
  await succeeds(deck.sync(await write(stage, 'wanted.yaml', wanted(deck.formatVersion))))
  await succeeds(deck.dump('dump.yaml', '--with-id'))
  const before = await stored(stage)

  const dump = await readFile(join(stage.folder.path, 'dump.yaml'), 'utf8')
  const changed = dump.replace('status_code: 418', 'status_code: 410').replace('introspect_request: false', 'introspect_request: true')
  assert.deepEqual(summary(await succeeds(deck.sync(await write(stage, 'changed.yaml', changed)))), {
    Created: 0,
    Updated: 2,
    Deleted: 0,
  })
  const plugin = (await stored(stage))['plugins']
  assert.ok(Array.isArray(plugin) && plugin.some(({ config }) => config.status_code === 410))
  assert.ok(Array.isArray(plugin) && plugin.some(({ config }) => config.introspect_request === true))

  await succeeds(deck.sync('dump.yaml'))
  assert.deepEqual(await stored(stage), before)

  const { consumers: _, ...rest } = await read(stage, 'dump.yaml')
  assert.deepEqual(summary(await succeeds(deck.sync(await write(stage, 'fewer.json', JSON.stringify(rest))))), {
    Created: 0,
    Updated: 0,
    Deleted: 3,
  })
  assert.equal(numberOfEntities(await stored(stage)), 7)
})

test('decK carries certificates with their SNIs, authorities, and the services that use them', { skip }, async () => {
  await using stage = await open()
  const { deck, gateway } = stage
  const [pair, other, ca] = [selfSigned({ name: 'a' }), selfSigned({ name: 'b' }), authority()]
  const id = 'b32379d9-3d28-5683-a79c-72139be6e34f'
  const authorityId = 'a32379d9-3d28-5683-a79c-72139be6e34f'
  const file = ({ cert, key }: TestCertificate, ...names: string[]) =>
    JSON.stringify({
      _format_version: deck.formatVersion,
      certificates: [{ id, cert, key, snis: names.map((name) => ({ name })) }],
      ca_certificates: [{ id: authorityId, cert: ca.cert }],
      services: [
        {
          name: 'orders',
          url: 'https://orders.test',
          client_certificate: id,
          tls_verify: true,
          tls_verify_depth: 2,
          ca_certificates: [authorityId],
        },
      ],
    })
  const sync = async (text: string) => summary(await succeeds(deck.sync(await write(stage, 'certificates.json', text))))
  assert.deepEqual(await sync(file(pair, 'a.test', '*.b.test')), { Created: 5, Updated: 0, Deleted: 0 })
  const made = await stored(stage)
  assert.equal(numberOfEntities(made), 5)
  assert.deepEqual((await gateway.admin('GET', '/certificates/a.test')).json?.['snis'], ['*.b.test', 'a.test'])

  await succeeds(deck.dump('dump.yaml', '--with-id'))
  const same = await deck.diff('dump.yaml')
  assert.equal(same.exitCode, 0, same.output)

  // What decK itself does to the names of a certificate that it changes is decK's: in the end the file holds.
  await succeeds(deck.sync(await write(stage, 'rotated.json', file(other, 'a.test'))))
  await succeeds(deck.sync('rotated.json'))
  const { json } = await gateway.admin('GET', '/certificates/a.test')
  assert.deepEqual([json?.['id'], json?.['cert'], json?.['snis']], [id, other.cert, ['a.test']])

  const mismatch = await deck.sync(await write(stage, 'mismatch.json', file({ ...other, key: pair.key }, 'a.test')))
  assert.equal(mismatch.exitCode, 1)
  assert.match(mismatch.output, /certificate does not match key/)
  // Not by reset, which deletes authorities before the services that name them.
  assert.equal((await sync(JSON.stringify({ _format_version: deck.formatVersion }))).Deleted, 4)
  assert.equal(numberOfEntities(await stored(stage)), 0)
})

test('decK: select tags limit what is dumped and deleted', { skip }, async () => {
  await using stage = await open()
  const { deck, gateway } = stage
  await gateway.admin('PUT', '/consumers/other', { tags: ['team-b'] })
  const file = await write(
    stage,
    'tagged.yaml',
    `_format_version: "${deck.formatVersion}"\n_info: { select_tags: [team-a, prod] }\nconsumers: [{ username: john }]\n`,
  )
  assert.deepEqual(summary(await succeeds(deck.sync(file))), { Created: 1, Updated: 0, Deleted: 0 })
  const tags: unknown = (await gateway.admin('GET', '/consumers/john')).json?.['tags']
  assert.ok(Array.isArray(tags))
  assert.deepEqual(tags.sort(), ['prod', 'team-a'])
  await succeeds(deck.dump('team-b.yaml', '--select-tag', 'team-b'))
  const { consumers } = await read(stage, 'team-b.yaml')
  assert.ok(Array.isArray(consumers))
  assert.deepEqual(
    consumers.map(({ username }) => username),
    ['other'],
  )
  assert.equal((await deck.diff(file)).exitCode, 0)
})

test('decK learns the reason when the gateway refuses something, and what was there stays', { skip }, async () => {
  await using stage = await open()
  const { deck, gateway } = stage
  await gateway.admin('PUT', '/services/orders', { url: 'http://127.0.0.1:1' })
  const sync = async (name: string, body: string) =>
    deck.sync(
      await write(
        stage,
        `${name}.yaml`,
        `_format_version: "${deck.formatVersion}"\nservices: [{ name: orders, url: "http://127.0.0.1:1" }]\n${body}`,
      ),
    )

  const upstream = await sync('upstream', 'upstreams: [{ name: pool }]\n')
  assert.equal(upstream.exitCode, 1)
  assert.match(upstream.output, /cannot create or update 'upstreams' entities: not supported by this version/)
  const plugin = await sync('plugin', 'plugins: [{ name: request-termination, config: { status_code: 9 } }]\n')
  assert.equal(plugin.exitCode, 1)
  assert.match(plugin.output, /config\.status_code: value should be between 100 and 599/)
  const unknown = await sync('unknown', 'plugins: [{ name: no-such-plugin }]\n')
  assert.equal(unknown.exitCode, 1)
  assert.match(unknown.output, /no-such-plugin/)
  assert.equal(numberOfEntities(await stored(stage)), 1)
})

test('decK reads a gateway without a database, and is told that it cannot write there', { skip }, async () => {
  await using stage = await open({ database: 'off', declarative: { _format_version: '3.0', consumers: [{ username: 'john' }] } })
  const { deck } = stage
  await succeeds(deck.dump('dump.yaml'))
  assert.deepEqual((await read(stage, 'dump.yaml'))['consumers'], [{ username: 'john' }])
  const refused = await deck.sync(await write(stage, 'wanted.yaml', wanted(deck.formatVersion)))
  assert.equal(refused.exitCode, 1)
  assert.match(refused.output, /when not using a database/)
})

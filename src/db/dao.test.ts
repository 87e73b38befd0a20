import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Database, Entity } from './database.ts'
import { DaoError } from './errors.ts'
import { Clock, NOBODY, openOff, openSqlite, refusal, temporaryFolder } from './fixtures.cases.ts'
import { encodeOffset } from './paging.ts'

const UNSUPPORTED = (message: string) => ({ code: 12, name: 'operation unsupported', message, fields: undefined })

function configOf(plugin: Entity): Readonly<Record<string, unknown>> {
  return plugin['config'] as Readonly<Record<string, unknown>>
}

// ---------------------------------------------------------------------------------------------------------------------------------------- keys

test('a key in UUID form is an id in any letter case, any other the endpoint key', async (context) => {
  const { entities } = await openSqlite(context)
  const id = 'ABCDEF00-0000-4000-8000-00000000000A'
  const service = await entities.services.insert({ id, name: 'svc', host: 'h' })
  assert.equal(service.id, id.toLowerCase())
  for (const key of [id, id.toLowerCase(), 'svc']) assert.deepEqual(await entities.services.select(key), service)
  assert.equal(await entities.services.select(NOBODY), null)
  assert.equal(await entities.services.select('SVC'), null)
})

test('a path key that no entity could bear is refused on every method (code 10)', async (context) => {
  const { services } = (await openSqlite(context)).entities
  const refused = {
    code: 10,
    name: 'invalid unique name',
    message: "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
    fields: undefined,
  }
  for (const work of [services.select('a b'), services.update('a b', {}), services.upsert('a b', {}), services.delete('a b')]) {
    assert.deepEqual(await refusal(work), refused)
  }
})

test('an entity is found by any of its unique fields', async (context) => {
  const { consumers, services } = (await openSqlite(context)).entities
  const bob = await consumers.insert({ username: 'bob', custom_id: 'c/1' })
  assert.deepEqual(await consumers.selectBy('custom_id', 'c/1'), bob)
  assert.equal(await consumers.selectBy('custom_id', 'bob'), null)
  await assert.rejects(services.selectBy('host', 'h'), TypeError)
})

// -------------------------------------------------------------------------------------------------------------------------------------- insert

test('an insert answers the complete entity, in the order of the schema', async (context) => {
  const { consumers } = (await openSqlite(context)).entities
  const bob = await consumers.insert({ tags: ['b', 'a', 'b'], username: 'bob', updated_at: 'ignored' })
  assert.deepEqual(Object.keys(bob), ['id', 'created_at', 'updated_at', 'username', 'custom_id', 'tags'])
  assert.deepEqual(bob, {
    id: bob.id,
    created_at: 1_700_000_000,
    updated_at: 1_700_000_000,
    username: 'bob',
    custom_id: null,
    tags: ['b', 'a'],
  })
})

test('an id of the client is kept, a taken one is refused (code 3), a null one is generated', async (context) => {
  const { consumers } = (await openSqlite(context)).entities
  await consumers.insert({ id: NOBODY, username: 'bob' })
  assert.deepEqual(await refusal(consumers.insert({ id: NOBODY, username: 'other' })), {
    code: 3,
    name: 'primary key violation',
    message: `primary key violation on key '{id="${NOBODY}"}'`,
    fields: { id: NOBODY },
  })
  assert.equal((await refusal(consumers.insert({ id: 'x', username: 'x' }))).message, 'schema violation (id: expected a valid UUID)')
  assert.match((await consumers.insert({ id: null, username: 'n' })).id, /^[0-9a-f-]{36}$/)
})

test('a unique field is unique, case-sensitively, and nulls never collide (code 5)', async (context) => {
  const { consumers } = (await openSqlite(context)).entities
  await consumers.insert({ username: 'bob' })
  await consumers.insert({ username: 'Bob' })
  assert.deepEqual(await refusal(consumers.insert({ username: 'bob' })), {
    code: 5,
    name: 'unique constraint violation',
    message: 'UNIQUE violation detected on \'{username="bob"}\'',
    fields: { username: 'bob' },
  })
  await consumers.insert({ username: 'jane', custom_id: '1' })
  assert.equal((await refusal(consumers.update('bob', { custom_id: '1' }))).message, 'UNIQUE violation detected on \'{custom_id="1"}\'')
})

test('a plugin may be configured once for each combination, nulls included (code 5)', async (context) => {
  const { plugins, services } = (await openSqlite(context)).entities
  const { id } = await services.insert({ name: 'svc', host: 'h' })
  await plugins.insert({ name: 'sample' })
  await plugins.insert({ name: 'sample', service: { id } })
  await plugins.insert({ name: 'open', service: { id }, enabled: false })
  assert.deepEqual(await refusal(plugins.insert({ name: 'sample' })), {
    code: 5,
    name: 'unique constraint violation',
    message: 'UNIQUE violation detected on \'{consumer=null,name="sample",route=null,service=null}\'',
    fields: { consumer: null, name: 'sample', route: null, service: null },
  })
  assert.deepEqual(await refusal(plugins.insert({ name: 'open', service: { name: 'svc' } })), {
    code: 5,
    name: 'unique constraint violation',
    message: `UNIQUE violation detected on '{consumer=null,name="open",route=null,service={id="${id}"}}'`,
    fields: { consumer: null, name: 'open', route: null, service: { id } },
  })
})

test('fields forced by a nested path win over the body', async (context) => {
  const { routes, services } = (await openSqlite(context)).entities
  const { id } = await services.insert({ name: 'svc', host: 'h' })
  const route = await routes.insert({ paths: ['/'], service: { id: NOBODY } }, { force: { service: { id } } })
  assert.deepEqual(route['service'], { id })
})

// ---------------------------------------------------------------------------------------------------------------------------------- references

test('a parent is named by id or by another unique field', async (context) => {
  const { routes, services, consumers, plugins } = (await openSqlite(context)).entities
  const { id } = await services.insert({ name: 'svc', host: 'h' })
  const bob = await consumers.insert({ username: 'bob', custom_id: 'c1' })
  for (const service of [{ id }, { id: id.toUpperCase(), junk: 1 }, { name: 'svc' }, { id: null, name: 'svc' }]) {
    assert.deepEqual((await routes.insert({ paths: ['/'], service }))['service'], { id })
  }
  assert.deepEqual((await plugins.insert({ name: 'open', consumer: { custom_id: 'c1' } }))['consumer'], { id: bob.id })
})

test('a parent that cannot be named, or does not exist, is refused', async (context) => {
  const { routes } = (await openSqlite(context)).entities
  const insert = (service: unknown) => refusal(routes.insert({ paths: ['/'], service }))
  assert.deepEqual(await insert({ id: NOBODY }), {
    code: 4,
    name: 'foreign key violation',
    message: `the foreign key '{id="${NOBODY}"}' does not reference an existing 'services' entity.`,
    fields: { service: { id: NOBODY } },
  })
  assert.deepEqual(await insert({ id: 'x' }), {
    code: 2,
    name: 'schema violation',
    message: 'schema violation (service.id: expected a valid UUID)',
    fields: { service: { id: 'expected a valid UUID' } },
  })
  assert.deepEqual(await insert({ name: 'x' }), {
    code: 13,
    name: 'foreign keys unresolved',
    message:
      "foreign key unresolved (service.name: the foreign key cannot be resolved with '{name=\"x\"}' for an existing 'services' entity)",
    fields: { service: { name: "the foreign key cannot be resolved with '{name=\"x\"}' for an existing 'services' entity" } },
  })
  for (const nobody of [{}, { name: null }, { junk: 1 }]) {
    assert.equal((await insert(nobody)).message, 'schema violation (service.id: missing primary key)')
  }
  assert.equal((await insert('svc')).message, 'schema violation (service: expected a record)')
  assert.equal((await insert({ name: 5 })).message, 'schema violation (service.name: expected a string)')
})

test('several parents that cannot be found are named together (code 13)', async (context) => {
  const { plugins } = (await openSqlite(context)).entities
  const { code, message } = await refusal(plugins.insert({ name: 'open', service: { name: 's' }, route: { name: 'r' } }))
  assert.equal(code, 13)
  assert.match(
    message,
    /^2 foreign keys unresolved \(route\.name: the foreign key .*'routes' entity; service\.name: the foreign key .*'services' entity\)$/,
  )
})

// -------------------------------------------------------------------------------------------------------------------------------------- update

test('a PATCH merges records, replaces lists, keeps the rest and the time of creation', async (context) => {
  const clock = new Clock()
  const { plugins } = (await openSqlite(context, undefined, clock)).entities
  const plugin = await plugins.insert({ name: 'sample', config: { secrets: ['a', 'b'], redis: { password: 'p' } }, tags: ['t'] })
  clock.nowS += 10
  const patched = await plugins.update(plugin.id, { config: { secrets: ['c'], redis: { port: 1 } } })
  assert.deepEqual(patched, {
    ...plugin,
    updated_at: clock.nowS,
    config: { ...configOf(plugin), secrets: ['c'], redis: { password: 'p', port: 1 } },
  })
  assert.deepEqual(await plugins.select(plugin.id), patched)
})

test('a PATCH of nothing is refused (code 6), by id and by key', async (context) => {
  const { services } = (await openSqlite(context)).entities
  assert.deepEqual(await refusal(services.update(NOBODY, {})), {
    code: 6,
    name: 'not found',
    message: `could not find the entity with primary key '{id="${NOBODY}"}'`,
    fields: { id: NOBODY },
  })
  assert.equal((await refusal(services.update('foo', { port: 'bad' }))).message, 'could not find the entity with \'{name="foo"}\'')
})

test('a PATCH keeps the addressed id, may rename, and checks the merged entity', async (context) => {
  const { services, consumers } = (await openSqlite(context)).entities
  const service = await services.insert({ name: 'a', host: 'h' })
  const renamed = await services.update('a', { id: NOBODY, name: 'b' })
  assert.deepEqual([renamed.id, renamed['name']], [service.id, 'b'])
  await consumers.insert({ username: 'bob' })
  assert.equal(
    (await refusal(consumers.update('bob', { username: null }))).message,
    "schema violation (when updating, at least one of these fields must be non-empty: 'custom_id', 'username')",
  )
})

test('a PATCH resolves, checks and clears references', async (context) => {
  const { routes, services } = (await openSqlite(context)).entities
  const { id } = await services.insert({ name: 'svc', host: 'h' })
  const route = await routes.insert({ paths: ['/'] })
  assert.deepEqual((await routes.update(route.id, { service: { name: 'svc' } }))['service'], { id })
  assert.equal((await refusal(routes.update(route.id, { service: { id: NOBODY } }))).code, 4)
  assert.equal((await routes.update(route.id, { service: null }))['service'], null)
})

test('a plugin moves to another parent, and must be unique there', async (context) => {
  const { plugins, routes, services } = (await openSqlite(context)).entities
  const service = await services.insert({ name: 'svc', host: 'h' })
  const route = await routes.insert({ paths: ['/'] })
  const plugin = await plugins.insert({ name: 'sample', route: { id: route.id } })
  const moved = await plugins.update(plugin.id, { route: null, service: { id: service.id } })
  assert.deepEqual([moved['route'], moved['service']], [null, { id: service.id }])
  const other = await plugins.insert({ name: 'sample' })
  assert.equal((await refusal(plugins.update(other.id, { service: { id: service.id } }))).code, 5)
})

// -------------------------------------------------------------------------------------------------------------------------------------- upsert

test('a PUT by id creates under that id, and replaces what it does not name', async (context) => {
  const clock = new Clock()
  const { services } = (await openSqlite(context, undefined, clock)).entities
  const created = await services.upsert(NOBODY, {
    id: '11111111-1111-4111-8111-111111111111',
    name: 'a',
    host: 'h',
    tags: ['t'],
    retries: 1,
  })
  assert.equal(created.id, NOBODY)
  clock.nowS += 10
  const replaced = await services.upsert(NOBODY, { name: 'b', host: 'h' })
  assert.deepEqual(
    [replaced['name'], replaced['tags'], replaced['retries'], replaced['created_at'], replaced['updated_at']],
    ['b', null, 5, clock.nowS, clock.nowS],
  )
  assert.equal((await services.upsert(NOBODY, { host: 'h', created_at: 5 }))['created_at'], 5)
  assert.equal((await refusal(services.upsert(NOBODY, {}))).message, 'schema violation (host: required field missing)')
})

test('a PUT by key keeps the id of what is there, and the path wins over the body', async (context) => {
  const { services } = (await openSqlite(context)).entities
  const created = await services.upsert('a', { id: NOBODY, name: 'other', host: 'h' })
  assert.deepEqual([created.id, created['name']], [NOBODY, 'a'])
  const replaced = await services.upsert('a', { id: '11111111-1111-4111-8111-111111111111', host: 'h2' })
  assert.deepEqual([replaced.id, replaced['host']], [NOBODY, 'h2'])
  assert.equal((await refusal(services.upsert('b', { id: NOBODY, host: 'h' }))).code, 3)
  assert.equal((await services.all()).length, 1)
})

test('a PUT keeps uniqueness against all others, and not against itself', async (context) => {
  const { plugins, consumers } = (await openSqlite(context)).entities
  const plugin = await plugins.insert({ name: 'sample' })
  await plugins.upsert(plugin.id, { name: 'sample', config: { ttl: 1 } })
  assert.equal((await refusal(plugins.upsert(NOBODY, { name: 'sample' }))).code, 5)
  await consumers.insert({ username: 'bob' })
  assert.equal((await refusal(consumers.upsert(NOBODY, { username: 'bob' }))).code, 5)
})

test('a PUT that does not name a generated value keeps it, so that clients converge (Kong/deck#1893)', async (context) => {
  const { plugins } = (await openSqlite(context)).entities
  const plugin = await plugins.insert({ name: 'sample', config: { ttl: 5 } })
  const { salt } = configOf(plugin)
  assert.match(String(salt), /^[0-9a-z]{32}$/)
  for (const body of [{ name: 'sample' }, { name: 'sample', config: { ttl: 6 } }]) {
    assert.equal(configOf(await plugins.upsert(plugin.id, body))['salt'], salt)
  }
  assert.equal(configOf(await plugins.upsert(plugin.id, { name: 'sample' }))['ttl'], 30)
  assert.equal(configOf(await plugins.upsert(plugin.id, { name: 'sample', config: { salt: 'mine' } }))['salt'], 'mine')
  assert.equal(configOf(await plugins.upsert(plugin.id, { name: 'sample', config: { salt: null } }))['salt'], null)
  assert.deepEqual((await plugins.upsert(plugin.id, { name: 'open' }))['config'], { note: null })
  assert.equal(
    (await refusal(plugins.upsert(plugin.id, { name: 'sample', config: 5 }))).message,
    'schema violation (config: expected a record)',
  )
})

// -------------------------------------------------------------------------------------------------------------------------------------- delete

test('a delete takes children along or is refused by them, as the schemas say (code 4)', async (context) => {
  const { plugins, routes, services, consumers } = (await openSqlite(context)).entities
  await services.insert({ name: 'svc', host: 'h' })
  const route = await routes.insert({ paths: ['/'], service: { name: 'svc' } })
  await consumers.insert({ username: 'bob' })
  await plugins.insert({ name: 'sample', service: { name: 'svc' } })
  await plugins.insert({ name: 'sample', route: { id: route.id } })
  await plugins.insert({ name: 'open', consumer: { username: 'bob' } })
  assert.deepEqual(await refusal(services.delete('svc')), {
    code: 4,
    name: 'foreign key violation',
    message: "an existing 'routes' entity references this 'services' entity",
    fields: { '@referenced_by': 'routes' },
  })
  assert.equal((await plugins.all()).length, 3)
  assert.equal(await routes.delete(route.id), true)
  assert.equal((await plugins.all()).length, 2)
  assert.equal(await services.delete('svc'), true)
  assert.equal(await consumers.delete('bob'), true)
  assert.deepEqual(await plugins.all(), [])
  for (const key of ['bob', NOBODY]) assert.equal(await consumers.delete(key), false)
})

// ----------------------------------------------------------------------------------------------------------------------------------- protocols

test('a plugin that names protocols must share one with its route', async (context) => {
  const { plugins, routes, services } = (await openSqlite(context)).entities
  await services.insert({ name: 'svc', host: 'h' })
  const route = await routes.insert({ name: 'r', paths: ['/'], protocols: ['https'], service: { name: 'svc' } })
  const refused = {
    code: 2,
    name: 'schema violation',
    message: "schema violation (protocols: must match the associated route's protocols)",
    fields: { protocols: "must match the associated route's protocols" },
  }
  for (const reference of [{ id: route.id }, { name: 'r' }]) {
    assert.deepEqual(await refusal(plugins.insert({ name: 'sample', route: reference, protocols: ['http'] })), refused)
    assert.deepEqual(await refusal(plugins.upsert(NOBODY, { name: 'sample', route: reference, protocols: ['http'] })), refused)
  }
  const plugin = await plugins.insert({ name: 'sample', route: { id: route.id } })
  assert.deepEqual(await refusal(plugins.update(plugin.id, { protocols: ['http'] })), refused)
  const loose = await plugins.insert({ name: 'open', protocols: ['http'] })
  assert.deepEqual(await refusal(plugins.update(loose.id, { route: { name: 'r' } })), refused)
  await plugins.update(loose.id, { enabled: false })
})

test('a plugin that names protocols must share one with a route of its service, where there is any', async (context) => {
  const { plugins, routes, services } = (await openSqlite(context)).entities
  await services.insert({ name: 'svc', host: 'h' })
  const body = { name: 'sample', service: { name: 'svc' }, protocols: ['http'] }
  const { id } = await plugins.insert(body)
  await routes.insert({ paths: ['/'], protocols: ['https'], service: { name: 'svc' } })
  assert.equal(
    (await refusal(plugins.upsert(id, body))).message,
    "schema violation (protocols: must match the protocols of at least one route pointing to this Plugin's service)",
  )
  await routes.insert({ paths: ['/'], protocols: ['http'], service: { name: 'svc' } })
  await plugins.upsert(id, body)
})

// --------------------------------------------------------------------------------------------------------------------------------------- pages

test('pages go by ascending id and join without a gap or a double', async (context) => {
  const { consumers } = (await openSqlite(context)).entities
  for (let index = 0; index < 7; index++) await consumers.insert({ username: `user-${index}` })
  const all = await consumers.all()
  assert.deepEqual(
    all.map((consumer) => consumer.id),
    all.map((consumer) => consumer.id).toSorted(),
  )
  const seen: Entity[] = []
  let offset: string | null | undefined
  do {
    const page = await consumers.page({ size: 3, ...(offset === undefined || offset === null ? {} : { offset }) })
    seen.push(...page.data)
    offset = page.offset
    if (offset !== null) assert.equal(Buffer.from(offset, 'base64').toString(), JSON.stringify([page.data.at(-1)?.id]))
  } while (offset !== null)
  assert.deepEqual(seen, all)
  assert.equal((await consumers.page({ size: 7 })).offset, null)
  assert.doesNotMatch(encodeOffset(NOBODY), /=/)
})

test('a bad offset is refused (code 7), a bad size too (code 9)', async (context) => {
  const { consumers } = (await openSqlite(context)).entities
  const offset = (text: string) => refusal(consumers.page({ offset: text }))
  assert.deepEqual(await offset('%'), {
    code: 7,
    name: 'invalid offset',
    message: "'%' is not a valid offset: bad base64 encoding",
    fields: undefined,
  })
  for (const bad of ['', 'x y']) assert.equal((await offset(bad)).message, `'${bad}' is not a valid offset: bad base64 encoding`)
  for (const text of ['x', '[]', '{}', '["x"]', `["${NOBODY}",1]`]) {
    const token = Buffer.from(text).toString('base64')
    assert.equal((await offset(token)).message, `'${token}' is not a valid offset: bad json encoding`)
  }
  const size = (number: number) => refusal(consumers.page({ size: number }))
  assert.deepEqual(await size(Number.NaN), { code: 9, name: 'invalid size', message: 'size must be a number', fields: undefined })
  for (const bad of [0, 1001, 1.5, -1]) assert.equal((await size(bad)).message, 'size must be an integer between 1 and 1000')
})

test('a page may hold the bearers of tags, or the children of a parent', async (context) => {
  const { routes, services } = (await openSqlite(context)).entities
  const { id } = await services.insert({ name: 'svc', host: 'h', tags: ['a', 'b'] })
  await services.insert({ name: 'other', host: 'h', tags: ['a'] })
  await routes.insert({ paths: ['/'], service: { id } })
  await routes.insert({ paths: ['/'] })
  const names = async (tags: string[], match: 'all' | 'any') =>
    (await services.page({ tags: { names: tags, match } })).data.map((found) => found['name']).sort()
  assert.deepEqual(await names(['a', 'b'], 'all'), ['svc'])
  assert.deepEqual(await names(['a', 'b'], 'any'), ['other', 'svc'])
  assert.equal((await routes.page({ parent: { field: 'service', id } })).data.length, 1)
})

// -------------------------------------------------------------------------------------------------------------------------------------- events

test('every durable change is announced, a refused one is not, and a failing listener harms no writer', async (context) => {
  const database = await openSqlite(context)
  const { consumers } = database.entities
  let count = 0
  const stop = database.onChange(() => count++)
  const warned = new Promise<void>((resolve) => {
    const listen = (warning: Error) => {
      if (warning.message === 'a listener failed') resolve()
    }
    process.on('warning', listen)
    context.after(() => process.off('warning', listen))
  })
  const stopFailing = database.onChange(() => {
    throw new Error('a listener failed')
  })
  await consumers.insert({ username: 'bob' })
  stopFailing()
  await warned
  await consumers.update('bob', { custom_id: '1' })
  await consumers.upsert('bob', {})
  await refusal(consumers.insert({ username: 'bob' }))
  await consumers.delete('nobody')
  await consumers.delete('bob')
  assert.equal(count, 4)
  await database.objects.put('p', 'k', 'key', {})
  await database.objects.delete('p', 'k', 'other')
  await database.objects.delete('p', 'k')
  assert.equal(count, 6)
  stop()
  await consumers.insert({ username: 'bob' })
  assert.equal(count, 6)
})

test('a database takes no declarative configuration (code 12)', async (context) => {
  const database = await openSqlite(context)
  const tree = await database.export()
  assert.equal((await refusal(database.replace(tree, '0'.repeat(32)))).code, 12)
})

test('an object is found by plugin, kind and key', async (context) => {
  const { objects } = await openSqlite(context)
  const object = await objects.put('p', 'jwks', 'k', { a: [1] })
  assert.deepEqual(await objects.get('p', 'jwks', 'k'), object)
  assert.equal(await objects.get('p', 'jwks', 'other'), null)
  assert.deepEqual(await objects.list('p', 'jwks'), [object])
})

// ------------------------------------------------------------------------------------------------------------------------- without a database

test("without a database single writes are refused, after the checks and in Kong's words (code 12)", async (context) => {
  const source = await openSqlite(context)
  const service = await source.entities.services.insert({ name: 'svc', host: 'h' })
  await source.entities.routes.insert({ name: 'r', paths: ['/'], service: { id: service.id } })
  const off = await openOff(context)
  await off.replace(await source.export(), '1'.repeat(32))
  const { services, routes } = off.entities
  const route = { paths: ['/'] }
  const none = 'when not using a database'

  assert.deepEqual(await refusal(routes.insert(route)), UNSUPPORTED(`cannot create 'routes' entities ${none}`))
  assert.deepEqual(await refusal(routes.upsert(NOBODY, route)), UNSUPPORTED(`cannot create or update 'routes' entities ${none}`))
  assert.deepEqual(await refusal(routes.upsert('r', route)), UNSUPPORTED(`cannot create or update 'routes' entities by 'name' ${none}`))
  assert.deepEqual(await refusal(services.update(service.id, {})), UNSUPPORTED(`cannot update 'services' entities ${none}`))
  assert.deepEqual(await refusal(services.update('svc', {})), UNSUPPORTED(`cannot update 'services' entities by 'name' ${none}`))
  assert.deepEqual(await refusal(services.delete(service.id)), UNSUPPORTED(`cannot remove 'services' entities ${none}`))
  assert.deepEqual(await refusal(services.delete('svc')), UNSUPPORTED(`cannot remove 'services' entities by 'name' ${none}`))

  assert.equal((await refusal(services.insert({}))).code, 2)
  assert.equal((await refusal(services.update('svc', { port: 'x' }))).code, 2)
  assert.equal((await refusal(routes.insert({ ...route, service: { name: 'x' } }))).code, 13)
  assert.equal((await refusal(services.update(NOBODY, {}))).code, 6)
  assert.equal((await refusal(services.upsert('a b', { host: 'h' }))).code, 10)
  assert.equal(await services.delete(NOBODY), false)
  assert.deepEqual(await off.export(), await source.export())
})

test('reads are the same with and without a database', async (context) => {
  const source = await openSqlite(context)
  for (let index = 0; index < 5; index++) await source.entities.consumers.insert({ username: `user-${index}`, tags: [`t${index % 2}`] })
  const off = await openOff(context)
  await off.replace(await source.export(), '1'.repeat(32))
  const read = async ({ entities }: Database) => {
    const first = await entities.consumers.page({ size: 2 })
    return [
      first,
      await entities.consumers.page({ size: 2, offset: first.offset ?? '' }),
      await entities.consumers.page({ tags: { names: ['t1'], match: 'all' } }),
      await entities.consumers.select('user-3'),
      await refusal(entities.consumers.page({ offset: '%' })),
      await refusal(entities.services.select('a b')),
    ]
  }
  assert.deepEqual(await read(off), await read(source))
})

// ------------------------------------------------------------------------------------------------------------------------------------ property

type Step =
  | { readonly kind: 'insert' | 'upsert' | 'update'; readonly key: string; readonly username: string; readonly custom: string | null }
  | { readonly kind: 'delete'; readonly key: string }

const names = fc.constantFrom('a', 'b', 'c')
const customs = fc.option(fc.constantFrom('1', '2'), { nil: null })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('insert' as const, 'upsert' as const, 'update' as const),
      key: names,
      username: names,
      custom: customs,
    }),
    fc.record({ kind: fc.constant('delete' as const), key: names }),
  ),
  { maxLength: 25 },
)

/** Usernames with their custom_id, changed as the rules say; the answer tells whether the step is allowed. */
function applyToModel(model: Map<string, string | null>, step: Step): boolean {
  if (step.kind === 'delete') return model.delete(step.key) || true
  const { key, custom } = step
  const username = step.kind === 'upsert' ? key : step.username
  if (step.kind === 'update' && !model.has(key)) return false
  const self = step.kind === 'insert' ? undefined : key
  const others = [...model].filter(([name]) => name !== self)
  if (others.some(([name, taken]) => name === username || (custom !== null && taken === custom))) return false
  if (step.kind === 'update') model.delete(key)
  model.set(username, custom)
  return true
}

async function applyToDatabase({ entities: { consumers } }: Database, step: Step): Promise<boolean> {
  try {
    if (step.kind === 'delete') await consumers.delete(step.key)
    if (step.kind === 'insert') await consumers.insert({ username: step.username, custom_id: step.custom })
    if (step.kind === 'update') await consumers.update(step.key, { username: step.username, custom_id: step.custom })
    if (step.kind === 'upsert') await consumers.upsert(step.key, { custom_id: step.custom })
    return true
  } catch (error) {
    if (error instanceof DaoError && (error.code === 5 || error.code === 6)) return false
    throw error
  }
}

test('whatever is written in whatever order, what is stored is what the rules of uniqueness allow', async (context) => {
  const database = await openSqlite(context)
  const { consumers } = database.entities
  const property = fc.asyncProperty(steps, async (sequence) => {
    for (const { id } of await consumers.all()) await consumers.delete(id)
    const model = new Map<string, string | null>()
    for (const step of sequence) {
      const allowed = applyToModel(model, step)
      assert.equal(await applyToDatabase(database, step), allowed)
    }
    const stored = (await consumers.all()).map((found) => [found['username'], found['custom_id']])
    assert.deepEqual(stored.sort(), [...model].sort())
  })
  await fc.assert(property, { numRuns: 60 })
})

test('of writes that start at once for one name, one wins and nothing is left half done', async (context) => {
  const database = await openSqlite(context, await temporaryFolder(context))
  const { consumers } = database.entities
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => consumers.insert({ username: 'bob' })))
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1)
  assert.equal((await consumers.all()).length, 1)
})

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { authority, selfSigned, type TestCertificate } from '../../../test/support/certificates.ts'
import { entitySchemas } from '../../entities/index.ts'
import type { PluginShape } from '../../entities/plugin.ts'
import { field } from '../../schema/field.ts'
import type { EntityTree } from '../database.ts'
import { createDatabase } from '../open.ts'
import { DeclarativeError } from './errors.ts'
import { entitiesById, exportDeclarative } from './export.ts'
import { generatedId } from './identity.ts'
import { loadDeclarativeFile, loadDeclarativeText } from './load.ts'
import { migratePath } from './migrate.ts'
import { hashOf, parseDeclarative, readDeclarative } from './parse.ts'

const config = field.record({
  required: true,
  fields: {
    url: field.url({ required: true }),
    ttl: field.integer({ default: 30 }),
    redis: field.record({ required: true, fields: { port: field.integer({ default: 6379, between: [0, 65_535] }) } }),
    methods: field.array({ elements: field.string({ oneOf: ['a', 'b'] }) }),
  },
  checks: [{ kind: 'mutually_exclusive', fields: ['ttl', 'methods'] }],
})
const auth: PluginShape = { subschema: { fields: { consumer: field.foreign('consumers', { eq: null }), config } } }
const open: PluginShape = { subschema: { fields: { config: field.record({ required: true, fields: {} }) } } }
const plugins = new Map([
  ['oauth2-introspection', auth],
  ['openid-connect', auth],
  ['key-auth', open],
])
const schemas = entitySchemas(plugins)
const NOW = 1_700_000_000
const URL_LINE = 'config: {url: http://idp.test}'

const parse = (text: string, format?: 'yaml' | 'json') =>
  parseDeclarative(text, { schemas, nowS: NOW, ...(format === undefined ? {} : { format }) })
const yaml = (body: string) => parse(`_format_version: "3.0"\n${body}`)

function refused(text: string, format?: 'yaml' | 'json'): DeclarativeError {
  try {
    parse(text, format)
  } catch (error) {
    assert.ok(error instanceof DeclarativeError, String(error))
    return error
  }
  return assert.fail('was accepted')
}
const refusedYaml = (body: string) => refused(`_format_version: "3.0"\n${body}`)
const ids = (tree: EntityTree, name: keyof EntityTree) => tree[name].map(({ id }) => id)

// ------------------------------------------------------------------------------------------------------------------------------------ identity

test('generated ids are the ones that Kong and go-kong generate', () => {
  for (const [name, key, id] of [
    ['services', 'some.service.name', 'd9bee1f8-db6e-5a37-9281-fd4aca16dc00'],
    ['routes', 'some.service.name', '7f0753cd-bff2-5f74-85b0-e8e2057d9500'],
    ['consumers', 'some.username', '782780c4-d345-5682-bdf6-722dccaf93e0'],
    ['services', 'example-service', '7a267194-6123-5ee0-a1c9-4c1559eb0d95'],
    ['routes', 'example-route', 'eeb325b8-afd4-5ba2-a113-c34eeb969c1d'],
    ['consumers', 'alice', 'b32379d9-3d28-5683-a79c-72139be6e34f'],
    ['upstreams', 'example-upstream', '6a3a4ce5-c699-55a9-a127-d002daeaa855'],
    ['targets', 'targets:*:6a3a4ce5-c699-55a9-a127-d002daeaa855:httpbin.test:80', '816b4d70-91e7-5181-9393-0f44eec0c8e5'],
    ['plugins', 'plugins:*:key-auth:::', '6b4f38d1-e026-540b-a5ea-8634739dd2a7'],
    ['basicauth_credentials', 'basicauth_credentials:*:alice', '1ee08b36-0e31-553f-bc05-85227e1a7ca8'],
    ['acls', 'acls:*:b32379d9-3d28-5683-a79c-72139be6e34f:gold', '44ba2b41-bb53-5fbb-a809-f2ba8cc37f0c'],
  ] as const) {
    assert.equal(generatedId(name, key), id, `${name} ${key}`)
  }
})

test('a nested file gets the generated ids, and every entity its defaults, timestamps and parent', () => {
  const { tree } = yaml(`
services:
  - name: example-service
    url: http://h.test/base
    plugins:
      - name: oauth2-introspection
        ${URL_LINE}
    routes:
      - name: example-route
        paths: [/x]
        plugins:
          - name: openid-connect
            ${URL_LINE}
consumers:
  - username: alice
plugins:
  - name: key-auth
`)
  assert.deepEqual(ids(tree, 'services'), ['7a267194-6123-5ee0-a1c9-4c1559eb0d95'])
  assert.deepEqual(ids(tree, 'routes'), ['eeb325b8-afd4-5ba2-a113-c34eeb969c1d'])
  assert.deepEqual(ids(tree, 'consumers'), ['b32379d9-3d28-5683-a79c-72139be6e34f'])
  assert.deepEqual(ids(tree, 'plugins').sort(), [
    '6b4f38d1-e026-540b-a5ea-8634739dd2a7',
    '99ec7cb5-5b0d-59b7-a63f-4f178f2c4b97',
    'a7fdd78f-fe50-5f98-a8c4-f61e1c55032e',
  ])
  const [service] = tree.services
  assert.equal(service?.['host'], 'h.test')
  assert.equal(service?.['path'], '/base')
  assert.equal(service?.['created_at'], NOW)
  assert.deepEqual(tree.routes[0]?.['service'], { id: service?.id })
  const plugin = tree.plugins.find(({ id }) => id === 'a7fdd78f-fe50-5f98-a8c4-f61e1c55032e')
  assert.deepEqual(plugin?.['route'], { id: tree.routes[0]?.id })
  assert.equal(plugin?.['service'], null)
  assert.deepEqual(plugin?.['config'], { url: 'http://idp.test', ttl: 30, redis: { port: 6379 }, methods: null })
})

test('an id in the file wins; without any key an entity gets a random one', () => {
  const { tree } = yaml(`
services:
  - {id: 11111111-1111-4111-8111-11111111111A, name: a, host: h}
  - {host: h}
  - {host: h}`)
  const [first, second, third] = ids(tree, 'services')
  assert.equal(first, '11111111-1111-4111-8111-11111111111a')
  assert.notEqual(second, third)
})

// ---------------------------------------------------------------------------------------------------------------------------------- references

test('at top level a reference is a name, an id or an object, and may come before what it names', () => {
  const { tree } = yaml(`
routes:
  - {name: r1, paths: [/1], service: s}
  - {name: r2, paths: [/2], service: 11111111-1111-4111-8111-111111111111}
  - {name: r3, paths: [/3], service: {id: 11111111-1111-4111-8111-111111111111}}
  - {name: r4, paths: [/4], service: {name: s}}
  - {name: r5, paths: [/5]}
services:
  - {id: 11111111-1111-4111-8111-111111111111, name: s, host: h}`)
  const parents = tree.routes.map(({ service }) => service)
  const link = { id: '11111111-1111-4111-8111-111111111111' }
  assert.deepEqual(parents, [link, link, link, link, null])
})

test("a top-level child written with its parent's name has another id than a nested one", () => {
  const { tree } = yaml(`
services: [{name: example-service, host: h}]
plugins: [{name: oauth2-introspection, service: example-service, ${URL_LINE}}]`)
  assert.equal(tree.plugins[0]?.id, generatedId('plugins', 'plugins:*:oauth2-introspection::example-service:'))
})

test('an unresolved reference is filed under the name of the child', () => {
  const error = refusedYaml('routes: [{name: r, paths: [/], service: foo}]')
  assert.deepEqual(error.fields, { routes: { r: ["invalid reference 'service: foo' (no such entry in 'services')"] } })
  assert.match(error.lines.join('\n'), /in 'r':\n.*- in entry 1 of 'r': invalid reference .*\(line 2, column 10\)$/)
})

test('an unresolved reference without name is filed by position, and beside other faults the list becomes a record', () => {
  const text = "invalid reference 'service: foo' (no such entry in 'services')"
  assert.deepEqual(refusedYaml('routes: [{paths: [/a]}, {paths: [/], service: foo}]').fields, { routes: [null, [text]] })
  assert.deepEqual(refusedYaml('routes: [{paths: 1}, {name: x, paths: [/], service: foo}]').fields, {
    routes: { '1': { paths: 'expected an array' }, x: [text] },
  })
})

test('in a nested child the parent wins, other references resolve or must be null', () => {
  const { tree } = yaml(`
services:
  - {name: s, host: h, plugins: [{name: key-auth, service: other, consumer: bob}]}
  - {name: other, host: h}
consumers: [{username: bob}]`)
  assert.deepEqual(tree.plugins[0]?.['service'], { id: generatedId('services', 's') })
  assert.deepEqual(tree.plugins[0]?.['consumer'], { id: generatedId('consumers', 'bob') })
  const error = refusedYaml('services: [{name: s, host: h, plugins: [{name: key-auth, consumer: nobody}]}]')
  assert.deepEqual(error.fields, { services: [{ plugins: [{ consumer: 'value must be null' }] }] })
})

// ---------------------------------------------------------------------------------------------------------------------------------- uniqueness

test('names, ids and combinations are declared once, nested or not', () => {
  const id = '11111111-1111-4111-8111-111111111111'
  const cases: readonly (readonly [string, unknown])[] = [
    [
      'services: [{name: foo, host: h}, {name: foo, host: h}]',
      { services: [null, "uniqueness violation: 'services' entity with name set to 'foo' already declared"] },
    ],
    [
      `services: [{id: ${id}, host: h}, {id: ${id}, host: h}]`,
      { services: [null, `uniqueness violation: 'services' entity with primary key set to '${id}' already declared`] },
    ],
    [
      'consumers: [{username: a, custom_id: x}, {username: b, custom_id: x}]',
      { consumers: [null, "uniqueness violation: 'consumers' entity with custom_id set to 'x' already declared"] },
    ],
    [
      'plugins: [{name: key-auth}, {name: key-auth}]',
      {
        plugins: [
          null,
          "uniqueness violation: 'plugins' entity with primary key set to '6b4f38d1-e026-540b-a5ea-8634739dd2a7' already declared",
        ],
      },
    ],
    [
      'routes: [{name: r, paths: [/]}]\nservices: [{name: s, host: h, routes: [{name: r, paths: [/]}]}]',
      { routes: ["uniqueness violation: 'routes' entity with name set to 'r' already declared"] },
    ],
  ]
  for (const [body, fields] of cases) assert.deepEqual(refusedYaml(body).fields, fields, body)
})

test('the same plugin on the same parent is refused however the two are written', () => {
  const error = refusedYaml('services: [{name: s, host: h, plugins: [{name: key-auth}]}]\nplugins: [{name: key-auth, service: s}]')
  assert.match(
    String((error.fields as { plugins: unknown[] }).plugins[0]),
    /^uniqueness violation: 'plugins' entity with name, route, service, consumer set to 'key-auth, /,
  )
})

// -------------------------------------------------------------------------------------------------------------------------------------- errors

test('faults mirror the input, and the message prints them in Lua notation', () => {
  const error = refusedYaml('services: [{name: a, host: h}, {name: b}]')
  assert.equal(error.code, 14)
  assert.equal(error.name, 'invalid declarative configuration')
  assert.deepEqual(error.fields, { services: [null, { host: 'required field missing' }] })
  assert.equal(error.message, 'declarative config is invalid: {services={[2]={host="required field missing"}}}')
})

test('every fault is reported at once, the ones of nested entities in their place', () => {
  const error = refusedYaml(`
services:
  - name: s
    protocol: gopher
    host: h
    routes:
      - {name: r, paths: [/]}
      - {name: q, pathss: [/], plugins: [{name: nope}, 7]}
    plugins: {not: a list}`)
  const { services } = error.fields as { services: readonly Record<string, unknown>[] }
  assert.match(String(services[0]?.['protocol']), /^expected one of: /)
  assert.equal(services[0]?.['plugins'], 'expected an array')
  assert.deepEqual(services[0]?.['routes'], [
    null,
    {
      '@entity': ["must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"],
      pathss: 'unknown field',
      plugins: [{ name: "plugin 'nope' not enabled; add it to the 'plugins' configuration property" }, 'expected a record'],
    },
  ])
})

test('the head of the file: version, unknown keys, keys of decK', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['services: []', { _format_version: 'required field missing' }],
    ['_format_version: 3.0', { _format_version: 'expected a string' }],
    ['_format_version: "4.0"', { _format_version: 'expected one of: 1.1, 2.1, 3.0' }],
    ['_format_version: "3.0"\n_transform: 1', { _transform: 'expected a boolean' }],
    [
      '_format_version: "3.0"\n_info: {}\nfoo: 1\n__proto__: 2',
      Object.fromEntries(['_info', 'foo', '__proto__'].map((name) => [name, 'unknown field'])),
    ],
    ['_format_version: "3.0"\nservices: {a: b}', { services: 'expected an array' }],
  ]
  for (const [text, fields] of cases) assert.deepEqual(refused(text).fields, fields, text)
  assert.deepEqual(
    yaml('_comment: x\n_ignore: [1]\n_transform: false\nservices: [{host: h, _comment: y, _ignore: [2]}]\nroutes: null').tree.routes,
    [],
  )
})

test('entities that do not exist yet may be empty lists and nothing else', () => {
  assert.deepEqual(
    yaml('upstreams: []\ncertificates: null\nconsumers: [{username: a, keyauth_credentials: [], groups: []}]').tree.services,
    [],
  )
  assert.deepEqual(refusedYaml('upstreams: [{name: u}]\nsnis: 1\nconsumers: [{username: a, acls: [{group: g}]}]').fields, {
    upstreams: 'not available yet',
    snis: 'expected an array',
    consumers: [{ acls: 'not available yet' }],
  })
})

test('what cannot be read at all is one error, with its place and without the text', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /: expected an object$/],
    ['just text', /: expected an object$/],
    ['a: b: c', /: Nested mappings .* at line 1, column 4$/],
    ['a: &x [*y]', /: unknown alias 'y' at line 1, column 8$/],
    ['a: 1\na: 2', /: Map keys must be unique at line 2, column 1$/],
    ['a: 1\n---\nb: 2', /multiple documents/],
  ]
  for (const [text, message] of cases) {
    const error = refused(text)
    assert.match(String((error.fields as { error: unknown }).error), /^failed parsing declarative configuration: /, text)
    assert.match(String((error.fields as { error: unknown }).error), message, text)
    assert.match(error.message, /^declarative config is invalid: \{error="failed parsing/)
  }
  const json = refused('{"secret": "hunter2",\n x}', 'json')
  assert.match(json.message, /not valid JSON at line 2, column 2/)
  assert.doesNotMatch(json.message, /hunter2/)
})

test('aliases that expand without end and nesting without end are refused quickly', () => {
  const laughs = [
    'a0: &a0 [x, x, x, x, x, x, x, x, x, x]',
    ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(10)}]`),
  ]
  assert.match(refused(laughs.join('\n')).message, /aliases expand to too many values/)
  assert.match(refused('a: &a [*a]').message, /nested too deeply/)
  assert.match(refused(`a: ${'['.repeat(100_000)}`).message, /nested too deeply|Flow sequence/)
  assert.match(refused(`{"a": ${'['.repeat(5000)}${']'.repeat(5000)}}`).message, /nested too deeply/)
  assert.match(refused(`a: ${'['.repeat(200)}${']'.repeat(200)}`).message, /nested too deeply/)
})

test('many uses of one anchor are no attack', () => {
  const services = Array.from({ length: 300 }, (_, i) => `  - {<<: *defaults, name: s${i}}`).join('\n')
  const { tree } = yaml(`_ignore: [&defaults {host: h, tags: [a]}]\nservices:\n${services}`)
  assert.equal(tree.services.length, 300)
  assert.deepEqual(tree.services[299]?.['tags'], ['a'])
})

test('a merged map gives way to the map it is merged into, and yes and no are booleans as in YAML 1.1', () => {
  const { tree } = yaml(
    '_ignore: [&d {host: h, port: 1}]\nservices: [{port: 2, <<: *d}]\nroutes: [{paths: [/], strip_path: no, preserve_host: yes, name: "yes"}]',
  )
  assert.equal(tree.services[0]?.['port'], 2)
  assert.equal(tree.routes[0]?.['strip_path'], false)
  assert.equal(tree.routes[0]?.['preserve_host'], true)
  assert.equal(tree.routes[0]?.['name'], 'yes')
})

test("a bad file at start is refused with Kong's lines and the place of each fault", () => {
  const text = `_format_version: "3.0"
services:
- name: s
  host: h
  protocol: gopher
- name: t
  routes:
  - name: r
    paths: [/x, bad]
`
  const lines = refused(text).lines.join('\n')
  assert.equal(
    lines,
    [
      "in 'services':",
      "  - in entry 1 of 'services':",
      "    in 'protocol': expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp (line 5, column 3)",
      "  - in entry 2 of 'services':",
      "    in 'host': required field missing (line 6, column 3)",
      "    in 'routes':",
      "      - in entry 1 of 'routes':",
      "        in 'paths':",
      "          - in entry 2 of 'paths': should start with: / (fixed path) or ~/ (regex path) (line 9, column 17)",
    ].join('\n'),
  )
})

test('a file is read by its ending, and its faults name the file', async (t) => {
  const database = await createDatabase({ kind: 'off', plugins })
  const folder = mkdtempSync(join(tmpdir(), 'declarative-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const good = '{"_format_version":"3.0","services":[{"name":"s","host":"h"}]}'
  for (const name of ['a.json', 'a.yml', 'a.yaml']) assert.equal(loadDeclarativeFile(file(name, good), database).tree.services.length, 1)
  assert.throws(() => loadDeclarativeFile(file('a.txt', good), database), /unknown file type: .*a\.txt\. \(Accepted types: json, yaml\)$/)
  assert.throws(
    () => loadDeclarativeFile(join(folder, 'none.yml'), database),
    /^Error: error parsing declarative config file .*none\.yml:\nENOENT/,
  )
  const bad = file('bad.json', '{"_format_version":"3.0",\n"services":[{}]}')
  assert.throws(() => loadDeclarativeFile(bad, database), {
    message: `error parsing declarative config file ${bad}:\nin 'services':\n  - in entry 1 of 'services':\n    in 'host': required field missing (line 2, column 13)`,
  })
  assert.throws(() => loadDeclarativeText('_format_version: 3', database), {
    message: "error parsing declarative string:\nin '_format_version': expected a string (line 1, column 1)",
  })
})

// ----------------------------------------------------------------------------------------------------------------------------- flattened errors

test('flattened: each faulty entity on its own, hoisted out of its parent, with dotted fields', () => {
  const id = '11111111-1111-4111-8111-111111111111'
  const error = refusedYaml(`
abnormal_extra_field: 1
services:
  - id: ${id}
    name: s
    tags: [t]
    host: h
    bogus: 1
    routes: [{name: r, paths: [/]}]
    plugins:
      - name: openid-connect
        config: {ttl: 5, methods: [a, c], redis: {port: 70000}}
consumers: [{tags: 5}]`)
  const { fields, flattened_errors, message } = error.flattened
  assert.deepEqual(fields, { abnormal_extra_field: 'unknown field' })
  assert.equal(message, 'declarative config is invalid: {abnormal_extra_field="unknown field"}')
  assert.deepEqual(flattened_errors, [
    {
      entity_type: 'service',
      entity_name: 's',
      entity_id: id,
      entity_tags: ['t'],
      entity: { id, name: 's', tags: ['t'], host: 'h', bogus: 1 },
      errors: [{ type: 'field', field: 'bogus', message: 'unknown field' }],
    },
    {
      entity_type: 'plugin',
      entity_name: 'openid-connect',
      entity: { name: 'openid-connect', config: { ttl: 5, methods: ['a', 'c'], redis: { port: 70000 } }, service: { id } },
      errors: [
        { type: 'field', field: 'config.url', message: 'required field missing' },
        { type: 'field', field: 'config.redis.port', message: 'value should be between 0 and 65535' },
        { type: 'field', field: 'config.methods.2', message: 'expected one of: a, b' },
      ],
    },
    {
      entity_type: 'consumer',
      entity: { tags: 5 },
      errors: [
        { type: 'field', field: 'tags', message: 'expected a set' },
        { type: 'entity', message: "at least one of these fields must be non-empty: 'custom_id', 'username'" },
      ],
    },
  ])
})

test('flattened: nothing is left in fields when only entities are at fault', () => {
  const { fields, message, flattened_errors } = refusedYaml(
    'routes: [{paths: [/], service: foo}, 5]\nservices: [{name: a, host: h}, {name: a, host: h}]',
  ).flattened
  assert.deepEqual(fields, {})
  assert.equal(message, 'declarative config is invalid: {}')
  const texts = flattened_errors.map(({ entity_type, errors }) => [
    entity_type,
    ...errors.map(({ type, message: text }) => `${type}: ${text}`),
  ])
  assert.deepEqual(texts, [
    ['service', "entity: uniqueness violation: 'services' entity with name set to 'a' already declared"],
    ['route', "entity: invalid reference 'service: foo' (no such entry in 'services')"],
    ['route', 'entity: expected a record'],
  ])
})

// ----------------------------------------------------------------------------------------------------------------------------------- versions

test('format 1.1 and 2.1: paths that are regular expressions get their mark, the others their normal form', () => {
  for (const [before, after] of [
    ['/plain/path', '/plain/path'],
    ['/a/../b//c/%41%2f', '/b/c/A%2F'],
    ['/a/\\d+', '~/a/\\d+'],
    ['/(x)%41%2e%2f', '~/(x)A\\.%2F'],
  ] as const) {
    assert.equal(migratePath(before), after)
  }
  for (const version of ['1.1', '2.1']) {
    const { tree } = parse(
      `_format_version: "${version}"\nroutes: [{paths: ['/a/\\d+']}]\nservices: [{host: h, routes: [{paths: ['/b$']}]}]`,
    )
    assert.deepEqual(
      tree.routes.map(({ paths }) => paths),
      [['~/b$'], ['~/a/\\d+']],
    )
  }
  assert.match(refusedYaml("routes: [{paths: ['/a/\\d+//']}]").message, /paths/)
})

// ------------------------------------------------------------------------------------------------------------------------------------- export

test('what is exported can be loaded again and is the same', () => {
  const { tree } = yaml(`
services:
  - name: "yes"
    host: h
    tags: ["12:30", "1e3", "null", "~", "on", "é", "# x", "0o7", "2020-01-01"]
    routes: [{name: r, paths: [/], headers: {"on": ["y"], "1": ["2"]}, plugins: [{name: openid-connect, ${URL_LINE}}]}]
consumers: [{username: "{vault://env/x}"}]`)
  const text = exportDeclarative(tree, schemas)
  assert.ok(text.startsWith("_format_version: '3.0'\n_transform: false\nservices:\n"), text.slice(0, 60))
  assert.match(text, /\n {4}service: 1?[0-9a-f-]+\n/)
  assert.match(text, /path: null\n/)
  const again = parseDeclarative(text, { schemas, nowS: NOW })
  assert.deepEqual(again.tree, tree)
  assert.equal(exportDeclarative(again.tree, schemas), text)
  assert.deepEqual(Object.keys(entitiesById(tree, schemas)), ['services', 'routes', 'consumers', 'plugins'])
  assert.deepEqual(entitiesById(parse('_format_version: "3.0"').tree, schemas), {})
})

// ------------------------------------------------------------------------------------------------------------------------------- certificates

const [first, second, ca] = [selfSigned({ name: 'a' }), selfSigned({ name: 'b' }), authority()]
const json = (body: object) => parse(JSON.stringify({ _format_version: '3.0', ...body }))
const withoutTimes = (entities: EntityTree[keyof EntityTree]) => entities.map(({ created_at, updated_at, ...rest }) => rest)

test('snis stand in their certificate, as names or as records, or at the top; certificates are stored without them', () => {
  const id = 'b32379d9-3d28-5683-a79c-72139be6e34f'
  const { cert, key } = first
  const nested = json({ certificates: [{ id, cert, key, snis: ['a.test', { name: 'b.test', tags: ['x'] }] }] }).tree
  const flat = json({
    snis: [
      { name: 'a.test', certificate: id },
      { name: 'b.test', tags: ['x'], certificate: { id } },
    ],
    certificates: [{ id, cert, key }],
  }).tree
  assert.deepEqual(nested.snis, flat.snis)
  assert.deepEqual(nested.certificates, flat.certificates)
  assert.deepEqual(withoutTimes(nested.certificates), [{ id, cert, key, cert_alt: null, key_alt: null, tags: null }])
  assert.deepEqual(
    nested.snis.map(({ name, certificate }) => [name, certificate]),
    [
      ['a.test', { id }],
      ['b.test', { id }],
    ],
  )
  assert.equal(nested.snis[0]?.id, generatedId('snis', 'a.test'))
})

test('what a file says of certificates is exported, in an order that can be loaded, and comes back the same', () => {
  const id = 'b32379d9-3d28-5683-a79c-72139be6e34f'
  const authorityId = 'a32379d9-3d28-5683-a79c-72139be6e34f'
  const { tree } = json({
    services: [{ name: 's', url: 'https://h', client_certificate: id, ca_certificates: [authorityId] }],
    ca_certificates: [{ id: authorityId, cert: ca.cert }],
    certificates: [{ id, cert: first.cert, key: '{vault://env/key}', snis: ['a.test'] }],
  })
  assert.deepEqual(tree.services[0]?.['client_certificate'], { id })
  assert.match(String(tree.ca_certificates[0]?.['cert_digest']), /^[0-9a-f]{64}$/)
  const text = exportDeclarative(tree, schemas)
  assert.deepEqual(parseDeclarative(text, { schemas, nowS: NOW }).tree, tree)
})

test('faults of certificates: keys that do not belong, names and authorities twice, references to none', () => {
  const mismatch = refused(JSON.stringify({ _format_version: '3.0', certificates: [{ cert: first.cert, key: second.key }] }))
  assert.match(mismatch.message, /certificate does not match key/)
  assert.ok(!mismatch.lines.join('\n').includes('BEGIN'))
  const twice = { _format_version: '3.0', certificates: [pairOf(first, ['a.test']), pairOf(second, ['a.test'])] }
  assert.match(refused(JSON.stringify(twice)).message, /'snis' entity with name set to 'a.test' already declared/)
  const authorities = { _format_version: '3.0', ca_certificates: [{ cert: ca.cert }, { cert: `\n${ca.cert}` }] }
  assert.match(
    refused(JSON.stringify(authorities)).message,
    /'ca_certificates' entity with cert_digest set to '[0-9a-f]{64}' already declared/,
  )
  const dangling = { _format_version: '3.0', snis: [{ name: 'a.test', certificate: 'b32379d9-3d28-5683-a79c-72139be6e34f' }] }
  assert.match(refused(JSON.stringify(dangling)).message, /no such entry in 'certificates'/)
})

function pairOf({ cert, key }: TestCertificate, snis: string[]) {
  return { cert, key, snis }
}

test('the hash is the MD5 of the text', () => {
  const text = '_format_version: "3.0"\n'
  assert.equal(parse(text).hash, hashOf(text))
  assert.equal(hashOf(''), 'd41d8cd98f00b204e9800998ecf8427e')
  assert.equal(readDeclarative({ _format_version: '3.0' }, { schemas }).hash, hashOf('{"_format_version":"3.0"}'))
})

test('whatever is given: a tree or a DeclarativeError with lines', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 4 }, fc.string(), fc.integer(), fc.boolean(), fc.constant(null), tie('list'), tie('record')),
    list: fc.array(tie('any'), { maxLength: 3 }),
    record: fc.dictionary(
      fc.constantFrom(
        '_format_version',
        'services',
        'routes',
        'plugins',
        'consumers',
        'id',
        'name',
        'host',
        'service',
        'tags',
        '__proto__',
        'config',
        'constructor',
      ),
      tie('any'),
      { maxKeys: 4 },
    ),
  })).record as fc.Arbitrary<Record<string, unknown>>
  fc.assert(
    fc.property(value, (input) => {
      try {
        readDeclarative({ _format_version: '3.0', ...input }, { schemas })
      } catch (error) {
        assert.ok(error instanceof DeclarativeError, String(error))
        assert.ok(error.lines.length > 0)
        JSON.stringify(error.flattened)
      }
    }),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(
      fc.array(
        fc.constantFrom('services', ': ', '\n', '- ', '  ', '[', ']', '{', '}', '&a ', '*a', '<<', '"', ',', '_format_version: "3.0"\n'),
      ),
      (parts) => {
        try {
          parse(parts.join(''))
        } catch (error) {
          assert.ok(error instanceof DeclarativeError, String(error))
        }
      },
    ),
    { numRuns: 3000 },
  )
})

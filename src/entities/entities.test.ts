import assert from 'node:assert/strict'
import test from 'node:test'
import { field } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { completeEntity, mergePatch } from '../schema/validate.ts'
import { SchemaViolation } from '../schema/violations.ts'
import { consumers, createPluginEntity, entitySchemas, routes, services } from './index.ts'

const NOW_S = 1_700_000_000

function complete(schema: EntitySchema, input: JsonObject): JsonObject {
  return completeEntity(schema, input, { nowS: NOW_S })
}

function violation(schema: EntitySchema, input: JsonObject, context: 'insert' | 'update' = 'insert'): SchemaViolation {
  try {
    completeEntity(schema, input, { nowS: NOW_S, context })
  } catch (error) {
    if (error instanceof SchemaViolation) return error
    throw error
  }
  assert.fail(`accepted ${JSON.stringify(input)}`)
}

const plugins = createPluginEntity(
  new Map([
    [
      'sample',
      {
        subschema: {
          fields: {
            consumer: field.foreign('consumers', { eq: null }),
            config: field.record({
              required: true,
              fields: { ttl: field.integer({ default: 30 }), key: field.string({ required: true }) },
            }),
          },
        },
      },
    ],
  ]),
)

test('entities are listed parents first', () => {
  assert.deepEqual(
    entitySchemas(new Map()).map((schema) => schema.name),
    ['certificates', 'snis', 'ca_certificates', 'services', 'routes', 'consumers', 'plugins'],
  )
})

// ------------------------------------------------------------------------------------------------------------------------------------ services

test("a service shows every field, with Kong's defaults", () => {
  const { id, ...service } = complete(services, { name: 'svc', host: 'h' })
  assert.match(String(id), /^[0-9a-f-]{36}$/)
  assert.deepEqual(service, {
    created_at: NOW_S,
    updated_at: NOW_S,
    name: 'svc',
    retries: 5,
    protocol: 'http',
    host: 'h',
    port: 80,
    path: null,
    connect_timeout: 60_000,
    write_timeout: 60_000,
    read_timeout: 60_000,
    tags: null,
    client_certificate: null,
    tls_verify: null,
    tls_verify_depth: null,
    ca_certificates: null,
    enabled: true,
  })
})

test('the url of a service is written as protocol, host, port and path', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['http://h', ['http', 'h', 80, null]],
    ['https://h', ['https', 'h', 443, null]],
    ['https://h:8443/p/q', ['https', 'h', 8443, '/p/q']],
    ['HTTP://h/', ['http', 'h', 80, '/']],
    ['http://user:pw@h:1/p?q=1#f', ['http', 'h', 1, '/p']],
    ['http://h?q', ['http', 'h', 80, null]],
    ['//h:443/p', ['https', 'h', 443, '/p']],
    ['//h:80', ['http', 'h', 80, null]],
    ['//h', ['http', 'h', 80, null]],
    ['http://[::1]:81/p', ['http', '::1', 81, '/p']],
    ['http://[::1]', ['http', '::1', 80, null]],
  ]
  for (const [url, parts] of cases) {
    const service = complete(services, { url })
    assert.deepEqual([service['protocol'], service['host'], service['port'], service['path']], parts, url)
    assert.ok(!('url' in service))
  }
})

test('url wins over the explicit fields, and resets what it does not name', () => {
  const service = complete(services, { url: 'https://new', host: 'old', port: 1, path: '/old', protocol: 'http' })
  assert.deepEqual([service['protocol'], service['host'], service['port'], service['path']], ['https', 'new', 443, null])
  const merged = mergePatch(services, service, { url: 'http://h' })
  assert.deepEqual([merged['protocol'], merged['host'], merged['port'], merged['path']], ['http', 'h', 80, null])
})

test('a bad url is refused at the field that it becomes', () => {
  assert.equal(violation(services, { url: '' }).fields['url'], 'length must be at least 1')
  assert.equal(violation(services, { url: 5 }).fields['url'], 'expected a string')
  assert.deepEqual(violation(services, { url: null }).fields, {
    protocol: 'required field missing',
    host: 'required field missing',
    port: 'required field missing',
  })
  assert.equal(
    violation(services, { url: 'ftp://h' }).fields['protocol'],
    'expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp',
  )
  assert.equal(violation(services, { url: 'http://' }).fields['host'], 'required field missing')
  assert.equal(violation(services, { url: 'http://h:x' }).fields['port'], 'expected an integer')
  assert.equal(violation(services, { url: 'http://h:70000' }).fields['port'], 'value should be between 0 and 65535')
  assert.equal(violation(services, { url: 'http:h' }).fields['path'], 'should start with: /')
})

test('a host is required', () => {
  assert.equal(violation(services, {}).message, 'schema violation (host: required field missing)')
})

test('what is not built is refused, never ignored', () => {
  for (const protocol of ['grpc', 'grpcs', 'tcp', 'tls', 'tls_passthrough', 'udp']) {
    assert.equal(violation(services, { host: 'h', protocol }).message, `schema violation (protocol: ${protocol} is not available yet)`)
  }
})

test('TLS fields are for TLS protocols', () => {
  assert.deepEqual(violation(services, { host: 'h', tls_verify: true }).fields, {
    '@entity': ["failed conditional validation given value of field 'protocol'"],
    tls_verify: 'value must be null',
  })
  assert.equal(complete(services, { url: 'https://h', tls_verify: true, tls_verify_depth: 3 })['tls_verify_depth'], 3)
})

test('numbers of a service have their limits', () => {
  assert.equal(violation(services, { host: 'h', retries: 32_768 }).fields['retries'], 'value should be between 0 and 32767')
  assert.equal(violation(services, { host: 'h', read_timeout: 0 }).fields['read_timeout'], 'value should be between 1 and 2147483646')
  assert.equal(violation(services, { host: 'h', path: 'p' }).fields['path'], 'should start with: /')
  assert.equal(violation(services, { host: 'h', path: '/a//b' }).fields['path'], 'must not have empty segments')
})

// -------------------------------------------------------------------------------------------------------------------------------------- routes

test('a route needs a matcher, and which ones count depends on its protocols', () => {
  assert.equal(
    violation(routes, {}).message,
    "schema violation (must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https')",
  )
  assert.deepEqual(violation(routes, { protocols: ['http'], paths: [], headers: {} }).fields, {
    '@entity': ["must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'"],
  })
  assert.ok(complete(routes, { protocols: ['https'], snis: ['a.b'] }))
  assert.ok(complete(routes, { headers: { 'X-A': ['1'] } }))
})

test('the missing matcher reads the same when a route is updated', () => {
  const stored = complete(routes, { paths: ['/a'] })
  assert.equal(
    violation(routes, mergePatch(routes, stored, { paths: null }), 'update').message,
    "schema violation (must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https')",
  )
})

test('snis need a TLS protocol', () => {
  assert.deepEqual(violation(routes, { protocols: ['http'], paths: ['/'], snis: ['a.b'] }).fields, {
    '@entity': ["'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"],
    snis: 'length must be 0',
  })
})

test('a route shows its defaults, keeps the order of protocols and drops duplicates', () => {
  const route = complete(routes, { paths: ['/a'], protocols: ['https', 'http', 'https'] })
  assert.deepEqual(route['protocols'], ['https', 'http'])
  assert.deepEqual(
    [route['strip_path'], route['preserve_host'], route['regex_priority'], route['path_handling'], route['https_redirect_status_code']],
    [true, false, 0, 'v0', 426],
  )
  assert.deepEqual(
    [route['service'], route['snis'], route['sources'], route['destinations'], route['methods']],
    [null, null, null, null, null],
  )
})

test('streams are refused: their protocols, and their matchers on an HTTP route', () => {
  assert.deepEqual(violation(routes, { protocols: ['grpc'], paths: ['/'] }).fields, { protocols: ['grpc is not available yet'] })
  assert.deepEqual(violation(routes, { protocols: ['http', 'tcp'], paths: ['/'] }).fields, {
    protocols: [null, 'tcp is not available yet'],
  })
  assert.equal(
    violation(routes, { paths: ['/'], sources: [{ ip: '10.0.0.1' }] }).fields['sources'],
    "cannot set 'sources' when 'protocols' is 'http' or 'https'",
  )
  assert.deepEqual(violation(routes, { protocols: ['foo'], paths: ['/'] }).fields, {
    protocols: ['expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp'],
  })
  assert.deepEqual(violation(routes, { protocols: [], paths: ['/'] }).fields, { protocols: 'length must be at least 1' })
})

test('matchers of a route are checked one by one, and the fault is shown at its place', () => {
  assert.deepEqual(violation(routes, { paths: ['/a', 'b'] }).fields, {
    paths: [null, 'should start with: / (fixed path) or ~/ (regex path)'],
  })
  assert.deepEqual(violation(routes, { methods: ['get'] }).fields, { methods: ['invalid value: get'] })
  assert.equal(
    violation(routes, { headers: { Host: ['a'] } }).fields['headers'],
    "cannot contain 'host' header, which must be specified in the 'hosts' attribute",
  )
  assert.equal(violation(routes, { headers: { 'X-A': 'a' } }).fields['headers'], 'expected an array')
  assert.equal(violation(routes, { expression: 'x', paths: ['/'] }).fields['expression'], 'unknown field')
})

// ----------------------------------------------------------------------------------------------------------------------- consumers and plugins

test('a consumer has a username or a custom_id', () => {
  assert.equal(
    violation(consumers, {}).message,
    "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')",
  )
  assert.equal(violation(consumers, { username: 'a\ud800' }).fields['username'], 'invalid utf-8 character sequence detected at position 2')
  assert.equal(complete(consumers, { username: 'bob @home/x' })['custom_id'], null)
})

test('a plugin is judged by the schema that its name picks', () => {
  const plugin = complete(plugins, { name: 'sample', config: { key: 'k' } })
  assert.deepEqual(plugin['config'], { ttl: 30, key: 'k' })
  assert.deepEqual(plugin['protocols'], ['grpc', 'grpcs', 'http', 'https'])
  assert.equal(violation(plugins, { name: 'sample' }).message, 'schema violation (config.key: required field missing)')
  assert.equal(violation(plugins, { name: 'sample', config: { key: 'k', x: 1 } }).message, 'schema violation (config.x: unknown field)')
  assert.equal(violation(plugins, { name: 'sample', config: 5 }).message, 'schema violation (config: expected a record)')
  const consumer = { id: 'b32379d9-3d28-5683-a79c-72139be6e34f' }
  assert.deepEqual(violation(plugins, { name: 'sample', config: { key: 'k' }, consumer }).fields, { consumer: 'value must be null' })
})

test('a plugin without a known name is refused by name alone', () => {
  assert.equal(violation(plugins, {}).message, 'schema violation (name: required field missing)')
  assert.deepEqual(violation(plugins, { name: 'foo', config: { a: 1 } }).fields, {
    name: "plugin 'foo' not enabled; add it to the 'plugins' configuration property",
  })
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { completeConfig, configViolations } from '../../../test/support/plugin-config.ts'
import { toKongSubschema } from '../../schema/project.ts'
import type { JsonObject } from '../../schema/validate.ts'
import type { Config } from './schema.ts'
import { schema } from './schema.ts'

const minimal = { introspection_url: 'https://idp.example/introspect', authorization_value: 'Basic Z3c6cw==' }

const complete = (config: JsonObject): Config => completeConfig(schema, config)
const violationsOf = (config: JsonObject) => configViolations(schema, { ...minimal, ...config })

test("fields, order and defaults are those of Kong's 3.15 schema", () => {
  assert.deepEqual(Object.entries(complete(minimal)), [
    ['introspection_url', 'https://idp.example/introspect'],
    ['ttl', 30],
    ['token_type_hint', null],
    ['authorization_value', 'Basic Z3c6cw=='],
    ['timeout', 10_000],
    ['keepalive', 60_000],
    ['introspect_request', false],
    ['hide_credentials', true],
    ['run_on_preflight', true],
    ['anonymous', ''],
    ['consumer_by', 'username'],
    ['custom_introspection_headers', {}],
    ['custom_claims_forward', []],
  ])
})

test('endpoint and credentials are required', () => {
  assert.deepEqual(violationsOf({ introspection_url: null, authorization_value: null }), {
    introspection_url: 'required field missing',
    authorization_value: 'required field missing',
  })
})

test('null is kept where a field is not required, and refused where it is', () => {
  for (const name of ['ttl', 'token_type_hint', 'timeout', 'keepalive', 'hide_credentials', 'run_on_preflight', 'anonymous']) {
    assert.equal((complete({ ...minimal, [name]: null }) as JsonObject)[name], null, name)
  }
  for (const name of ['introspect_request', 'consumer_by', 'custom_introspection_headers', 'custom_claims_forward']) {
    assert.deepEqual(violationsOf({ [name]: null }), { [name]: 'required field missing' })
  }
})

test('the endpoint is an http or https address without credentials of its own', () => {
  assert.deepEqual(violationsOf({ introspection_url: 'idp.example/introspect' }), { introspection_url: 'missing scheme in url' })
  assert.deepEqual(violationsOf({ introspection_url: 'ftp://idp.example/' }), { introspection_url: 'scheme must be http or https' })
  assert.deepEqual(violationsOf({ introspection_url: 'https://gw:s3cret@idp.example/' }), {
    introspection_url: 'must not contain a user name or password',
  })
  assert.equal(violationsOf({ introspection_url: 'http://[::1]:8080/introspect?tenant=a' }), undefined)
})

test('only the credentials may be a vault reference, and only they lie encrypted', () => {
  assert.equal(violationsOf({ authorization_value: '{vault://env/introspection}' }), undefined)
  assert.deepEqual(violationsOf({ introspection_url: '{vault://env/introspection}' }), { introspection_url: 'missing scheme in url' })
  const encrypted = Object.entries(schema.fields).filter(([, field]) => field.options.encrypted === true)
  assert.deepEqual(
    encrypted.map(([name]) => name),
    ['authorization_value'],
  )
})

test('times are not negative, and there is a time-out', () => {
  assert.deepEqual(violationsOf({ ttl: -1, keepalive: -1, timeout: 0 }), {
    ttl: 'value must not be negative',
    keepalive: 'value must not be negative',
    timeout: 'value must be greater than 0',
  })
  assert.equal(violationsOf({ ttl: 0, keepalive: 0, timeout: 1 }), undefined)
  assert.equal(violationsOf({ ttl: 0.5 }), undefined)
})

test('the consumer is named by username or client_id', () => {
  assert.deepEqual(violationsOf({ consumer_by: 'custom_id' }), { consumer_by: 'expected one of: username, client_id' })
})

test('custom headers have field names and values of RFC 9110; a refused value is not repeated', () => {
  assert.equal(violationsOf({ custom_introspection_headers: { 'X-Tenant': 'a b', host: 'idp' } }), undefined)
  assert.deepEqual(violationsOf({ custom_introspection_headers: { 'X Tenant': 'a' } }), {
    custom_introspection_headers: 'invalid header name: "X Tenant"',
  })
  for (const value of ['secret\r\nX: y', 'secret\n', 'secret\0']) {
    assert.deepEqual(violationsOf({ custom_introspection_headers: { 'X-Tenant': value } }), {
      custom_introspection_headers: 'a header value must not contain CR, LF or NUL',
    })
  }
})

test('forwarded claims are non-empty names, each once', () => {
  assert.deepEqual(complete({ ...minimal, custom_claims_forward: ['b', 'a', 'b'] }).custom_claims_forward, ['b', 'a'])
  assert.deepEqual(violationsOf({ custom_claims_forward: ['a', ''] }), {
    custom_claims_forward: [null, 'length must be at least 1'],
  })
})

test('an empty list is taken for an empty map, as Kong before 3.13 writes it', () => {
  assert.deepEqual(complete({ ...minimal, custom_introspection_headers: [] }).custom_introspection_headers, {})
})

test('GET /schemas answers protocols, closed scopes and the configuration', () => {
  const answer = JSON.parse(JSON.stringify(toKongSubschema(schema.subschema)))
  assert.deepEqual(
    answer.fields.map((one: object) => Object.keys(one)[0]),
    ['consumer', 'protocols', 'config'],
  )
  assert.equal(answer.fields[0].consumer.eq, null)
  assert.deepEqual(answer.fields[1].protocols.default, ['grpc', 'grpcs', 'http', 'https'])
  assert.deepEqual(answer.fields[2].config.fields[11].custom_introspection_headers.default, {})
  assert.deepEqual(answer.entity_checks, [])
})

test('the example of the reference page is valid', () => {
  const file = parse(readFileSync(join(import.meta.dirname, 'example.yaml'), 'utf8')) as {
    services: [{ plugins: [{ name: string; config: JsonObject }] }]
  }
  const [{ name, config }] = file.services[0].plugins
  assert.equal(name, schema.name)
  assert.equal(violationsOf(config), undefined)
})

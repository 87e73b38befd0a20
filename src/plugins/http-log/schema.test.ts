import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completeConfig, configViolations } from '../../../test/support/plugin-config.ts'
import type { JsonObject } from '../../schema/validate.ts'
import type { Config } from './schema.ts'
import { schema } from './schema.ts'

const http_endpoint = 'http://logs.internal/in'

const complete = (config: JsonObject): Config => completeConfig(schema, config)
const violationsOf = (config: JsonObject) => configViolations(schema, { http_endpoint, ...config })

test('only the endpoint is needed; the rest is as in Kong, and certificates are verified', () => {
  assert.deepEqual(complete({ http_endpoint }), {
    http_endpoint,
    method: 'POST',
    content_type: 'application/json',
    timeout: 10_000,
    keepalive: 60_000,
    retry_count: null,
    queue_size: null,
    flush_timeout: null,
    headers: null,
    ssl_verify: true,
    queue: {
      max_batch_size: 1,
      max_coalescing_delay: 1,
      max_entries: 10_000,
      max_bytes: null,
      max_retry_time: 60,
      initial_retry_delay: 0.01,
      max_retry_delay: 60,
      concurrency_limit: 1,
    },
    custom_fields_by_lua: null,
  })
  assert.deepEqual(violationsOf({ http_endpoint: null }), { http_endpoint: 'required field missing' })
})

test('the endpoint is an http or https URL', () => {
  assert.deepEqual(violationsOf({ http_endpoint: 'logs' }), { http_endpoint: 'missing scheme in url' })
  assert.deepEqual(violationsOf({ http_endpoint: 'ftp://logs/' }), { http_endpoint: 'scheme must be http or https' })
  assert.equal(violationsOf({ http_endpoint: '{vault://env/endpoint}' }), undefined)
})

test('headers may not say what the message says itself, with the texts of Kong', () => {
  for (const name of ['Host', 'Content-Length', 'Content-Type']) {
    assert.deepEqual(violationsOf({ headers: { [name.toLowerCase()]: 'x' } }), { headers: `cannot contain '${name}' header` })
  }
  assert.equal(violationsOf({ headers: { 'X-Token': 'x' } }), undefined)
})

test('credentials stand in the endpoint or in a header, not in both', () => {
  assert.deepEqual(violationsOf({ http_endpoint: 'http://u:p@logs/', headers: { authorization: 'x' } }), {
    '@entity': ["specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"],
  })
  assert.equal(violationsOf({ http_endpoint: 'http://u:p@logs/', headers: { other: 'x' } }), undefined)
})

test('the queue has the bounds of Kong', () => {
  assert.deepEqual(violationsOf({ queue: { max_batch_size: 0 } }), { queue: { max_batch_size: 'value should be between 1 and 1000000' } })
  assert.deepEqual(violationsOf({ queue: { concurrency_limit: 5 } }), { queue: { concurrency_limit: 'expected one of: -1, 1' } })
  assert.equal(violationsOf({ queue: { max_batch_size: 100, concurrency_limit: -1, max_bytes: 1 } }), undefined)
})

test('custom fields are constants: whatever needs Lua is refused', () => {
  assert.equal(
    violationsOf({ custom_fields_by_lua: { a: "return 'x'", b: 'return nil', c: 'return 1.5', d: 'return "y";', e: ' return true ' } }),
    undefined,
  )
  for (const code of ['return kong.request.get_header("x")', 'x', "return 'a' .. 'b'", 'os.exit()', "return '\\n'"]) {
    assert.match(JSON.stringify(violationsOf({ custom_fields_by_lua: { a: code } })), /runs no Lua/, code)
  }
})

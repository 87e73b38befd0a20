import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { completeConfig, configViolations } from '../../../test/support/plugin-config.ts'
import type { JsonObject } from '../../schema/validate.ts'
import type { Config } from './schema.ts'
import { schema } from './schema.ts'

const ENDPOINT = 'http://collector:4318/v1/traces'

const complete = (config: JsonObject): Config => completeConfig(schema, config)
const violationsOf = (config: JsonObject) => configViolations(schema, config)

test('an endpoint alone gives the defaults of Kong', () => {
  assert.deepEqual(complete({ traces_endpoint: ENDPOINT }), {
    traces_endpoint: ENDPOINT,
    logs_endpoint: null,
    headers: null,
    resource_attributes: null,
    queue: {
      max_batch_size: 200,
      max_coalescing_delay: 1,
      max_entries: 10_000,
      max_bytes: null,
      max_retry_time: 60,
      initial_retry_delay: 0.01,
      max_retry_delay: 60,
      concurrency_limit: 1,
    },
    batch_span_count: null,
    batch_flush_delay: null,
    connect_timeout: 1000,
    send_timeout: 5000,
    read_timeout: 5000,
    http_response_header_for_traceid: null,
    header_type: 'preserve',
    sampling_rate: null,
    propagation: { extract: null, clear: null, inject: null, default_format: 'w3c' },
  })
  assert.equal(complete({ traces_endpoint: ENDPOINT, queue: { max_entries: 5 } }).queue.max_batch_size, 200)
})

test('there is an endpoint, by http or https and without credentials', () => {
  assert.deepEqual(violationsOf({}), { '@entity': ["at least one of these fields must be non-empty: 'traces_endpoint', 'logs_endpoint'"] })
  assert.deepEqual(violationsOf({ traces_endpoint: 'collector' }), { traces_endpoint: 'missing scheme in url' })
  assert.deepEqual(violationsOf({ traces_endpoint: 'ftp://collector/' }), { traces_endpoint: 'scheme must be http or https' })
  assert.deepEqual(violationsOf({ traces_endpoint: 'http://u:p@collector/' }), {
    traces_endpoint: 'must not contain a user name or password',
  })
})

test('logs over OTLP are refused with a reason', () => {
  assert.deepEqual(violationsOf({ traces_endpoint: ENDPOINT, logs_endpoint: ENDPOINT }), {
    logs_endpoint: 'exporting logs over OTLP is not available yet',
  })
})

test('names of formats and ranges are those of Kong', () => {
  const bad: readonly [field: string, value: unknown][] = [
    ['header_type', 'x'],
    ['sampling_rate', 1.1],
    ['connect_timeout', -1],
    ['http_response_header_for_traceid', 'a b'],
    ['queue', { concurrency_limit: 2 }],
    ['queue', { max_batch_size: 0 }],
    ['propagation', { extract: ['b3-single'] }],
    ['propagation', { extract: ['preserve'] }],
    ['propagation', { inject: ['x'] }],
    ['propagation', { default_format: 'preserve' }],
    ['headers', { 'a b': 'c' }],
    ['headers', { a: 'b\r\nc: d' }],
  ]
  for (const [field, value] of bad) {
    assert.deepEqual(Object.keys(violationsOf({ traces_endpoint: ENDPOINT, [field]: value }) as object), [field], JSON.stringify(value))
  }
  assert.equal(
    violationsOf({
      traces_endpoint: '{vault://env/collector}',
      headers: { 'X-Key': '{vault://env/key}' },
      sampling_rate: 0,
      propagation: { extract: ['w3c', 'b3'], clear: ['b3'], inject: ['preserve', 'b3-single'], default_format: 'datadog' },
    }),
    undefined,
  )
})

test('the values of headers lie encrypted', () => {
  assert.equal(schema.fields.headers.values?.options.encrypted, true)
})

test('the example of the reference page is valid', () => {
  const file = parse(readFileSync(join(import.meta.dirname, 'example.yaml'), 'utf8')) as {
    plugins: [{ name: string; config: JsonObject }]
  }
  const [{ name, config }] = file.plugins
  assert.equal(name, schema.name)
  assert.equal(violationsOf(config), undefined)
})

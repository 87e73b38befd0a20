import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { completeConfig, configViolations } from '../../../test/support/plugin-config.ts'
import type { JsonObject } from '../../schema/validate.ts'
import type { Config } from './schema.ts'
import { schema } from './schema.ts'

const complete = (config: JsonObject): Config => completeConfig(schema, config)
const violationsOf = (config: JsonObject) => configViolations(schema, config)

test('an empty configuration answers 503', () => {
  assert.deepEqual(complete({}), { status_code: 503, message: null, content_type: null, body: null, echo: false, trigger: null })
})

test('the status is a number from 100 to 599', () => {
  assert.deepEqual(violationsOf({ status_code: 99 }), { status_code: 'value should be between 100 and 599' })
  assert.deepEqual(violationsOf({ status_code: 600 }), { status_code: 'value should be between 100 and 599' })
  assert.deepEqual(violationsOf({ status_code: '503' }), { status_code: 'expected an integer' })
  assert.deepEqual(violationsOf({ status_code: null }), { status_code: 'required field missing' })
  assert.equal(violationsOf({ status_code: 100 }), undefined)
})

test('message, body and echo exclude each other, with the texts of Kong', () => {
  const texts: readonly (readonly [JsonObject, string])[] = [
    [{ message: 'm', body: 'b' }, 'message cannot be used with content_type or body'],
    [{ message: 'm', content_type: 'text/plain' }, 'message cannot be used with content_type or body'],
    [{ content_type: 'text/plain' }, 'content_type requires a body'],
    [{ echo: true, body: 'b' }, 'echo cannot be used with content_type and body'],
    [{ echo: true, content_type: 'text/plain', body: 'b' }, 'echo cannot be used with content_type and body'],
  ]
  for (const [config, text] of texts) assert.deepEqual(violationsOf(config), { '@entity': [text] })
  assert.equal(violationsOf({ body: 'b', content_type: 'text/plain' }), undefined)
  assert.equal(violationsOf({ echo: true, message: 'm' }), undefined)
})

test('a trigger is a header name', () => {
  assert.equal(violationsOf({ trigger: 'X-Stop_1' }), undefined)
  assert.deepEqual(violationsOf({ trigger: 'a b' }), {
    trigger: "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'",
  })
})

test('a consumer may have it', () => {
  assert.deepEqual(schema.scopes, ['service', 'route', 'consumer'])
  assert.equal('consumer' in schema.subschema.fields, false)
})

test('the example of the reference page is valid', () => {
  const file = parse(readFileSync(join(import.meta.dirname, 'example.yaml'), 'utf8')) as {
    services: [{ plugins: [{ name: string; config: JsonObject }] }]
  }
  const [{ name, config }] = file.services[0].plugins
  assert.equal(name, schema.name)
  assert.equal(violationsOf(config), undefined)
})

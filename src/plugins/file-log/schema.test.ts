import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completeConfig } from '../../../test/support/plugin-config.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { SchemaViolation } from '../../schema/violations.ts'
import { schema } from './schema.ts'

const complete = (config: JsonObject) => completeConfig(schema, config)

test('only the path is needed', () => {
  assert.deepEqual(complete({ path: '/tmp/a.log' }), { path: '/tmp/a.log', reopen: false, custom_fields_by_lua: null })
  assert.throws(() => complete({}), SchemaViolation)
})

test('a path holds nothing that no file name holds, with the text of Kong', () => {
  for (const path of ['/tmp/*.log', 'a&b', '100%', 'a\\b', '`id`', '']) {
    assert.throws(
      () => complete({ path }),
      (error) => error instanceof SchemaViolation && JSON.stringify(error.fields) === '{"config":{"path":"not a valid filename"}}',
      path,
    )
  }
})

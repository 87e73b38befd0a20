import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { completeConfig } from '../../../test/support/plugin-config.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { schema } from './schema.ts'

test('everything is off unless asked for', () => {
  assert.deepEqual(completeConfig(schema, {}), {
    per_consumer: false,
    status_code_metrics: false,
    ai_metrics: false,
    latency_metrics: false,
    bandwidth_metrics: false,
    upstream_health_metrics: false,
    wasm_metrics: false,
  })
})

test('the example of the reference page is valid', () => {
  const file = parse(readFileSync(join(import.meta.dirname, 'example.yaml'), 'utf8')) as { plugins: [{ name: string; config: JsonObject }] }
  const [{ name, config }] = file.plugins
  assert.equal(name, schema.name)
  assert.doesNotThrow(() => completeConfig(schema, config))
})

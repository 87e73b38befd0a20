import assert from 'node:assert/strict'
import { test } from 'node:test'
import { field } from './field.ts'
import { inferEntity, inferField } from './infer.ts'
import type { EntitySchema } from './schema.ts'

const schema: EntitySchema = {
  name: 'plugins',
  apiPath: 'plugins',
  endpointKey: null,
  cacheKey: null,
  fields: {
    name: field.string(),
    enabled: field.boolean(),
    tags: field.set({ elements: field.string() }),
    service: field.foreign('services'),
    config: field.map({ keys: field.string(), values: field.string() }),
  },
  shorthands: { retries: { field: field.integer(), expand: () => ({ values: {} }) } },
  subschema: {
    key: 'name',
    pick: (name) => (name === 'sized' ? { fields: { config: field.record({ fields: { size: field.integer() } }) } } : undefined),
    unknown: () => 'unknown',
  },
}

test('empty text is null, whatever the type', () => {
  for (const one of [
    field.string(),
    field.integer(),
    field.boolean(),
    field.array({ elements: field.string() }),
    field.record({ fields: {} }),
  ]) {
    assert.equal(inferField(one, ''), null)
  }
})

test('numeric text becomes a number and is never rounded; other text stays', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['42', 42],
    ['-1', -1],
    ['+1', 1],
    ['2.5', 2.5],
    ['.5', 0.5],
    ['1e3', 1000],
    ['0x10', 16],
    ['-0x10', -16],
    [' 7 ', 7],
    ['1e999', '1e999'],
    ['12a', '12a'],
    ['0b1', '0b1'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['1_000', '1_000'],
  ]
  for (const [text, value] of cases) {
    assert.deepEqual(inferField(field.integer(), text), value, text)
    assert.deepEqual(inferField(field.number(), text), value, text)
  }
})

test('only the words true and false are booleans', () => {
  assert.deepEqual(
    ['true', 'false', '1', 'on', 'True', 'TRUE'].map((text) => inferField(field.boolean(), text)),
    [true, false, '1', 'on', 'True', 'TRUE'],
  )
})

test('a scalar becomes a list where a list is expected, and elements take their type', () => {
  assert.deepEqual(inferField(field.array({ elements: field.integer() }), '1'), [1])
  assert.deepEqual(inferField(field.set({ elements: field.integer() }), ['1', 'x', '']), [1, 'x', null])
  assert.deepEqual(inferField(field.set({ elements: field.string() }), 'a,b'), ['a,b'])
})

test('a list with holes keeps its positions', () => {
  const holes: unknown[] = []
  holes[2] = '3'
  assert.deepEqual(inferField(field.array({ elements: field.integer() }), holes), [undefined, undefined, 3])
})

test('maps and records take the types of their values', () => {
  assert.deepEqual(inferField(field.map({ keys: field.string(), values: field.integer() }), { a: '1', b: 'x' }), { a: 1, b: 'x' })
  const record = field.record({
    fields: { port: field.integer() },
    shorthands: { url: { field: field.array({ elements: field.string() }), expand: () => ({ values: {} }) } },
  })
  assert.deepEqual(inferField(record, { port: '80', url: 'x', other: '1' }), { port: 80, url: ['x'], other: '1' })
})

test('a configuration takes its types from the plugin that the same form names', () => {
  assert.deepEqual(inferEntity(schema, { name: 'sized', config: { size: '5' }, enabled: 'true' }), {
    name: 'sized',
    config: { size: 5 },
    enabled: true,
  })
  assert.deepEqual(inferEntity(schema, { name: 'other', config: { size: '5' } }), { name: 'other', config: { size: '5' } })
})

test('the forms that clear and detach', () => {
  assert.deepEqual(inferEntity(schema, { tags: '', service: '' }), { tags: null, service: null })
  assert.deepEqual(inferEntity(schema, { service: { id: '' }, tags: 'a' }), { service: { id: null }, tags: ['a'] })
})

test('shorthands take their own type; unknown fields stay as they are', () => {
  assert.deepEqual(inferEntity(schema, { retries: '5', foo: '5' }), { retries: 5, foo: '5' })
  const hostile = JSON.parse('{"__proto__":"1","constructor":"2"}')
  assert.equal(JSON.stringify(inferEntity(schema, hostile)), '{"__proto__":"1","constructor":"2"}')
})

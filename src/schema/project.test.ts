import assert from 'node:assert/strict'
import { test } from 'node:test'
import { field } from './field.ts'
import { mapEncrypted, toKongSchema, toReference, withEchoes } from './project.ts'

test('GET /schemas lists one-key objects in the order of the schema, with the attribute names of Kong', () => {
  const answer = toKongSchema({
    fields: {
      id: field.uuid({ auto: true }),
      name: field.string({
        required: true,
        oneOf: ['a'],
        lenMin: 1,
        startsWith: 'a',
        notMatch: /x/,
        matchNone: [{ pattern: /y/, err: 'no y' }],
      }),
      list: field.set({ elements: field.integer({ between: [0, 9] }), default: [] }),
      map: field.map({ keys: field.string(), values: field.string({ referenceable: true }) }),
      parent: field.foreign('services', { onDelete: 'cascade' }),
      other: field.foreign('routes'),
      record: field.record({ required: true, fields: { a: field.boolean({ encrypted: true, default: false }) } }),
    },
  })
  assert.deepEqual(answer, {
    fields: [
      { id: { type: 'string', uuid: true, auto: true } },
      {
        name: {
          type: 'string',
          required: true,
          one_of: ['a'],
          len_min: 1,
          starts_with: 'a',
          not_match: 'x',
          match_none: [{ pattern: 'y', err: 'no y' }],
        },
      },
      { list: { type: 'set', default: [], elements: { type: 'integer', between: [0, 9] } } },
      { map: { type: 'map', keys: { type: 'string' }, values: { type: 'string', referenceable: true } } },
      { parent: { type: 'foreign', reference: 'services', on_delete: 'cascade' } },
      { other: { type: 'foreign', reference: 'routes' } },
      { record: { type: 'record', required: true, fields: [{ a: { type: 'boolean', encrypted: true, default: false } }] } },
    ],
    entity_checks: [],
  })
})

test('a validator of a field is not shown, and a field that must be null says so', () => {
  const answer = toKongSchema({ fields: { a: field.url(), b: field.string({ eq: null }) } })
  assert.deepEqual(answer['fields'], [{ a: { type: 'string' } }, { b: { type: 'string', eq: null } }])
})

test('entity checks are shown by kind, rules of code by their fields', () => {
  const answer = toKongSchema({
    fields: {},
    checks: [
      { kind: 'at_least_one_of', fields: ['a', 'b'] },
      { kind: 'conditional', ifField: 'a', ifMatch: { notOneOf: ['x'] }, thenField: 'b', thenMatch: { required: true }, thenErr: 'no' },
      { kind: 'custom', fields: ['a'], run: () => undefined },
    ],
  })
  assert.deepEqual(answer['entity_checks'], [
    { at_least_one_of: ['a', 'b'] },
    { conditional: { if_field: 'a', if_match: { not_one_of: ['x'] }, then_field: 'b', then_match: { required: true }, then_err: 'no' } },
    { custom_entity_check: { field_sources: ['a'] } },
  ])
})

test('shorthands that Kong echoes stand beside their replacement, at every level', () => {
  const fields = {
    config: field.record({
      fields: {
        size: field.integer(),
        inner: field.record({
          fields: {},
          shorthands: { old: { field: field.string(), expand: () => ({ values: {} }), echo: () => 'o' } },
        }),
      },
      shorthands: {
        length: { field: field.integer(), expand: () => ({ values: {} }), echo: ({ size }) => size },
        silent: { field: field.integer(), expand: () => ({ values: {} }) },
      },
    }),
  }
  const stored = { config: { size: 5, inner: {} } }
  assert.deepEqual(withEchoes(fields, stored), { config: { size: 5, length: 5, inner: { old: 'o' } } })
  assert.deepEqual(stored, { config: { size: 5, inner: {} } })
  assert.deepEqual(withEchoes(fields, { config: null }), { config: null })
})

test('encrypted values are mapped wherever they stand; all else stays', () => {
  const fields = {
    secret: field.string({ encrypted: true }),
    list: field.array({ elements: field.string(), encrypted: true }),
    keys: field.array({ elements: field.record({ fields: { kid: field.string(), k: field.string({ encrypted: true }) } }) }),
    record: field.record({ fields: { password: field.string({ encrypted: true }), user: field.string() } }),
    plain: field.string(),
  }
  const record = {
    secret: 'a',
    list: ['b', 'c'],
    keys: [{ kid: 'id', k: 'd' }],
    record: { password: 'e', user: 'u' },
    plain: 'p',
  }
  assert.deepEqual(
    mapEncrypted(fields, record, (value) => `<${value}>`),
    { secret: '<a>', list: ['<b>', '<c>'], keys: [{ kid: 'id', k: '<d>' }], record: { password: '<e>', user: 'u' }, plain: 'p' },
  )
  assert.deepEqual(
    mapEncrypted(fields, { secret: null }, () => '***'),
    { secret: null },
  )
})

test('the reference has a row a field, with paths, units, choices and what is not available', () => {
  const text = toReference({
    timeout: field.integer({ default: 10, unit: 'ms', description: 'How long.' }),
    mode: field.string({ required: true, oneOf: ['a', 'b'], description: 'a|b' }),
    nodes: field.array({
      elements: field.record({ fields: { host: field.string({ encrypted: true, referenceable: true }) } }),
      notBuilt: 'x',
    }),
    salt: field.string({ auto: true, rfc: 'RFC 1 section 2' }),
  })
  assert.equal(
    text,
    [
      '| field | type | default | meaning |',
      '|---|---|---|---|',
      '| `timeout` | integer (ms) | `10` | How long. |',
      '| `mode` | string, required |  | a\\|b One of `a`, `b`. |',
      '| `nodes` | array of record |  | **Not available yet**: only the default is accepted. |',
      '| `nodes[].host` | string |  | (encrypted at rest, may be a vault reference) |',
      '| `salt` | string | generated | RFC 1 section 2. |',
    ].join('\n'),
  )
})

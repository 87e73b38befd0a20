import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Field, Shorthand } from './field.ts'
import { field } from './field.ts'
import type { EntitySchema, Subschema } from './schema.ts'
import type { JsonObject, WriteContext } from './validate.ts'
import { checkField, completeEntity, mergePatch } from './validate.ts'
import { SchemaViolation } from './violations.ts'

const NOW_S = 1_700_000_000
const ID = '5f8a3f0e-0d0c-4a63-9d5a-1f2b3c4d5e6f'

function entityOf(fields: EntitySchema['fields'], more: Partial<EntitySchema> = {}): EntitySchema {
  return { name: 'things', apiPath: 'things', endpointKey: null, cacheKey: null, fields, ...more }
}

function complete(schema: EntitySchema, input: JsonObject, context: WriteContext = 'insert'): Record<string, unknown> {
  return completeEntity(schema, input, { context, nowS: NOW_S })
}

function violationsOf(schema: EntitySchema, input: JsonObject, context: WriteContext = 'insert'): unknown {
  try {
    complete(schema, input, context)
  } catch (error) {
    assert(error instanceof SchemaViolation)
    return error.fields
  }
  return undefined
}

// ------------------------------------------------------------------------------------------------------------------------- types and validators

test('each type has its text', () => {
  const cases: readonly (readonly [Field, unknown, string])[] = [
    [field.array({ elements: field.string() }), 'a', 'expected an array'],
    [field.set({ elements: field.string() }), 'a', 'expected a set'],
    [field.map({ keys: field.string(), values: field.string() }), ['a'], 'expected a map'],
    [field.record({ fields: {} }), 'a', 'expected a record'],
    [field.foreign('things'), 'a', 'expected a record'],
    [field.string(), 1, 'expected a string'],
    [field.number(), '1', 'expected a number'],
    [field.boolean(), 'true', 'expected a boolean'],
    [field.integer(), 2.5, 'expected an integer'],
    [field.integer(), '2', 'expected an integer'],
  ]
  for (const [one, value, text] of cases) assert.equal(checkField(one, value), text)
})

test('each validator has its text', () => {
  const cases: readonly (readonly [Field, unknown, string])[] = [
    [field.string({ eq: null }), 'a', 'value must be null'],
    [field.string({ eq: 'a' }), 'b', 'value must be a'],
    [field.integer({ ne: 0 }), 0, 'value must not be 0'],
    [field.string({ notOneOf: ['a', 'b'] }), 'b', 'must not be one of: a, b'],
    [field.string({ oneOf: ['b', 'a'] }), 'c', 'expected one of: b, a'],
    [field.number({ gt: 1 }), 1, 'value must be greater than 1'],
    [field.integer({ timestamp: true }), 0, 'expected a valid timestamp'],
    [field.uuid(), 'x', 'expected a valid UUID'],
    [field.integer({ between: [1, 3] }), 4, 'value should be between 1 and 3'],
    [field.string({ lenMin: 2, lenMax: 2 }), 'abc', 'length must be 2'],
    [field.string({ lenMin: 2 }), 'a', 'length must be at least 2'],
    [field.array({ lenMin: 1, elements: field.string() }), [], 'length must be at least 1'],
    [field.string({ lenMax: 2 }), 'abc', 'length must be at most 2'],
    [field.string({ startsWith: '/' }), 'a', 'should start with: /'],
    [field.string({ notMatch: /b/ }), 'abc', 'invalid value: abc'],
    [field.string({ match: /^a$/ }), 'b', 'invalid value: b'],
    [field.string({ matchNone: [{ pattern: /x/, err: 'no x' }, { pattern: /y/ }] }), 'xy', 'no x'],
    [field.string({ matchNone: [{ pattern: /y/ }] }), 'y', 'invalid value: y'],
    [field.string({ matchAll: [{ pattern: /^a/ }, { pattern: /b$/, err: 'ends with b' }] }), 'a', 'ends with b'],
    [field.string({ validator: (value) => `bad ${value}` }), 'a', 'bad a'],
    [
      field.set({ elements: field.string(), mutuallyExclusiveSubsets: [['http', 'https'], ['tcp'], ['grpc']] }),
      ['tcp', 'http'],
      "these sets are mutually exclusive: ('http', 'https'), ('tcp')",
    ],
    [field.url(), 'a', 'missing scheme in url'],
    [field.url(), 'http://', 'missing host in url'],
  ]
  for (const [one, value, text] of cases) assert.equal(checkField(one, value), text)
})

test('validators come in the order of Kong; the first that fails speaks', () => {
  const rules = {
    ne: 'A',
    notOneOf: ['A', 'B'],
    oneOf: ['C', 'D', 'toolong', 'xyz', '/m', '/mn', '/n'],
    lenMax: 3,
    startsWith: '/',
    matchNone: [{ pattern: /m/, err: 'no m' }],
    match: /n/,
    validator: () => 'last',
  }
  const one = field.string(rules)
  const texts = ['A', 'B', 'E', 'toolong', 'xyz', '/m', '/n'].map((value) => checkField(one, value))
  assert.deepEqual(texts, [
    'value must not be A',
    'must not be one of: A, B',
    'expected one of: C, D, toolong, xyz, /m, /mn, /n',
    'length must be at most 3',
    'should start with: /',
    'no m',
    'last',
  ])
  assert.equal(checkField(field.number({ gt: 5, between: [3, 4] }), 2), 'value must be greater than 5')
})

test("a field's own text replaces the standard ones", () => {
  const one = field.string({ required: true, lenMax: 1, err: 'mine' })
  assert.equal(checkField(one, null), 'mine')
  assert.equal(checkField(one, 'ab'), 'mine')
  assert.equal(checkField(field.string({ eq: null, err: 'mine' }), 'a'), 'mine')
})

test('a string is not empty unless its schema says so, and its length counts bytes', () => {
  assert.equal(checkField(field.string(), ''), 'length must be at least 1')
  assert.equal(checkField(field.string({ lenMin: 0 }), ''), undefined)
  assert.equal(checkField(field.string({ lenMax: 3 }), 'éé'), 'length must be at most 3')
})

test('ids are accepted in any letter case', () => {
  assert.equal(checkField(field.uuid(), ID.toUpperCase()), undefined)
})

test('all faulty elements are reported at their position, good ones as null, none after the last faulty one', () => {
  const one = field.array({ elements: field.string({ oneOf: ['a', 'b'] }) })
  assert.deepEqual(checkField(one, ['a', 'x', 'b', 1, 'a']), [null, 'expected one of: a, b', null, 'expected a string'])
  assert.deepEqual(checkField(one, [null]), ['required field missing'])
  const records = field.array({ elements: field.record({ fields: { port: field.integer() } }) })
  assert.deepEqual(checkField(records, [{ port: 1 }, { port: 'x' }]), [null, { port: 'expected an integer' }])
})

test('the first faulty key or value of a map is a plain text', () => {
  const one = field.map({ keys: field.string({ match: /^x-/ }), values: field.integer() })
  assert.equal(checkField(one, { 'x-a': 1, b: 2 }), 'invalid value: b')
  assert.equal(checkField(one, { 'x-a': 'y' }), 'expected an integer')
  assert.equal(checkField(one, { 'x-a': null }), 'required field missing')
})

test('a foreign key needs an id that is a UUID', () => {
  assert.deepEqual(checkField(field.foreign('things'), {}), { id: 'missing primary key' })
  assert.deepEqual(checkField(field.foreign('things'), { id: null }), { id: 'missing primary key' })
  assert.deepEqual(checkField(field.foreign('things'), { id: '1' }), { id: 'expected a valid UUID' })
  assert.equal(checkField(field.foreign('things'), { id: ID }), undefined)
})

test('a vault reference skips all other checks, but only where it is allowed and the field is built', () => {
  const reference = '{vault://env/my-secret}'
  assert.equal(checkField(field.string({ referenceable: true, lenMax: 3 }), reference), undefined)
  assert.equal(checkField(field.string({ lenMax: 3 }), reference), 'length must be at most 3')
  assert.equal(checkField(field.string({ referenceable: true, lenMax: 3 }), `${reference} `), 'length must be at most 3')
  assert.equal(checkField(field.string({ referenceable: true, notBuilt: 'not yet' }), reference), 'not yet')
})

test('a field that is not built accepts null and its default only', () => {
  const list = field.array({ default: ['a'], elements: field.string(), notBuilt: 'not yet' })
  assert.equal(checkField(list, null), undefined)
  assert.equal(checkField(list, ['a']), undefined)
  assert.equal(checkField(list, ['a', 'a']), 'not yet')
  assert.deepEqual(checkField(list, [1]), ['expected a string'])
  const record = field.record({ required: true, notBuilt: 'not yet', fields: { a: field.integer({ default: 1 }), b: field.string() } })
  assert.equal(checkField(record, { a: 1, b: null }), undefined)
  assert.equal(checkField(record, { a: 1, b: 'x' }), 'not yet')
})

// ----------------------------------------------------------------------------------------------------------------------------- defaults, output

const defaults = entityOf({
  id: field.uuid({ auto: true }),
  created_at: field.integer({ auto: true, timestamp: true }),
  updated_at: field.integer({ auto: true, timestamp: true }),
  key: field.string({ auto: true }),
  name: field.string({ default: 'n' }),
  tags: field.set({ elements: field.string() }),
  settings: field.record({ required: true, fields: { size: field.integer({ default: 2 }), label: field.string() } }),
  extra: field.record({ fields: { size: field.integer({ required: true, default: 2 }), label: field.string({ default: 'l' }) } }),
})

test('every declared field is shown: absent ones take their default, others are null, required records are completed', () => {
  const { id, key, ...rest } = complete(defaults, {})
  assert.match(String(id), /^[0-9a-f-]{36}$/)
  assert.match(String(key), /^[0-9A-Za-z]{32}$/)
  assert.deepEqual(rest, {
    created_at: NOW_S,
    updated_at: NOW_S,
    name: 'n',
    tags: null,
    settings: { size: 2, label: null },
    extra: null,
  })
})

test('fields come in the order of the schema, whatever the order of the input', () => {
  const input = { extra: { label: 'x' }, name: 'z', id: ID }
  assert.deepEqual(Object.keys(complete(defaults, input)), Object.keys(defaults.fields))
})

test('an explicit null stays null where the field is not required', () => {
  assert.equal(complete(defaults, { name: null })['name'], null)
  assert.equal(complete(defaults, { key: null })['key'], null)
  assert.deepEqual(violationsOf(entityOf({ a: field.string({ required: true, default: 'x' }) }), { a: null }), {
    a: 'required field missing',
  })
})

test('a record given in part is completed, and a null for a required record means its defaults', () => {
  assert.deepEqual(complete(defaults, { extra: {} })['extra'], { size: 2, label: 'l' })
  assert.deepEqual(complete(defaults, { settings: { label: 'x' } })['settings'], { size: 2, label: 'x' })
  assert.deepEqual(complete(defaults, { settings: null })['settings'], { size: 2, label: null })
})

test('a default is a copy', () => {
  const schema = entityOf({ list: field.array({ elements: field.string(), default: ['a'] }) })
  const first = complete(schema, {})['list'] as string[]
  first.push('b')
  assert.deepEqual(complete(schema, {})['list'], ['a'])
})

test("created_at is the client's where given, updated_at never is and is not even checked", () => {
  assert.equal(complete(defaults, { created_at: 5 })['created_at'], 5)
  assert.equal(complete(defaults, { created_at: null })['created_at'], NOW_S)
  assert.equal(complete(defaults, { updated_at: 'yesterday' })['updated_at'], NOW_S)
  const { created_at } = complete(defaults, { ...complete(defaults, {}), created_at: 5 }, 'update')
  assert.equal(created_at, 5)
})

test('sets drop repetitions and keep the first; arrays keep all', () => {
  const schema = entityOf({
    set: field.set({ elements: field.string() }),
    records: field.set({ elements: field.record({ fields: { ip: field.string(), port: field.integer() } }) }),
    array: field.array({ elements: field.string() }),
  })
  const entity = complete(schema, {
    set: ['b', 'a', 'b'],
    array: ['b', 'a', 'b'],
    records: [{ ip: 'x' }, { ip: 'x', port: null }, { ip: 'y' }],
  })
  assert.deepEqual(entity['set'], ['b', 'a'])
  assert.deepEqual(entity['array'], ['b', 'a', 'b'])
  assert.deepEqual(entity['records'], [
    { ip: 'x', port: null },
    { ip: 'y', port: null },
  ])
})

test('an empty object is an empty list, an empty list an empty map', () => {
  const schema = entityOf({
    set: field.set({ elements: field.string() }),
    map: field.map({ keys: field.string(), values: field.string() }),
  })
  assert.deepEqual(complete(schema, { set: {}, map: [] }), { set: [], map: {} })
  assert.deepEqual(violationsOf(schema, { set: { a: 1 }, map: ['a'] }), { set: 'expected a set', map: 'expected a map' })
})

test('unknown fields are named, at every level', () => {
  assert.deepEqual(violationsOf(defaults, { x: null, settings: { y: 1 } }), { x: 'unknown field', settings: { y: 'unknown field' } })
})

// ---------------------------------------------------------------------------------------------------------------------------------- PATCH merge

test('PATCH merges records key by key and replaces everything else whole', () => {
  const schema = entityOf({
    list: field.array({ elements: field.string() }),
    map: field.map({ keys: field.string(), values: field.string() }),
    parent: field.foreign('things'),
    record: field.record({
      fields: { a: field.integer({ default: 1 }), inner: field.record({ fields: { b: field.integer(), c: field.integer() } }) },
    }),
    name: field.string({ default: 'n' }),
  })
  const stored = complete(schema, {
    list: ['a', 'b'],
    map: { x: '1', y: '2' },
    parent: { id: ID },
    record: { a: 5, inner: { b: 1, c: 2 } },
  })
  const merge = (body: JsonObject) => complete(schema, mergePatch(schema, stored, body), 'update')
  assert.deepEqual(merge({}), stored)
  assert.deepEqual(merge({ list: ['c'], map: { z: '3' } }), { ...stored, list: ['c'], map: { z: '3' } })
  assert.deepEqual(merge({ parent: null }), { ...stored, parent: null })
  assert.deepEqual(merge({ record: { inner: { c: 3 } } }), { ...stored, record: { a: 5, inner: { b: 1, c: 3 } } })
  assert.deepEqual(merge({ record: { a: null } }), { ...stored, record: { a: null, inner: { b: 1, c: 2 } } })
  assert.deepEqual(merge({ record: null, name: null }), { ...stored, record: null, name: null })
})

test('PATCH brings no defaults, but for required members of what is new as a whole', () => {
  const stored = complete(defaults, {})
  const merge = (body: JsonObject) => complete(defaults, mergePatch(defaults, stored, body), 'update')
  assert.deepEqual(merge({ extra: {} })['extra'], { size: 2, label: null })
  assert.deepEqual(merge({ settings: { label: 'x' } })['settings'], { size: 2, label: 'x' })
})

test('the stored entity is left as it was', () => {
  const stored = complete(defaults, {})
  const before = structuredClone(stored)
  mergePatch(defaults, stored, { settings: { size: 9 }, name: 'x' })
  assert.deepEqual(stored, before)
})

// ----------------------------------------------------------------------------------------------------------------------------------- shorthands

const sizeShorthand: Shorthand = {
  field: field.string(),
  expand: (value) =>
    /^\d+$/.test(String(value)) ? { values: { record: { size: Number(value) } } } : { violations: { size: 'expected digits' } },
}
const withShorthand = entityOf(
  { record: field.record({ fields: { size: field.integer({ required: true }), name: field.string() } }) },
  { shorthands: { size: sizeShorthand } },
)

test('a shorthand is checked, translated and forgotten', () => {
  assert.deepEqual(complete(withShorthand, { size: '5' }), { record: { size: 5, name: null } })
  assert.deepEqual(complete(withShorthand, { size: '5', record: { name: 'n' } }), { record: { size: 5, name: 'n' } })
  assert.deepEqual(mergePatch(withShorthand, { record: { size: 1, name: 'n' } }, { size: '2' }), { record: { size: 2, name: 'n' } })
})

test('a faulty shorthand is the only violation: what it stands for is not called missing', () => {
  assert.deepEqual(violationsOf(withShorthand, { size: '', record: {} }), { size: 'length must be at least 1' })
  assert.deepEqual(violationsOf(withShorthand, { size: 'x', record: {} }), { size: 'expected digits' })
  assert.throws(() => mergePatch(withShorthand, {}, { size: 5 }), SchemaViolation)
})

test('a shorthand of a record inside is named by its path, and sees what earlier ones wrote', () => {
  const seen: JsonObject[] = []
  const note: Shorthand = {
    field: field.integer(),
    expand: (value, input) => {
      seen.push({ ...input })
      return { values: { a: value } }
    },
  }
  const schema = entityOf({ record: field.record({ fields: { a: field.integer() }, shorthands: { first: note, second: note } }) })
  assert.deepEqual(complete(schema, { record: { first: 1, second: 2 } }), { record: { a: 2 } })
  assert.deepEqual(seen, [{ second: 2 }, { a: 1 }])
  assert.deepEqual(violationsOf(schema, { record: { first: 'x' } }), { record: { first: 'expected an integer' } })
})

// -------------------------------------------------------------------------------------------------------------------------------- entity checks

const two = { a: field.string({ referenceable: true }), b: field.string({ lenMax: 3 }) }

test('entity checks have the texts of Kong', () => {
  const of = (
    kind: 'at_least_one_of' | 'only_one_of' | 'mutually_exclusive' | 'mutually_required',
    input: JsonObject,
    context?: WriteContext,
  ) => violationsOf(entityOf(two, { checks: [{ kind, fields: ['a', 'b'] }] }), input, context)
  assert.deepEqual(of('at_least_one_of', {}), { '@entity': ["at least one of these fields must be non-empty: 'a', 'b'"] })
  assert.deepEqual(of('at_least_one_of', {}, 'update'), {
    '@entity': ["when updating, at least one of these fields must be non-empty: 'a', 'b'"],
  })
  assert.deepEqual(of('only_one_of', { a: 'x', b: 'y' }), { '@entity': ["exactly one of these fields must be non-empty: 'a', 'b'"] })
  assert.deepEqual(of('mutually_exclusive', { a: 'x', b: 'y' }), {
    '@entity': ["only one or none of these fields must be set: 'a', 'b'"],
  })
  assert.deepEqual(of('mutually_required', { a: 'x' }), { '@entity': ["all or none of these fields must be set: 'a', 'b'"] })
  assert.equal(of('mutually_required', { a: 'x', b: 'y' }), undefined)
})

test('a condition that does not hold is told for the entity and for the field', () => {
  const schema = entityOf(two, {
    checks: [{ kind: 'conditional', ifField: 'a', ifMatch: { eq: 'x' }, thenField: 'b', thenMatch: { required: true } }],
  })
  assert.deepEqual(violationsOf(schema, { a: 'x' }), {
    '@entity': ["failed conditional validation given value of field 'a'"],
    b: 'required field missing',
  })
  assert.equal(violationsOf(schema, { a: 'y' }), undefined)
  assert.equal(violationsOf(schema, {}), undefined)
})

test('a check is skipped when one of its fields is faulty or lies in a vault', () => {
  const schema = entityOf(two, { checks: [{ kind: 'mutually_exclusive', fields: ['a', 'b'] }] })
  assert.deepEqual(violationsOf(schema, { a: 'x', b: 'long' }), { b: 'length must be at most 3' })
  assert.equal(violationsOf(schema, { a: '{vault://env/x}', b: 'y' }), undefined)
})

test('a rule of several texts adds to those of other rules', () => {
  const schema = entityOf(two, {
    checks: [
      { kind: 'mutually_exclusive', fields: ['a', 'b'] },
      { kind: 'custom', fields: ['a'], run: (entity) => ({ '@entity': [`a is ${String(entity['a'])}`], b: 'because of a' }) },
    ],
  })
  assert.deepEqual(violationsOf(schema, { a: 'x', b: 'y' }), {
    '@entity': ["only one or none of these fields must be set: 'a', 'b'", 'a is x'],
    b: 'because of a',
  })
})

test('a subschema completes the schema by the value of its key', () => {
  const small: Subschema = { fields: { config: field.record({ required: true, fields: { size: field.integer({ default: 1 }) } }) } }
  const schema = entityOf(
    { name: field.string({ required: true }), config: field.map({ keys: field.string(), values: field.string() }) },
    { subschema: { key: 'name', pick: (name) => (name === 'small' ? small : undefined), unknown: (name) => `no plugin ${String(name)}` } },
  )
  assert.deepEqual(complete(schema, { name: 'small' }), { name: 'small', config: { size: 1 } })
  assert.deepEqual(violationsOf(schema, { name: 'big' }), { name: 'no plugin big' })
  assert.deepEqual(violationsOf(schema, {}), { name: 'required field missing' })
  assert.deepEqual(violationsOf(schema, { name: 'small', config: { x: 1 } }), { config: { x: 'unknown field' } })
})

// ------------------------------------------------------------------------------------------------------------------------------- hostile input

const everything = entityOf(
  {
    id: field.uuid({ auto: true }),
    updated_at: field.integer({ auto: true, timestamp: true }),
    name: field.string({ required: true, default: 'n', match: /^[a-z]*$/ }),
    count: field.integer({ between: [0, 9], default: 1 }),
    ratio: field.number({ gt: 0 }),
    flag: field.boolean({ default: false }),
    tags: field.set({ elements: field.string(), lenMax: 3 }),
    nodes: field.set({
      elements: field.record({ fields: { host: field.string({ required: true, default: 'h' }), port: field.integer() } }),
    }),
    headers: field.map({ keys: field.string(), values: field.array({ elements: field.string() }) }),
    parent: field.foreign('things'),
    later: field.record({ required: true, notBuilt: 'not yet', fields: { a: field.array({ elements: field.string(), default: ['x'] }) } }),
    record: field.record({
      required: true,
      fields: { one: field.string(), other: field.url({ referenceable: true }) },
      shorthands: { both: { field: field.string(), expand: (value) => ({ values: { one: value, other: value } }) } },
      checks: [{ kind: 'mutually_required', fields: ['one', 'other'] }],
    }),
  },
  {
    shorthands: {
      size: { field: field.array({ elements: field.integer() }), expand: (value) => ({ values: { record: { one: String(value) } } }) },
    },
    checks: [{ kind: 'conditional', ifField: 'flag', ifMatch: { eq: true }, thenField: 'ratio', thenMatch: { required: true } }],
  },
)

const anyJson = fc.jsonValue({ maxDepth: 4 })
const likelyInput = fc.dictionary(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...Object.keys(everything.fields), 'size') },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', 'x') },
  ),
  fc.oneof(
    anyJson,
    fc.constantFrom<unknown>(null, '', 'abc', '{vault://env/x}', ID, 1, 5, 2.5, true, [], {}, ['a', 'a'], { id: ID }, [
      'https://a.example',
    ]),
    fc.record(
      { one: anyJson, other: fc.constantFrom('https://a.example', '{vault://env/x}', 'x'), both: anyJson, host: anyJson, a: anyJson },
      { requiredKeys: [] },
    ),
    fc.array(
      fc.record({ host: fc.constantFrom<unknown>('a', 'b', null, 1), port: fc.constantFrom<unknown>(1, null, 'x') }, { requiredKeys: [] }),
    ),
  ),
)

test('whatever JSON comes in, the answer is an entity or a SchemaViolation; an entity completes to itself', () => {
  let completed = 0
  fc.assert(
    fc.property(likelyInput, fc.constantFrom<WriteContext>('insert', 'update'), (input, context) => {
      let entity: Record<string, unknown>
      try {
        entity = complete(everything, input, context)
      } catch (error) {
        assert(error instanceof SchemaViolation, String(error))
        assert.match(error.message, /^(schema violation|\d+ schema violations) \(/)
        return
      }
      completed += 1
      assert.deepEqual(Object.keys(entity), Object.keys(everything.fields))
      assert.deepEqual(complete(everything, entity), entity)
      assert.deepEqual(complete(everything, mergePatch(everything, entity, {}), 'update'), entity)
    }),
    { numRuns: 3000 },
  )
  assert(completed > 100, `only ${completed} inputs were valid`)
})

test('a PATCH of arbitrary JSON fails only with a SchemaViolation', () => {
  const stored = complete(everything, {})
  fc.assert(
    fc.property(likelyInput, (body) => {
      try {
        complete(everything, mergePatch(everything, stored, body), 'update')
      } catch (error) {
        assert(error instanceof SchemaViolation, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('members called __proto__ or constructor are unknown fields like any other', () => {
  const input = JSON.parse('{"__proto__":{"count":5},"constructor":1,"record":{"__proto__":{"one":"x"}}}')
  const found = violationsOf(everything, input) as JsonObject
  assert.deepEqual(Object.keys(found).sort(), ['__proto__', 'constructor', 'record'])
  assert.equal(Object.getOwnPropertyDescriptor(found, '__proto__')?.value, 'unknown field')
  assert.equal(Object.hasOwn(Object.prototype, 'count'), false)
  assert.equal(({} as JsonObject)['one'], undefined)
})

test('a map may hold a key called __proto__', () => {
  const schema = entityOf({ map: field.map({ keys: field.string(), values: field.string() }) })
  const { map } = complete(schema, JSON.parse('{"map":{"__proto__":"x"}}'))
  assert.equal(JSON.stringify(map), '{"__proto__":"x"}')
  const merged = mergePatch(schema, { map: null }, JSON.parse('{"map":{"__proto__":"x"},"__proto__":{"y":1}}'))
  assert.equal(JSON.stringify(merged), '{"map":{"__proto__":"x"},"__proto__":{"y":1}}')
})

test('depth exhausts no stack', () => {
  const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
  for (const name of Object.keys(everything.fields)) {
    if (name === 'updated_at') continue
    const found = violationsOf(everything, { [name]: [deep] })
    assert.notEqual(found, undefined, name)
  }
})

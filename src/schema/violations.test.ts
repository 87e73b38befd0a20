import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Violations } from './field.ts'
import { describeViolations, luaNotation, SchemaViolation } from './violations.ts'

test('one violation is told in brackets, several with their number', () => {
  assert.equal(describeViolations({ name: 'required field missing' }), 'schema violation (name: required field missing)')
  assert.equal(describeViolations({ b: 'two', a: 'one' }), '2 schema violations (a: one; b: two)')
})

test('texts of the entity come first, in their own order, then fields by name', () => {
  const violations: Violations = { path: 'value must be null', '@entity': ['second rule', 'first rule'], host: 'x' }
  assert.equal(describeViolations(violations), '4 schema violations (second rule; first rule; host: x; path: value must be null)')
})

test('members of a record are told by path, elements by a position from 1', () => {
  assert.equal(describeViolations({ config: { x: 'unknown field' } }), 'schema violation (config.x: unknown field)')
  assert.equal(describeViolations({ service: { id: 'missing primary key' } }), 'schema violation (service.id: missing primary key)')
  assert.equal(
    describeViolations({ config: { b: '2', a: '1' }, protocols: [null, 'expected one of: http'] }),
    '3 schema violations (config.a: 1; config.b: 2; protocols.2: expected one of: http)',
  )
})

test('what lies deeper is told in the notation of Lua', () => {
  assert.equal(
    describeViolations({ config: { redis: { port: 'bad', '@entity': ['rule'] } } }),
    'schema violation (config.redis: {["@entity"]={"rule"},port="bad"})',
  )
  assert.equal(describeViolations({ config: { list: [null, 'bad'] } }), 'schema violation (config.list: {[2]="bad"})')
})

test('keys are printed as Kong prints them: sorted, bare where they are names, null spelled out', () => {
  assert.equal(luaNotation({ name: 'x', consumer: null, service: { id: 'i' } }), '{consumer=null,name="x",service={id="i"}}')
  assert.equal(luaNotation({ 'a-b': 1, ok: true }), '{["a-b"]=1,ok=true}')
  assert.equal(luaNotation(['a', 2]), '{"a",2}')
  assert.equal(luaNotation('a"b\\'), '"a\\"b\\\\"')
})

test('the error carries the violations and a stable code', () => {
  const error = new SchemaViolation({ a: 'x' })
  assert.equal(error.code, 'GW_SCHEMA_VIOLATION')
  assert.equal(error.message, 'schema violation (a: x)')
  assert.deepEqual(error.fields, { a: 'x' })
})

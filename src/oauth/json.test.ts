import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseJsonObject } from './json.ts'

test('of several members with one name the last one wins', () => {
  assert.equal(parseJsonObject('{"active":false,"active":true}')?.['active'], true)
  assert.equal(parseJsonObject('{"active":true,"active":false}')?.['active'], false)
})

test('__proto__ and constructor are ordinary members and pollute nothing, at any depth', () => {
  const object = parseJsonObject('{"__proto__":{"active":true},"inner":{"__proto__":{"polluted":1}}}')
  assert.ok(object !== null)
  assert.equal(object['active'], undefined)
  assert.equal(object['constructor'], undefined)
  assert.equal(object['toString'], undefined)
  assert.ok(Object.hasOwn(object, '__proto__'))
  assert.equal(Reflect.get(Object(object['inner']), 'polluted'), undefined)
  assert.equal(Reflect.get({}, 'polluted'), undefined)
})

test('only UTF-8 JSON objects of bounded depth are read', () => {
  const deep = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`
  for (const source of ['', 'null', '[]', '"x"', '1', '{"a":', '{} x', deep(65), deep(100_000)]) {
    assert.equal(parseJsonObject(source), null, source.slice(0, 20))
  }
  assert.equal(parseJsonObject(Buffer.from('{"a":1}', 'utf16le')), null)
  assert.equal(parseJsonObject(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), null)
  assert.ok(parseJsonObject(deep(64)) !== null)
})

test('arbitrary bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      parseJsonObject(bytes)
    }),
  )
})

test('reading keeps every value as JSON writes it', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), (value) => {
      const text = JSON.stringify(value)
      assert.equal(JSON.stringify(parseJsonObject(text)), JSON.stringify(JSON.parse(text)))
    }),
  )
})

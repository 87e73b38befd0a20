import assert from 'node:assert/strict'
import test from 'node:test'
import { isNormalized, normalFormOf, normalizePath } from './uri-path.ts'

test('a path is brought to normal form: triplets decoded unless reserved, dot segments gone, slashes single (RFC 3986 section 6.2.2)', () => {
  const cases = [
    ['/a/%2e%2E/b', '/b'],
    ['/%41', '/A'],
    ['/a%2fb', '/a%2Fb'],
    ['/a//b/./c/', '/a/b/c/'],
    ['/a/..', '/'],
    ['/..', '/'],
    ['/../../a', '/a'],
    ['/a/.', '/a/'],
    ['/a%20b', '/a b'],
    ['/caf%c3%a9', '/café'],
    ['/a%25b', '/a%25b'],
    ['/a;v=1,2', '/a;v=1,2'],
    ['/...', '/...'],
    ['/.hidden/a', '/.hidden/a'],
    ['/a%2', '/a%2'],
  ]
  for (const [path = '', normal = ''] of cases) assert.equal(normalFormOf(path), normal, path)
})

test('the normal form of a normal form is itself', () => {
  for (const path of ['/', '/a/b/', '/a%2Fb', '/café', '/a b']) assert.ok(isNormalized(path), path)
  for (const path of ['/a%2fb', '/%7Ea', '/a/../b', '/a//b']) assert.ok(!isNormalized(path), path)
})

test('a decoded byte that is no UTF-8 stays one byte', () => {
  assert.equal(normalizePath('/%ff'), '/\xff')
  assert.equal(normalFormOf('/%ff'), '/\uFFFD')
})

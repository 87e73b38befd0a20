import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromByteString, toByteString } from '../util/bytes.ts'
import {
  climbsAboveRoot,
  escapePath,
  hasHiddenDotSegment,
  hasMalformedEscape,
  isNormalized,
  isValidUtf8,
  normalizePath,
  pathViolation,
  plainPathViolation,
  splitTarget,
} from './path.ts'

const bytes = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

/** Request-target → path that routes see → target sent upstream. */
const vectors: readonly (readonly [target: string, matched: string, sent: string])[] = [
  ['/a/%2e%2E/b', '/b', '/b'],
  ['/%41', '/A', '/A'],
  ['/a%2fb', '/a%2Fb', '/a%2Fb'],
  ['/a//b/./c/', '/a/b/c/', '/a/b/c/'],
  ['/a/..', '/', '/'],
  ['/a%20b?q=%20', '/a b', '/a%20b?q=%20'],
  ['/caf%c3%a9', bytes('/café'), '/caf%C3%A9'],
  ['/a%25b', '/a%25b', '/a%25b'],
  ['/a;v=1,2', '/a;v=1,2', '/a;v=1,2'],
  ['/a"b', '/a"b', '/a%22b'],
  ['//a/../b', '/b', '/b'],
  ['/', '/', '/'],
  ['/.', '/', '/'],
  ['/a/.', '/a/', '/a/'],
  ['/a/b/../', '/a/', '/a/'],
  ['/a//..', '/', '/'],
  ['/a/%2e/%2E./b', '/b', '/b'],
  ['/.a/..b/c.', '/.a/..b/c.', '/.a/..b/c.'],
  ['/...', '/...', '/...'],
  ['/a%5cb', '/a\\b', '/a%5Cb'],
  ['/a#b', '/a#b', '/a#b'],
  ['/a%23%3f%5b%5D', '/a%23%3F%5B%5D', '/a%23%3F%5B%5D'],
  ['/a%7e%2d%5f%2e', '/a~-_.', '/a~-_.'],
  ['/a?', '/a', '/a?'],
  ['/a?b=../..//%2f&c', '/a', '/a?b=../..//%2f&c'],
  ['*', '*', '*'],
]

test('a target is matched in its normal form and leaves escaped again, its query untouched', () => {
  for (const [target, matched, sent] of vectors) {
    const { path, query } = splitTarget(target)
    assert.equal(normalizePath(path), matched, target)
    assert.equal(escapePath(normalizePath(path)) + query, sent, target)
  }
})

test('a target is cut at the first ? from its second character on', () => {
  assert.deepEqual(splitTarget('/a?b?c'), { path: '/a', query: '?b?c' })
  assert.deepEqual(splitTarget('/a?'), { path: '/a', query: '?' })
  assert.deepEqual(splitTarget('/a#b'), { path: '/a#b', query: '' })
  assert.deepEqual(splitTarget('?a'), { path: '?a', query: '' })
  assert.deepEqual(splitTarget(''), { path: '', query: '' })
})

test('every byte is decoded unless it is reserved, and reserved escapes get upper-case digits', () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const char = String.fromCharCode(byte)
    const triplet = `%${byte.toString(16).padStart(2, '0')}`
    const expected = "!*'();:@&=+$,/?%#[]".includes(char) ? triplet.toUpperCase() : char
    assert.equal(normalizePath(`/x${triplet}x`), `/x${expected}x`)
  }
})

test('every byte outside the allowed set is escaped on the way out', () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const char = String.fromCharCode(byte)
    const plain = /[A-Za-z0-9]/.test(char) || "!#$&'()*+,/:;=?@[]-_.~%".includes(char)
    assert.equal(escapePath(char), plain ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
  }
})

test('a percent sign without two hexadecimal digits and a NUL are malformed', () => {
  for (const path of ['/%', '/%4', '/%zz', '/%g0', '/%0', '/a%00b', '/a\0', '/%%41', '/%u0041']) {
    assert.equal(hasMalformedEscape(path), true, path)
    assert.match(pathViolation(path) ?? '', /percent-encoding/)
  }
  for (const path of ['/', '/%41', '/%25', '/%2500', '/%01', '/a%C3%A9']) assert.equal(hasMalformedEscape(path), false, path)
})

test('dot segments that lead above the root are recognised, also encoded and behind empty segments', () => {
  for (const path of ['/..', '/../', '/a/../..', '/a/../../b', '/%2e%2e/a', '/.%2E', '/a//../..', '/./..', '/a/b/../../../a/b']) {
    assert.equal(climbsAboveRoot(path), true, path)
    assert.match(pathViolation(path) ?? '', /above its root/)
  }
  for (const path of ['/', '/a/..', '/a/b/../..', '/a/../b/..', '/..a/', '/a..', '/..%2f', '//a/../b', '/a/%2e%2E/b', '/...']) {
    assert.equal(climbsAboveRoot(path), false, path)
    assert.equal(pathViolation(path), null)
  }
})

test('a dot segment beside an encoded slash or a backslash is hidden, not removed', () => {
  for (const raw of ['/a/..%2fb', '/a%2F..', '/a%2f../b', '/a\\..\\b', '/a/..%5cb', '/a%2f.%2fb', '/%2e%2e%2fb']) {
    assert.equal(hasHiddenDotSegment(normalizePath(raw)), true, raw)
  }
  for (const raw of ['/a/../b', '/a..%2fb', '/a%2f..b', '/a.b%2fc', '/']) assert.equal(hasHiddenDotSegment(normalizePath(raw)), false, raw)
})

test('a path is UTF-8 or it is not, after decoding', () => {
  for (const raw of ['/', '/caf%C3%A9', '/%F0%9F%98%80', '/%01']) assert.equal(isValidUtf8(normalizePath(raw)), true, raw)
  for (const raw of ['/%C3', '/%FF', '/%C0%AF', '/%ED%A0%80', '/%F4%90%80%80', '/%E9'])
    assert.equal(isValidUtf8(normalizePath(raw)), false, raw)
})

test('a plain path of a route is refused with the normal form to use instead', () => {
  for (const path of ['/', '/a', '/a/', '/a%2Fb', '/café', '/a b', '/a.b']) {
    assert.equal(isNormalized(path), true, path)
    assert.equal(plainPathViolation(path), null)
  }
  assert.equal(plainPathViolation('/%41/../é%c3%a9'), "non-normalized path, consider use '/éé' instead")
  assert.equal(plainPathViolation('/a%2fb'), "non-normalized path, consider use '/a%2Fb' instead")
  assert.equal(plainPathViolation('/a/./b'), "non-normalized path, consider use '/a/b' instead")
})

test('bytes and text are converted without loss', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => fromByteString(toByteString(text)) === text))
})

/** Paths made of what gives trouble, without malformed escapes. */
const rawPath = fc
  .array(
    fc.oneof(
      fc.constantFrom('/', '.', '..', '%2e', '%2F', '%5c', '//', '%25', '%41', '%c3%a9', '\\', '#', ' ', 'a', '\xe9'),
      percentByte(),
    ),
  )
  .map((parts) => `/${parts.join('')}`)

function percentByte() {
  return fc.integer({ min: 1, max: 255 }).map((byte) => `%${byte.toString(16).padStart(2, '0')}`)
}

test('property: normalising is idempotent', () => {
  fc.assert(
    fc.property(rawPath, (raw) => {
      const path = normalizePath(raw)
      assert.equal(normalizePath(path), path)
    }),
    { numRuns: 2000 },
  )
})

test('property: a normalised path is rooted and has neither empty nor dot segments', () => {
  fc.assert(
    fc.property(rawPath, (raw) => {
      const path = normalizePath(raw)
      assert.ok(path.startsWith('/'))
      assert.ok(!path.includes('//'))
      for (const segment of path.split('/')) assert.ok(segment !== '.' && segment !== '..', path)
    }),
    { numRuns: 2000 },
  )
})

test('property: what leaves is printable ASCII and normalises to the same path', () => {
  fc.assert(
    fc.property(rawPath, (raw) => {
      const path = normalizePath(raw)
      const sent = escapePath(path)
      assert.match(sent, /^[!-~]*$/)
      assert.equal(normalizePath(sent), path)
      assert.equal(escapePath(sent), sent)
    }),
    { numRuns: 2000 },
  )
})

test('property: any bytes are normalised without an exception', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)) }), (raw) => {
      normalizePath(raw)
      climbsAboveRoot(raw)
      hasMalformedEscape(raw)
      escapePath(raw)
      splitTarget(raw)
    }),
  )
})

test('a long path of dot segments is normalised in linear time', () => {
  const started = process.hrtime.bigint()
  normalizePath('/a/%2e%2e'.repeat(100_000))
  normalizePath('/'.repeat(1_000_000))
  climbsAboveRoot('/.'.repeat(500_000))
  assert.ok(process.hrtime.bigint() - started < 3_000_000_000n)
})

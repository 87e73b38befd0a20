import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addParameters, encodeForm, encodeFormComponent, toHttpRequest, withHeaders } from './form.ts'
import vectors from './vectors/rfc6749-client-credentials.json' with { type: 'json' }

const none: ReadonlySet<string> = new Set()

test('form encoding is that of RFC 6749 appendix B: UTF-8, space as +, reserved as %XX', () => {
  assert.equal(encodeFormComponent(vectors.formEncoding.text), vectors.formEncoding.encoded)
  assert.equal(encodeForm([['token', 'a+b/c==&x y']]), 'token=a%2Bb%2Fc%3D%3D%26x+y')
})

test('a form decodes to what was encoded, in order', () => {
  const text = fc.string({ unit: 'grapheme' })
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text)), (pairs) => {
      assert.deepEqual([...new URLSearchParams(encodeForm(pairs))], pairs)
    }),
  )
})

test('an encoded form holds only characters that a form may hold', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.match(encodeFormComponent(text), /^(?:[A-Za-z0-9*._+-]|%[0-9A-F]{2})*$/)
    }),
  )
})

test('a request keeps the query of its address and drops the fragment', () => {
  const request = toHttpRequest({ url: 'https://as/token?tenant=a#x', headers: [['Accept', 'application/json']], form: [['a', 'b']] })
  assert.deepEqual(request, {
    method: 'POST',
    url: 'https://as/token?tenant=a',
    headers: [
      ['Accept', 'application/json'],
      ['Content-Type', 'application/x-www-form-urlencoded'],
    ],
    body: 'a=b',
  })
})

test('a header with a line break in its name or value never leaves', () => {
  assert.throws(() => toHttpRequest({ url: 'https://as/', headers: [['X\r\nY', 'z']], form: [] }), TypeError)
  for (const value of ['a\r\nX: y', 'a\nb', 'a\0']) {
    assert.throws(() => toHttpRequest({ url: 'https://as/', headers: [['X', value]], form: [] }), TypeError)
  }
})

test('headers replace those of their name without regard to case, but never the framing of the message', () => {
  const headers = withHeaders(
    [['Accept', 'application/json']],
    [
      ['accept', '*/*'],
      ['content-type', 'text/plain'],
      ['Content-Length', '0'],
      ['Transfer-Encoding', 'chunked'],
      ['Connection', 'close'],
      ['X-Foo', 'bar'],
    ],
  )
  assert.deepEqual(headers, [
    ['accept', '*/*'],
    ['X-Foo', 'bar'],
  ])
})

test('what comes from a caller never replaces or doubles a parameter of ours', () => {
  const form = addParameters([['token', 'T']], {
    trusted: [['resource', 'r1']],
    untrusted: [
      ['token', 'evil'],
      ['resource', 'evil'],
      ['client_id', 'evil'],
      ['client_assertion', 'evil'],
      ['x', '1'],
      ['x', '2'],
    ],
    replaceable: none,
    replaceableByUntrusted: none,
  })
  assert.deepEqual(form, [
    ['token', 'T'],
    ['resource', 'r1'],
    ['x', '1'],
    ['x', '2'],
  ])
})

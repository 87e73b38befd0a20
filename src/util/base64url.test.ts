import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeBase64url, encodeBase64url } from './base64url.ts'

test('encodes and decodes the example of RFC 7636 appendix A', () => {
  const octets = new Uint8Array([3, 236, 255, 224, 193])
  assert.equal(encodeBase64url(octets), 'A-z_4ME')
  assert.deepEqual(decodeBase64url('A-z_4ME'), octets)
})

test('a string is encoded by its UTF-8 bytes', () => {
  assert.equal(encodeBase64url('é'), 'w6k')
})

test('what is encoded decodes to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.deepEqual(decodeBase64url(encodeBase64url(bytes)), new Uint8Array(bytes))
    }),
  )
})

test('a view into a larger buffer encodes only its own bytes', () => {
  assert.equal(encodeBase64url(new Uint8Array([0, 1, 2, 3]).subarray(1, 3)), 'AQI')
})

test('only one text stands for given bytes: other alphabets, padding, white space, impossible lengths and stray bits are refused', () => {
  for (const text of ['A+z_4ME', 'A/z_4ME', 'AQ==', 'AQ=', ' AQ', 'AQ\n', 'A', 'AAAAA', 'AR', 'AQJ']) {
    assert.equal(decodeBase64url(text), null, JSON.stringify(text))
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 12 }), (text) => {
      const bytes = decodeBase64url(text)
      if (bytes !== null) assert.equal(encodeBase64url(bytes), text)
    }),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localUrl } from './health.ts'

test('a listener is reached over its own address, the unspecified one over loopback', () => {
  assert.equal(localUrl('127.0.0.1:8007', '/status').href, 'http://127.0.0.1:8007/status')
  assert.equal(localUrl('0.0.0.0:8007', '/status').href, 'http://127.0.0.1:8007/status')
  assert.equal(localUrl('[::]:8007', '/status').href, 'http://[::1]:8007/status')
  assert.equal(localUrl('https://0.0.0.0:8007 (proxy_protocol)', '/status').href, 'https://127.0.0.1:8007/status')
  assert.equal(localUrl('http://10.0.0.1:8007', '/status/ready').href, 'http://10.0.0.1:8007/status/ready')
})

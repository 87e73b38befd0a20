import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { helloOf } from './client-hello.fixture.ts'
import { ClientHelloReader, NEED_MORE_HELLO } from './client-hello.ts'

/** The same message in records of `size` bytes. */
function fragmented(hello: Buffer, size: number): Buffer {
  const records: Buffer[] = []
  for (let at = 5; at < hello.length; at += size) {
    const part = hello.subarray(at, at + size)
    records.push(Buffer.from([0x16, 3, 1, part.length >> 8, part.length & 0xff]), part)
  }
  return Buffer.concat(records)
}

const readServerName = (bytes: Buffer) => new ClientHelloReader().feed(bytes)

let named: Buffer
let nameless: Buffer
before(async () => {
  named = await helloOf({ servername: 'Api.Example.test' })
  nameless = await helloOf({ servername: '' })
})

test('the server name is found as the client wrote it', () => {
  assert.equal(readServerName(named), 'Api.Example.test')
})

test('a client without SNI has no name', () => {
  assert.equal(readServerName(nameless), null)
})

test('nothing is decided before the message is complete', () => {
  for (let length = 1; length < named.length; length++)
    assert.equal(readServerName(named.subarray(0, length)), NEED_MORE_HELLO, `${length}`)
})

test('the message may be cut into records anywhere, each of them of one byte', () => {
  for (const size of [1, 2, 7, 100]) {
    const bytes = fragmented(named, size)
    assert.equal(readServerName(bytes), 'Api.Example.test', `${size}`)
    assert.equal(readServerName(bytes.subarray(0, bytes.length - 1)), NEED_MORE_HELLO, `${size}`)
  }
})

test('what is no ClientHello has no name, and is not waited for', () => {
  assert.equal(readServerName(Buffer.from([0x16, 3, 1, 0, 4, 2, 0, 0, 0])), null)
  assert.equal(readServerName(Buffer.from('GET / HTTP/1.1\r\n')), null)
  assert.equal(readServerName(Buffer.concat([named.subarray(0, 100), Buffer.from([0x17])]).fill(0x17, 0, 1)), null)
})

test('a message that announces more than a hello can be is not waited for', () => {
  assert.equal(readServerName(Buffer.from([0x16, 3, 1, 0, 4, 1, 0x01, 0, 0])), null)
  // Empty records carry nothing and could go on for ever.
  assert.equal(readServerName(Buffer.alloc(33_000, Buffer.from([0x16, 3, 1, 0, 0]))), null)
})

test('a broken message never throws, and yields a name or none', () => {
  for (let at = 5; at < named.length; at++) {
    for (const value of [0, 0x7f, 0xff]) {
      const broken = Buffer.from(named)
      broken[at] = value
      assert.doesNotThrow(() => readServerName(broken))
    }
  }
})

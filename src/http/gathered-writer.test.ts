import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { GatheredWriter } from './gathered-writer.ts'

/** A writer, how many pieces its socket was given, and what came out at the other end when it is ended. */
async function setUp() {
  const received: Buffer[] = []
  const server = createServer((peer: Socket) => peer.on('data', (chunk: Buffer) => received.push(chunk)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const sizes: number[] = []
  const write = socket.write.bind(socket) as (piece: string | Uint8Array, encoding?: BufferEncoding) => boolean
  socket.write = ((piece: string | Uint8Array, encoding?: BufferEncoding) => {
    sizes.push(piece.length)
    return write(piece, encoding)
  }) as typeof socket.write
  return {
    writer: new GatheredWriter(socket),
    sizes,
    async ended(): Promise<string> {
      socket.resume()
      await once(socket, 'close')
      return Buffer.concat(received).toString('latin1')
    },
    [Symbol.dispose]() {
      socket.destroy()
      server.close()
    },
  }
}

test('what is written in one turn goes to the socket in one piece, in order', async () => {
  using it = await setUp()
  for (const piece of ['head\xe9', Buffer.from([0xff, 0x00]), 'tail']) assert.equal(it.writer.write(piece), true)
  assert.deepEqual(it.sizes, [])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(it.sizes, [11])
  it.writer.write('more')
  it.writer.end()
  assert.equal(await it.ended(), 'head\xe9\xff\x00tailmore')
  assert.deepEqual(it.sizes, [11, 4])
})

test('what waits is never more than 16 KiB, and a large piece waits for nothing but what was before it', async () => {
  using it = await setUp()
  for (let i = 0; i < 40_000; i++) it.writer.write('x')
  assert.deepEqual(it.sizes, [16_384, 16_384])
  it.writer.write(Buffer.alloc(20_000, 'y'))
  assert.deepEqual(it.sizes.slice(2), [7232, 20_000])
  it.writer.end()
  assert.equal(await it.ended(), 'x'.repeat(40_000) + 'y'.repeat(20_000))
})

test('what is dropped is not sent', async () => {
  using it = await setUp()
  it.writer.write('a')
  it.writer.write('b')
  it.writer.drop()
  it.writer.end()
  assert.equal(await it.ended(), '')
})

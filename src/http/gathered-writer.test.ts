import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { until } from '../../test/support/until.ts'
import { GatheredWriter } from './gathered-writer.ts'

/** A writer, the sizes of what its socket was given, and what came out at the other end when it is ended. The other side does not read before it is to. */
async function setUp({ reads = true } = {}) {
  const received: Buffer[] = []
  const peers: Socket[] = []
  const server = createServer({ pauseOnConnect: !reads }, (peer: Socket) => {
    peers.push(peer)
    peer.on('data', (chunk: Buffer) => received.push(chunk))
    if (!reads) peer.pause()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await Promise.all([once(socket, 'connect'), once(server, 'connection')])
  const sizes: number[] = []
  const write = socket._write.bind(socket)
  socket._write = (piece: string | Uint8Array, ...rest) => {
    sizes.push(piece.length)
    write(piece, ...rest)
  }
  let drained = 0
  return {
    socket,
    writer: new GatheredWriter(socket, () => drained++),
    sizes,
    drained: () => drained,
    read: () => peers[0]?.resume(),
    async ended(): Promise<string> {
      socket.resume()
      await once(socket, 'close')
      return Buffer.concat(received).toString('latin1')
    },
    [Symbol.dispose]() {
      socket.destroy()
      peers[0]?.destroy()
      server.close()
    },
  }
}

const BLOCK = 'b'.repeat(1_000_000)

/** Writes until the system takes no more. @returns blocks that were written */
function fill(writer: GatheredWriter): number {
  for (let blocks = 1; ; blocks++) if (!writer.write(BLOCK)) return blocks
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

test('while the other side does not read, what is written waits in order, and it is told once the system has taken it', async () => {
  using it = await setUp({ reads: false })
  const blocks = fill(it.writer)
  assert.equal(it.writer.isFull, true)
  const given = it.sizes.length
  assert.equal(it.writer.write('one'), false)
  assert.equal(it.writer.write('c'.repeat(100_000)), false)
  it.writer.write('two')
  assert.equal(it.sizes.length, given)
  assert.equal(it.drained(), 0)
  assert.equal(it.writer.isEmpty, false)
  it.read()
  await until(() => it.drained() === 1, 'the writer to be free')
  assert.deepEqual(it.sizes.slice(given), [100_006])
  assert.equal(it.writer.isEmpty, true)
  it.writer.end()
  assert.equal(await it.ended(), `${BLOCK.repeat(blocks)}one${'c'.repeat(100_000)}two`)
})

test('it is ended after what waits, and takes nothing more', async () => {
  using it = await setUp({ reads: false })
  const blocks = fill(it.writer)
  it.writer.write('last')
  it.writer.end()
  it.writer.write('late')
  it.read()
  assert.equal(await it.ended(), `${BLOCK.repeat(blocks)}last`)
  assert.equal(it.drained(), 0)
})

test('a socket that is given away sends what waits before what its new owner writes', async () => {
  using it = await setUp({ reads: false })
  const blocks = fill(it.writer)
  it.writer.write('head')
  it.writer.release()
  it.socket.write('stream')
  it.read()
  it.socket.end()
  assert.equal(await it.ended(), `${BLOCK.repeat(blocks)}headstream`)
  assert.equal(it.drained(), 0)
})

test('a write that fails ends the connection', async () => {
  using it = await setUp()
  const failed = once(it.socket, 'error')
  it.socket.end()
  await once(it.socket, 'finish')
  it.writer.write('x')
  it.writer.flush()
  assert.match(String((await failed)[0]), /EPIPE|ECONNRESET/)
})

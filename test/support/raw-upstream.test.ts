import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawConnection } from './raw-client.ts'
import { startRawUpstream } from './raw-upstream.ts'

test('a script sees the bytes of each request and decides those of the answer', async () => {
  await using upstream = await startRawUpstream(async (connection) => {
    for (const n of [1, 2]) {
      const request = await connection.readRequest()
      assert.equal(request.line, `POST /${n} HTTP/1.1`)
      await connection.respond(`answer ${n} to ${request.body};`)
    }
    connection.close()
  })
  await using connection = await RawConnection.open(upstream.port)
  connection.send('POST /1 HTTP/1.1\r\nContent-Length: 1\r\n\r\naPOST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n')
  assert.equal((await connection.readUntilClose()).toString(), 'answer 1 to a;answer 2 to b;')
  assert.match(upstream.connections[0]?.received.toString() ?? '', /^POST \/1.*0\r\n\r\n$/s)
  assert.deepEqual(upstream.failures, [])
})

test('a script that throws resets its connection and is remembered', async () => {
  await using upstream = await startRawUpstream(async (connection) => {
    await connection.waitFor('x')
    throw new Error('boom')
  })
  await using connection = await RawConnection.open(upstream.port)
  connection.send('x')
  await connection.closed
  assert.deepEqual(upstream.failures, [new Error('boom')])
})

test('a client that leaves ends the wait of the script', async () => {
  await using upstream = await startRawUpstream(() => {})
  const connection = await RawConnection.open(upstream.port)
  await upstream.connected(1)
  const [accepted] = upstream.connections
  connection.send('partial')
  await accepted?.waitFor('partial')
  const waiting = assert.rejects(accepted!.readRequest(), /ended after "partial"/)
  connection.destroy()
  await waiting
  assert.equal(accepted?.ended, true)
})

test('another script serves the next connection', async () => {
  await using upstream = await startRawUpstream((connection) => connection.respond('first'))
  await using first = await RawConnection.open(upstream.port)
  await first.readUntil('first')
  upstream.setScript((connection) => connection.respond('second'))
  await using second = await RawConnection.open(upstream.port)
  await second.readUntil('second')
})

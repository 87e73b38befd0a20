import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { unusedPort } from './ports.ts'
import { exchange, headerOf, RawClientError, RawConnection, sendRaw } from './raw-client.ts'
import { startRawUpstream } from './raw-upstream.ts'

test('a kept connection carries several exchanges', async () => {
  await using upstream = await startEchoUpstream()
  await using connection = await RawConnection.open(upstream.port)
  for (const n of [1, 2, 3]) {
    connection.send(`GET /stream/${n} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const response = await connection.readResponse()
    assert.equal(headerOf(response, 'transfer-encoding'), 'chunked')
    assert.equal(response.body.toString().trimEnd().split('\n').length, n)
  }
  assert.equal(upstream.connections, 1)
  assert.equal(connection.ended, false)
  await upstream.stop()
  await connection.closed
})

test('pipelined answers are told apart', async () => {
  await using upstream = await startEchoUpstream()
  await using connection = await RawConnection.open(upstream.port)
  connection.send(
    'HEAD /get HTTP/1.1\r\nHost: x\r\n\r\nGET /status/204 HTTP/1.1\r\nHost: x\r\n\r\nGET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n',
  )
  assert.equal((await connection.readResponse({ method: 'HEAD' })).body.length, 0)
  assert.equal((await connection.readResponse()).status, 204)
  assert.equal((await connection.readResponse()).body.length, 3)
})

test('exchange sends the head lines as they are', async () => {
  await using upstream = await startEchoUpstream()
  const response = await exchange(upstream.port, ['POST /anything HTTP/1.1', 'hOST: x', 'Content-Length: 2'], 'hi')
  assert.equal(JSON.parse(response.body.toString()).data, 'hi')
  assert.deepEqual(upstream.lastRequest?.rawHeaders, [
    ['hOST', 'x'],
    ['Content-Length', '2'],
  ])
})

test('sendRaw returns the bytes of the answer, interim ones included, or all until the end', async () => {
  const interim = 'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n'
  const final = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'
  await using upstream = await startRawUpstream(async (connection) => {
    await connection.readRequest()
    await connection.respond(`${interim}${final}`)
    await connection.respond('trash')
    connection.close()
  })
  const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
  assert.equal((await sendRaw(upstream.port, request)).toString(), interim + final)
  assert.equal((await sendRaw(upstream.port, request, { untilClose: true })).toString(), `${interim}${final}trash`)
})

test('sendRaw returns what came when the other side closes without an answer', async () => {
  await using upstream = await startRawUpstream(async (connection) => {
    await connection.waitFor('\r\n\r\n')
    await connection.respond('HTTP/1.1 200')
    connection.close()
  })
  assert.equal((await sendRaw(upstream.port, 'x\r\n\r\n')).toString(), 'HTTP/1.1 200')
})

test('silence and early ends are errors that show what was received', async () => {
  await using upstream = await startRawUpstream(async (connection, index) => {
    await connection.respond('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    if (index > 0) connection.close()
  })
  for (const expected of [/no a response within 50 ms/, /closed before a response was complete/]) {
    await using connection = await RawConnection.open(upstream.port, { timeoutMs: 50 })
    await assert.rejects(connection.readResponse(), (error) => {
      assert.ok(error instanceof RawClientError)
      assert.match(error.message, expected)
      assert.match(error.received.toString(), /half$/)
      return true
    })
  }
})

test('a reset is told from an orderly end', async () => {
  await using upstream = await startRawUpstream(async (connection) => {
    await connection.waitFor(1)
    connection.reset()
  })
  await using connection = await RawConnection.open(upstream.port)
  connection.send('x')
  await connection.closed
  assert.equal(connection.errorCode, 'ECONNRESET')
})

test('a refused connection rejects', async () => {
  await assert.rejects(RawConnection.open(await unusedPort()), { code: 'ECONNREFUSED' })
})

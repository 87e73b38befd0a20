import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exchange, RawConnection } from './raw-client.ts'
import { type StubIntrospection, startStubIntrospection } from './stub-introspection.ts'

const ask = async (stub: StubIntrospection, token: string) => {
  const response = await fetch(stub.url, { method: 'POST', body: new URLSearchParams({ token }) })
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
}

test('the answer is a function of the request', async () => {
  await using stub = await startStubIntrospection(({ form }, index) => ({ body: { active: form.get('token') === 'good', index } }))
  assert.deepEqual(await ask(stub, 'good'), { status: 200, type: 'application/json', body: '{"active":true,"index":0}' })
  assert.equal((await ask(stub, 'bad')).body, '{"active":false,"index":1}')
  stub.answer({ status: 503, body: 'down', headers: { 'content-type': 'text/html' } })
  assert.deepEqual(await ask(stub, 'good'), { status: 503, type: 'text/html', body: 'down' })
})

test('requests are recorded in the spelling of the wire', async () => {
  await using stub = await startStubIntrospection()
  await exchange(stub.port, ['POST /a%20b?c HTTP/1.1', 'HOST: x', 'Authorization: Basic eA==', 'Content-Length: 7'], 'token=t')
  const [request] = stub.requests
  assert.equal(request?.path, '/a%20b?c')
  assert.deepEqual(request?.rawHeaders, [
    ['HOST', 'x'],
    ['Authorization', 'Basic eA=='],
    ['Content-Length', '7'],
  ])
  assert.deepEqual([request?.method, request?.body, request?.form.get('token'), stub.calls], ['POST', 'token=t', 't', 1])
  stub.reset()
  assert.deepEqual([stub.calls, stub.requests.length], [0, 0])
})

test('held requests are received and counted, and answered on release', async () => {
  await using stub = await startStubIntrospection()
  stub.hold()
  let answered = 0
  const asking = Array.from({ length: 5 }, async (_, n) => {
    const answer = await ask(stub, `t${n}`)
    answered++
    return answer
  })
  await stub.received(5)
  assert.deepEqual([stub.calls, answered], [5, 0])
  stub.release()
  assert.deepEqual(
    (await Promise.all(asking)).map(({ body }) => body),
    Array(5).fill('{"active":false}'),
  )
  assert.equal((await ask(stub, 'later')).status, 200)
})

test('never leaves the client waiting and reset cuts it off', async () => {
  await using stub = await startStubIntrospection('never')
  await using connection = await RawConnection.open(stub.port)
  connection.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await stub.received(1)
  assert.equal(connection.unread.length, 0)
  stub.answer('reset')
  await using other = await RawConnection.open(stub.port)
  other.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await other.closed
  assert.equal(other.errorCode, 'ECONNRESET')
})

test('a paused stub refuses connections and resumes on the same port', async () => {
  await using stub = await startStubIntrospection()
  await stub.pause()
  await assert.rejects(RawConnection.open(stub.port), { code: 'ECONNREFUSED' })
  await stub.resume()
  assert.equal((await ask(stub, 't')).status, 200)
})

test('a waiting client is cut off by stop', async () => {
  const stub = await startStubIntrospection()
  stub.hold()
  const asking = assert.rejects(ask(stub, 't'))
  await stub.received(1)
  await stub.stop()
  await asking
  assert.equal(stub.abandoned, 1)
})

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts'

type Answer = Record<string, unknown> & { headers: Record<string, string> }

describe('echo upstream', () => {
  let upstream: EchoUpstream
  before(async () => {
    upstream = await startEchoUpstream()
  })
  after(() => upstream.stop())
  beforeEach(() => upstream.reset())

  const json = async (path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await fetch(upstream.origin + path, init)
    return (await response.json()) as Answer
  }

  test('/anything has the members of httpbin, and raw_headers', async () => {
    const answer = await json('/anything/orders?a=1&b=2&b=3', {
      method: 'POST',
      headers: { 'x-consumer-username': 'john', 'content-type': 'application/json' },
      body: '{"total":7}',
    })
    const { headers, raw_headers, ...rest } = answer
    assert.deepEqual(rest, {
      args: { a: '1', b: ['2', '3'] },
      data: '{"total":7}',
      files: {},
      form: {},
      json: { total: 7 },
      method: 'POST',
      origin: '127.0.0.1',
      url: `${upstream.origin}/anything/orders?a=1&b=2&b=3`,
    })
    assert.equal(headers['X-Consumer-Username'], 'john')
    assert.equal(headers['Host'], `127.0.0.1:${upstream.port}`)
    assert.ok(Array.isArray(raw_headers))
  })

  test('raw_headers keep order, spelling and repetition, headers are canonical and joined', async () => {
    const request = httpRequest(`${upstream.origin}/headers`, { headers: ['x-B', '1', 'HOST', 'h', 'X-a', '2', 'x-b', '3'] })
    request.end()
    const [response] = await once(request, 'response')
    const answer = JSON.parse((await response.toArray()).join(''))
    assert.deepEqual(answer.raw_headers.slice(0, 4), [
      ['x-B', '1'],
      ['HOST', 'h'],
      ['X-a', '2'],
      ['x-b', '3'],
    ])
    assert.equal(answer.headers['X-B'], '1,3')
    assert.deepEqual(upstream.lastRequest?.rawHeaders, answer.raw_headers)
  })

  test('forms are decoded, multipart files included, and other bodies echoed', async () => {
    const form = await json('/post', { method: 'POST', body: new URLSearchParams('a=1&a=2&b=x%20y') })
    assert.deepEqual([form['form'], form['data'], form['json']], [{ a: ['1', '2'], b: 'x y' }, '', null])
    const parts = new FormData()
    parts.set('name', 'value')
    parts.set('file', new Blob(['content']), 'f.txt')
    const multipart = await json('/anything', { method: 'PUT', body: parts })
    assert.deepEqual([multipart['form'], multipart['files'], multipart['method']], [{ name: 'value' }, { file: 'content' }, 'PUT'])
    const binary = await json('/anything', { method: 'POST', body: new Uint8Array([255, 0]) })
    assert.equal(binary['data'], 'data:application/octet-stream;base64,/wA=')
  })

  test('/get has no body members and answers GET only', async () => {
    assert.deepEqual(Object.keys(await json('/get?x=')).sort(), ['args', 'headers', 'origin', 'url'])
    const response = await fetch(`${upstream.origin}/get`, { method: 'POST' })
    assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD'])
    assert.equal((await fetch(`${upstream.origin}/constructor`)).status, 404)
  })

  test('origin and url follow the X-Forwarded headers', async () => {
    const headers = { 'x-forwarded-for': '192.0.2.1, 192.0.2.2', 'x-forwarded-proto': 'https' }
    const answer = await json('/get', { headers })
    assert.equal(answer['origin'], '192.0.2.1, 192.0.2.2')
    assert.equal(answer['url'], `https://127.0.0.1:${upstream.port}/get`)
    assert.deepEqual(await json('/ip', { headers }), { origin: '192.0.2.1, 192.0.2.2' })
  })

  test('/status answers with the status', async () => {
    for (const status of [200, 204, 404, 418, 503]) assert.equal((await fetch(`${upstream.origin}/status/${status}`)).status, status)
    assert.equal((await fetch(`${upstream.origin}/status/abc`)).status, 400)
    assert.equal((await fetch(`${upstream.origin}/status/302`, { redirect: 'manual' })).headers.get('location'), '/redirect/1')
  })

  test('/stream gives that many JSON lines in chunks', async () => {
    const response = await fetch(`${upstream.origin}/stream/3?q=1`)
    assert.equal(response.headers.get('transfer-encoding'), 'chunked')
    const lines = (await response.text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      lines.map(({ id }) => id),
      [0, 1, 2],
    )
    assert.deepEqual(lines[0].args, { q: '1' })
  })

  test('/sse gives that many events', async () => {
    const response = await fetch(`${upstream.origin}/sse/2?interval=0.01`)
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    assert.equal(await response.text(), 'id: 0\ndata: {"id":0}\n\nid: 1\ndata: {"id":1}\n\n')
  })

  test('/bytes, /drip and /delay give what they are asked for', async () => {
    assert.equal((await (await fetch(`${upstream.origin}/bytes/200000`)).arrayBuffer()).byteLength, 200_000)
    const dripped = await fetch(`${upstream.origin}/drip?bytes=5&duration=0.01&code=202`)
    assert.deepEqual([dripped.status, await dripped.text()], [202, '*****'])
    const before = performance.now()
    assert.deepEqual((await json('/delay/0.05'))['args'], {})
    assert.ok(performance.now() - before >= 45)
  })

  test('requests are recorded with target and body as received and the number of the connection', async () => {
    await json('/anything/%7Ea//b?x=%2f', { method: 'POST', body: 'hello' })
    const { lastRequest } = upstream
    assert.equal(lastRequest?.target, '/anything/%7Ea//b?x=%2f')
    assert.equal(lastRequest?.method, 'POST')
    assert.equal(lastRequest?.body.toString(), 'hello')
    assert.equal(lastRequest?.complete, true)
    assert.equal(upstream.requests.length, 1)
  })

  test('a body that the client does not finish is recorded as incomplete', async () => {
    const socket = connect(upstream.port, '127.0.0.1')
    socket.write('POST /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n')
    await once(socket, 'data')
    socket.write('abc', () => socket.destroy())
    await once(socket, 'close')
    await upstream.received(1)
    const aborted = upstream.lastRequest
    assert.deepEqual([aborted?.complete, aborted?.body.toString()], [false, 'abc'])
  })
})

test('as a program it prints one line and ends on SIGTERM', async () => {
  const child = spawn(process.execPath, [`${import.meta.dirname}/echo-upstream.ts`, '--port', '0'])
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const exited = once(child, 'close')
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
  assert.match(output, /^Echo upstream: http:\/\/127\.0\.0\.1:\d+\n$/)
})

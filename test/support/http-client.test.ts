import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { createHttpClient } from './http-client.ts'
import { startRawUpstream } from './raw-upstream.ts'

test('bodies are sent as JSON, form or as they are', async () => {
  await using upstream = await startEchoUpstream()
  await using client = createHttpClient(upstream.origin)
  const json = await client.request('PUT', '/anything', { body: { a: [1] } })
  assert.deepEqual([json.json?.json, json.json?.headers?.['Content-Type']], [{ a: [1] }, 'application/json'])
  const form = await client.request('POST', '/anything', { body: new URLSearchParams({ a: '1' }) })
  assert.deepEqual(form.json?.form, { a: '1' })
  const text = await client.request('POST', '/anything', { body: 'text', headers: { 'Content-Type': 'text/plain' } })
  assert.deepEqual([text.json?.data, text.json?.headers?.['Content-Type']], ['text', 'text/plain'])
  const typed = await client.request('POST', '/anything', { body: {}, headers: { 'content-type': 'application/vnd.x+json' } })
  assert.equal(typed.json?.headers?.['Content-Type'], 'application/vnd.x+json')
  assert.deepEqual((await client.get('/get?a=1', { 'x-a': 'b' })).json?.args, { a: '1' })
})

test('one connection serves requests that follow each other', async () => {
  await using upstream = await startEchoUpstream()
  await using client = createHttpClient()
  for (let n = 0; n < 3; n++) await client.get(`${upstream.origin}/get`)
  assert.equal(upstream.connections, 1)
})

test('response headers keep order, spelling and repetition beside the lower-case names', async () => {
  await using upstream = await startRawUpstream(async (connection) => {
    await connection.readRequest()
    await connection.respond('HTTP/1.1 401 Unauthorized\r\nX-B: 1\r\nx-A: 2\r\nx-b: 3\r\nContent-Length: 3\r\n\r\nno!')
  })
  await using client = createHttpClient()
  const { status, headers, rawHeaders, text, json } = await client.get(upstream.origin)
  assert.deepEqual([status, text, json], [401, 'no!', undefined])
  assert.deepEqual(rawHeaders, [
    ['X-B', '1'],
    ['x-A', '2'],
    ['x-b', '3'],
    ['Content-Length', '3'],
  ])
  assert.deepEqual(headers, { 'x-b': '1, 3', 'x-a': '2', 'content-length': '3' })
})

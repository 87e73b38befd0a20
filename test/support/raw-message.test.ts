import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headerOf, headersOf, MalformedMessageError, parseRequest, parseResponse } from './raw-message.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

test('a response is complete with its content-length, and the rest is kept', () => {
  const text = 'HTTP/1.1 200 OK\r\nA: 1\r\na:  2 \r\nContent-Length: 2\r\n\r\nhi'
  for (let end = 0; end < text.length; end++) assert.equal(parseResponse(bytes(text.slice(0, end))), undefined)
  const parsed = parseResponse(bytes(`${text}HTTP/1.1`))
  assert.equal(parsed?.rest.toString(), 'HTTP/1.1')
  const { response } = parsed!
  assert.deepEqual([response.status, response.reason, response.body.toString(), response.raw.toString()], [200, 'OK', 'hi', text])
  assert.deepEqual(response.headers, [
    ['A', '1'],
    ['a', '2'],
    ['Content-Length', '2'],
  ])
  assert.deepEqual([headersOf(response, 'a'), headerOf(response, 'content-LENGTH'), headerOf(response, 'x')], [['1', '2'], '2', undefined])
})

test('chunks are joined, extensions skipped and trailers given', () => {
  const text = 'HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n'
  for (let end = 0; end < text.length; end++) assert.equal(parseResponse(bytes(text.slice(0, end))), undefined)
  const parsed = parseResponse(bytes(`${text}more`))
  assert.deepEqual(
    [parsed?.response.body.toString(), parsed?.response.trailers, parsed?.rest.toString()],
    ['abc0123456789', [['T', 'v']], 'more'],
  )
})

test('without a length the body ends with the connection', () => {
  const text = bytes('HTTP/1.1 200 OK\r\n\r\nall of it')
  assert.equal(parseResponse(text), undefined)
  assert.equal(parseResponse(text, { ended: true })?.response.body.toString(), 'all of it')
})

test('answers to HEAD and 1xx, 204 and 304 have no body', () => {
  const head = parseResponse(bytes('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP'), { method: 'HEAD' })
  assert.deepEqual([head?.response.body.length, head?.rest.toString()], [0, 'HTTP'])
  for (const status of [100, 204, 304]) assert.equal(parseResponse(bytes(`HTTP/1.1 ${status} X\r\n\r\nrest`))?.rest.toString(), 'rest')
})

const malformed = {
  'a bare LF': 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n',
  'a bare CR in a value': 'HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n',
  'a folded line': 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n',
  'a space before the colon': 'HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n',
  'a control character': 'HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 0\r\n\r\n',
  'no space behind the status': 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n',
  'another version': 'HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n',
  'a length that is no number': 'HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx',
  'length and coding': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'another coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'a chunk size that is no number': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n',
  'chunk data without CRLF behind it': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n',
  'chunk data that is too long': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n',
  'a body announced with 204': 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
}
for (const [name, text] of Object.entries(malformed)) {
  test(`${name} is refused in a response`, () => {
    assert.throws(() => parseResponse(bytes(text), { ended: true }), MalformedMessageError)
  })
}

test('requests are read one after the other', () => {
  const text = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\nHost: a\r\n\r\n'
  const first = parseRequest(bytes(text))
  assert.deepEqual([first?.request.line, first?.request.body.toString()], ['POST / HTTP/1.1', 'x'])
  const second = parseRequest(first!.rest)
  assert.deepEqual([second?.request.line, second?.rest.length], ['GET /b HTTP/1.1', 0])
})

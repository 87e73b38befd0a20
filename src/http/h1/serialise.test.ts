import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HeaderList } from '../headers.ts'
import { findHeadEnd, parseRequestHead } from './head.ts'
import { CHUNKED, lengthOf, NO_BODY, UNTIL_CLOSE } from './message-length.ts'
import { reasonPhrase, requestText, responseText, UnsafeHeadError } from './serialise.ts'
import { isViolation } from './violation.ts'

const lines = (...raw: string[]): HeaderList => HeaderList.fromRaw(raw)
const UNSAFE_BYTES = ['\r', '\n', '\r\n', '\0', '\x01', '\x0b', '\x1f', '\x7f', 'Ā', 'č', 'Ċ', '€', '\u{1f600}']

describe('a request head', () => {
  test('is its line, its fields in order, its framing and a blank line', () => {
    assert.equal(
      requestText('GET', '/a?b', lines('Host', 'a', 'x-A', '1', 'X-a', '', 'X-B', 'c\td \xe9'), NO_BODY),
      'GET /a?b HTTP/1.1\r\nHost: a\r\nx-A: 1\r\nX-a: \r\nX-B: c\td \xe9\r\n\r\n',
    )
    assert.equal(requestText('GET', '/', lines(), NO_BODY), 'GET / HTTP/1.1\r\n\r\n')
  })

  test('is framed by the decision about its length; lines that tell one are never copied', () => {
    const told = ['content-length', '5', 'A', 'b', 'TRANSFER-ENCODING', 'chunked']
    assert.equal(requestText('POST', '/', lines(...told), lengthOf(7)), 'POST / HTTP/1.1\r\nA: b\r\nContent-Length: 7\r\n\r\n')
    assert.equal(requestText('POST', '/', lines(...told), lengthOf(0)), 'POST / HTTP/1.1\r\nA: b\r\nContent-Length: 0\r\n\r\n')
    assert.equal(requestText('POST', '/', lines(...told), CHUNKED), 'POST / HTTP/1.1\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n')
    assert.equal(requestText('POST', '/', lines(...told), NO_BODY), 'POST / HTTP/1.1\r\nA: b\r\n\r\n')
  })

  test('cannot last until the connection is closed', () => {
    assert.throws(() => requestText('POST', '/', lines(), UNTIL_CLOSE), TypeError)
  })
})

describe('a response head', () => {
  test('has the usual reason phrase, or the one that is given', () => {
    assert.equal(responseText(200, undefined, lines('A', 'b'), lengthOf(2)), 'HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n')
    assert.equal(responseText(404, 'Gone \xe9', lines(), UNTIL_CLOSE), 'HTTP/1.1 404 Gone \xe9\r\n\r\n')
    assert.equal(responseText(200, '', lines(), CHUNKED), 'HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n')
    assert.equal(responseText(599, undefined, lines(), CHUNKED), 'HTTP/1.1 599 \r\nTransfer-Encoding: chunked\r\n\r\n')
    assert.deepEqual([reasonPhrase(503), reasonPhrase(299)], ['Service Unavailable', ''])
  })

  test('keeps the Content-Length of a body that does not follow (RFC 9110 section 8.6)', () => {
    const headers = lines('Content-Length', '5', 'Transfer-Encoding', 'chunked')
    assert.equal(responseText(304, '', headers, NO_BODY), 'HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n')
    for (const status of [100, 103, 204]) assert.equal(responseText(status, '', headers, NO_BODY), `HTTP/1.1 ${status} \r\n\r\n`)
  })

  test('has a status of three digits', () => {
    for (const status of [0, 99, 600, 1000, -1, 200.5, Number.NaN])
      assert.throws(() => responseText(status, '', lines(), NO_BODY), UnsafeHeadError)
  })
})

describe('response splitting is a failure, never a split message (RFC 9110 section 5.5)', () => {
  for (const unsafe of UNSAFE_BYTES) {
    test(`${JSON.stringify(unsafe)} is refused wherever it stands`, () => {
      const text = `a${unsafe}b`
      for (const headers of [lines('X-A', text), lines('A', 'b', `X${text}`, 'c'), lines('A', 'b', 'Location', text, 'C', 'd')]) {
        assert.throws(() => requestText('GET', '/', headers, NO_BODY), UnsafeHeadError)
        assert.throws(() => responseText(200, undefined, headers, CHUNKED), UnsafeHeadError)
      }
      assert.throws(() => requestText(`G${text}`, '/', lines(), NO_BODY), UnsafeHeadError)
      assert.throws(() => requestText('GET', `/${text}`, lines(), NO_BODY), UnsafeHeadError)
      assert.throws(() => responseText(200, text, lines(), NO_BODY), UnsafeHeadError)
    })
  }

  test('a name that is no token is refused', () => {
    for (const name of ['', ' ', 'a b', 'a:', 'a\t', 'ä', '(a)'])
      assert.throws(() => responseText(200, '', lines(name, 'b'), NO_BODY), UnsafeHeadError)
  })

  test('a target with a space, an empty one, and methods that are none are refused', () => {
    for (const target of ['', '/a b', '/\xe9']) assert.throws(() => requestText('GET', target, lines(), NO_BODY), UnsafeHeadError)
    for (const method of ['', 'get', 'G T']) assert.throws(() => requestText(method, '/', lines(), NO_BODY), UnsafeHeadError)
  })

  test('a value set in place of a parsed one is looked at, too', () => {
    const bytes = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n')
    const head = parseRequestHead(bytes, 0, findHeadEnd(bytes, 0, 0), { lineBytes: 100, headBytes: 100, lines: 10 })
    assert.ok(!isViolation(head))
    assert.equal(requestText('GET', '/', head.headers, NO_BODY), bytes.toString())
    head.headers.set('x-a', 'c\r\nX-Evil: d')
    assert.throws(() => requestText('GET', '/', head.headers, NO_BODY), UnsafeHeadError)
    head.headers.remove('x-a')
    assert.equal(requestText('GET', '/', head.headers, NO_BODY), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  })

  test('the failure is ours, a 500, and its text holds nothing of what was refused', () => {
    const error = (() => {
      try {
        return responseText(200, '', lines('X-Secret', 'hunter2\r\n'), NO_BODY)
      } catch (thrown) {
        return thrown
      }
    })()
    assert.ok(error instanceof UnsafeHeadError)
    assert.deepEqual([error.code, error.status, error.source], ['GW_UNSAFE_HEAD', 500, 'internal'])
    assert.match(error.message, /X-Secret/)
    assert.doesNotMatch(error.message, /hunter2/)
  })
})

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EchoedRequest, type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { headerOf, headersOf, parseResponse, RawConnection, type RawResponse } from '../support/raw-client.ts'
import { type RawUpstream, type RawUpstreamConnection, startRawUpstream } from '../support/raw-upstream.ts'
import { until } from '../support/until.ts'

/** A second request on the same connection: what an attacker wants to have read as one of its own. */
const SMUGGLED = 'GET /anything/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n'
const TOO_LARGE = 'Request header or cookie too large'

const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`
const get = (...lines: string[]): string => head('GET /anything/x HTTP/1.1', ...lines)
const post = (lines: string[], body = ''): string => head('POST /anything/x HTTP/1.1', 'Host: api.test', ...lines) + body
const chunked = (body: string): string => post(['Transfer-Encoding: chunked'], body)

/** All responses on a closed connection, in order. */
function responsesIn(bytes: Buffer): RawResponse[] {
  const responses: RawResponse[] = []
  for (let rest = bytes; rest.length > 0; ) {
    const parsed = parseResponse(rest, { ended: true })
    assert.ok(parsed, `an incomplete response: ${rest.toString('latin1')}`)
    responses.push(parsed.response)
    rest = parsed.rest
  }
  return responses
}

/** Bytes that must be refused: name, bytes, allowed statuses. */
type Refused = readonly [name: string, bytes: string, statuses: readonly number[]]

const refused: readonly Refused[] = [
  // 1. RFC 9112 sections 6.1, 6.3, 11.2: two ways to tell the length
  ['Content-Length before Transfer-Encoding', post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), [400]],
  ['Transfer-Encoding before Content-Length', post(['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n'), [400]],
  ['Content-Length: 0 beside Transfer-Encoding', post(['Content-Length: 0', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), [400]],
  ['Content-Length beside an unknown coding', post(['Content-Length: 5', 'Transfer-Encoding: xyz'], 'hello'), [400]],
  // 2. RFC 9112 sections 6.1, 7: codings other than exactly `chunked`
  ['two Transfer-Encoding lines', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), [400]],
  ['chunked, chunked', post(['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n'), [400]],
  ['chunked, identity', post(['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'), [400]],
  ['identity, chunked', post(['Transfer-Encoding: identity, chunked'], '0\r\n\r\n'), [400]],
  ['gzip, chunked', post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'), [400]],
  ['gzip and chunked in two lines', post(['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), [400]],
  ['xchunked', post(['Transfer-Encoding: xchunked'], '0\r\n\r\n'), [400]],
  ['a quoted coding', post(['Transfer-Encoding: "chunked"'], '0\r\n\r\n'), [400]],
  ['a coding with a vertical tab before it', post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n'), [400]],
  ['a coding with a tab before it', post(['Transfer-Encoding:\tchunked'], '0\r\n\r\n'), [400]],
  ['a coding with a tab behind it', post(['Transfer-Encoding: chunked\t'], '0\r\n\r\n'), [400]],
  ['a coding with a form feed behind it', post(['Transfer-Encoding: chunked\x0c'], '0\r\n\r\n'), [400]],
  ['a coding with a byte beyond ASCII', post(['Transfer-Encoding: chunked\xa0'], '0\r\n\r\n'), [400]],
  ['a coding and an empty list member', post(['Transfer-Encoding: chunked,'], '0\r\n\r\n'), [400]],
  ['a coding in another case beside chunked', post(['Transfer-Encoding: chunked', 'transfer-encoding: CHUNKED'], '0\r\n\r\n'), [400]],
  ['a coding with a NUL behind it', post(['Transfer-Encoding: chunked\0'], '0\r\n\r\n'), [400]],
  ['a coding with a parameter', post(['Transfer-Encoding: chunked;q=1'], '0\r\n\r\n'), [400]],
  ['an empty coding', post(['Transfer-Encoding: '], '0\r\n\r\n'), [400]],
  ['identity alone', post(['Transfer-Encoding: identity'], 'x'), [400]],
  ['gzip alone is a coding that is not implemented', post(['Transfer-Encoding: gzip'], 'x'), [501]],
  ['deflate alone is a coding that is not implemented', post(['transfer-encoding:deflate'], 'x'), [501]],
  ['Transfer_Encoding is no framing beside a good Content-Length of a bad body', post(['Content-Length: x']), [400]],
  // 3. RFC 9112 section 6.1: no codings in HTTP/1.0
  ['Transfer-Encoding in HTTP/1.0', `${head('POST /anything/x HTTP/1.0', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n\r\n`, [400]],
  // 4. RFC 9112 section 6.3, RFC 9110 section 8.6
  ['two Content-Length lines that differ', post(['Content-Length: 5', 'Content-Length: 6'], 'hello'), [400]],
  ['two Content-Length lines that are equal', post(['Content-Length: 5', 'Content-Length: 5'], 'hello'), [400]],
  // CVE-2026-1525: names that differ in their case alone
  ['two Content-Length lines of different case', post(['Content-Length: 5', 'content-length: 5'], 'hello'), [400]],
  ['a Content-Length with a tab before it', post(['Content-Length:\t5'], 'hello'), [400]],
  ['a Content-Length with an underscore of digits', post(['Content-Length: 1_0'], 'hello'), [400]],
  ['a Content-Length with an exponent', post(['Content-Length: 1e1'], 'hello'), [400]],
  ['a Content-Length in quotes', post(['Content-Length: "5"'], 'hello'), [400]],
  ['a Content-Length list', post(['Content-Length: 5, 5'], 'hello'), [400]],
  ['Content-Length: +5', post(['Content-Length: +5'], 'hello'), [400]],
  ['Content-Length: -5', post(['Content-Length: -5'], 'hello'), [400]],
  ['Content-Length: 0x5', post(['Content-Length: 0x5'], 'hello'), [400]],
  ['Content-Length: 5 with something behind', post(['Content-Length: 5 a'], 'hello'), [400]],
  ['Content-Length: 5.0', post(['Content-Length: 5.0'], 'hello'), [400]],
  ['an empty Content-Length', post(['Content-Length:'], 'hello'), [400]],
  ['a Content-Length beyond 2^53', post(['Content-Length: 9007199254740993'], 'hello'), [400]],
  ['a Content-Length beyond 2^64', post(['Content-Length: 18446744073709551621'], 'hello'), [400]],
  // 5. RFC 9112 sections 2.2, 5.2
  ['a folded line', get('Host: api.test', 'X-A: 1', ' 2'), [400]],
  ['a folded line with a tab', get('Host: api.test', 'X-A: 1', '\t2'), [400]],
  ['a folded Transfer-Encoding', post(['Transfer-Encoding:', ' chunked'], '0\r\n\r\n'), [400]],
  ['white space before the first field', get(' Host: api.test'), [400]],
  // 6., 7. RFC 9112 section 2.2
  ['a bare LF behind the request line', 'GET /anything/x HTTP/1.1\nHost: api.test\r\n\r\n', [400]],
  ['a bare LF behind a field', 'GET /anything/x HTTP/1.1\r\nHost: api.test\nX-A: 1\r\n\r\n', [400]],
  ['a bare LF at the end of the head', 'GET /anything/x HTTP/1.1\r\nHost: api.test\r\n\n', [400]],
  ['CR CR LF behind a field', 'GET /anything/x HTTP/1.1\r\nHost: api.test\r\r\n\r\n', [400]],
  ['CRLF and a bare LF at the end of the head', 'GET /anything/x HTTP/1.1\r\nHost: api.test\r\n\n\r\n', [400]],
  ['a bare CR in a value', get('Host: api.test', 'X-A: 1\r2'), [400]],
  ['a bare CR behind the request line', 'GET /anything/x HTTP/1.1\rHost: api.test\r\n\r\n', [400]],
  ['a CR before the colon', get('Host: api.test', 'X-A\r: 1'), [400]],
  // 8. RFC 9112 section 7.1.1
  ['a bare LF in a chunk extension', chunked('5;a=\nb\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a bare LF behind a chunk extension', chunked('5;a=b\nhello\r\n0\r\n\r\n'), [400]],
  ['a quoted chunk extension with a line end', chunked('5;a="\r\n"\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a quoted chunk extension that does not end', chunked('5;a="b\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a bare CR in a chunk extension', chunked('5;a\rb\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a bare LF in an extension of the last chunk', chunked('5\r\nhello\r\n0;a\n\r\n'), [400]],
  [
    'extensions of more than 16 KiB on many chunks (CVE-2024-22019)',
    chunked(`${`1;${'a'.repeat(1000)}\r\nx\r\n`.repeat(20)}0\r\n\r\n`),
    [400, 413],
  ],
  ['chunk extensions of more than 16 KiB', chunked(`5;${'a'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`), [400, 413]],
  // 9. RFC 9112 section 7.1
  ['chunk size 0x5', chunked('0x5\r\nhello\r\n0\r\n\r\n'), [400]],
  ['chunk size +5', chunked('+5\r\nhello\r\n0\r\n\r\n'), [400]],
  ['chunk size -5', chunked('-5\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a space before a chunk size', chunked(' 5\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a space behind a chunk size', chunked('5 \r\nhello\r\n0\r\n\r\n'), [400]],
  ['a chunk size that overflows', chunked('FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a chunk size with zeros without end', chunked(`${'0'.repeat(40)}5\r\nhello\r\n0\r\n\r\n`), [400]],
  ['a chunk size with a letter that is no digit', chunked('5g\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a chunk size with a NUL', chunked('5\0\r\nhello\r\n0\r\n\r\n'), [400]],
  ['a last chunk without its empty line', chunked(`5\r\nhello\r\n0\r\n${'x'}`), [400]],
  ['an empty chunk size', chunked('\r\nhello\r\n0\r\n\r\n'), [400]],
  ['chunk data without its CRLF', chunked('5\r\nhello0\r\n\r\n'), [400]],
  ['chunk data longer than its size', chunked('4\r\nhello\r\n0\r\n\r\n'), [400]],
  ['chunk data ended by a bare LF', chunked('5\r\nhello\n0\r\n\r\n'), [400]],
  ['chunk data ended by a bare CR', chunked('5\r\nhello\r0\r\n\r\n'), [400]],
  ['a bare LF behind a chunk size', chunked('5\nhello\r\n0\r\n\r\n'), [400]],
  // 10. RFC 9110 section 6.5.1
  ['Content-Length among trailers', chunked('0\r\nContent-Length: 5\r\n\r\n'), [400]],
  ['Transfer-Encoding among trailers', chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n'), [400]],
  ['TRANSFER-ENCODING among trailers', chunked('0\r\nX-A: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n'), [400]],
  ['a folded trailer', chunked('0\r\nX-A: 1\r\n 2\r\n\r\n'), [400]],
  ['a trailer with a space before the colon', chunked('0\r\nX-A : 1\r\n\r\n'), [400]],
  ['a trailer with a bare LF', chunked('0\r\nX-A: 1\n\r\n'), [400]],
  ['trailers of more than 16 KiB', chunked(`0\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`), [400, 413]],
  // 11., 12. RFC 9112 section 5.1, RFC 9110 section 5.6.2
  ['a space before the colon', get('Host: api.test', 'X-A : 1'), [400]],
  ['a space before the colon of Content-Length', post(['Content-Length : 5'], 'hello'), [400]],
  ['a tab before the colon', get('Host: api.test', 'X-A\t: 1'), [400]],
  ['a space in a name', get('Host: api.test', 'X A: 1'), [400]],
  ['an empty name', get('Host: api.test', ': 1'), [400]],
  ['a field without a colon', get('Host: api.test', 'X-A'), [400]],
  ['a name with a parenthesis', get('Host: api.test', 'X(A): 1'), [400]],
  ['a name with an at sign', get('Host: api.test', 'X@A: 1'), [400]],
  ['a name beyond ASCII', get('Host: api.test', 'X-\xc4: 1'), [400]],
  ['a NUL in a name', get('Host: api.test', 'X-\0A: 1'), [400]],
  // 13. RFC 9110 section 5.5
  ['a NUL in a value', get('Host: api.test', 'X-A: 1\x002'), [400]],
  ['a control character in a value', get('Host: api.test', 'X-A: 1\x012'), [400]],
  ['DEL in a value', get('Host: api.test', 'X-A: 1\x7f2'), [400]],
  // 14. RFC 9112 section 3.2
  ['no Host', get('X-A: 1'), [400]],
  ['two Host lines', get('Host: api.test', 'Host: other.test'), [400]],
  ['two equal Host lines', get('Host: api.test', 'Host: api.test'), [400]],
  ['an empty Host', get('Host:'), [400]],
  ['a Host with a space', get('Host: api.test other'), [400]],
  ['a Host with a path', get('Host: api.test/x'), [400]],
  ['a Host with user information', get('Host: a@api.test'), [400]],
  ['a Host with a port that is none', get('Host: api.test:80a'), [400]],
  ['a Host with a control character', get('Host: api\x01.test'), [400]],
  ['a Host list', get('Host: api.test, other.test'), [400]],
  ['a Host with a backslash', get('Host: api.test\\x'), [400]],
  ['a Host with a fragment', get('Host: api.test#x'), [400]],
  ['a Host with a byte beyond ASCII', get('Host: \xe4pi.test'), [400]],
  ['a Host with a bracket that does not close', get('Host: [::1'), [400]],
  ['two Host lines, one with a space before its colon', get('Host: api.test', 'Host : other.test'), [400]],
  // 15. RFC 9112 section 3.2.2
  ['absolute-form with user information', head('GET http://a@api.test/x HTTP/1.1', 'Host: api.test'), [400]],
  ['absolute-form with another scheme', head('GET ftp://api.test/x HTTP/1.1', 'Host: api.test'), [400]],
  ['absolute-form with two Host lines', head('GET http://api.test/x HTTP/1.1', 'Host: a', 'Host: b'), [400]],
  ['absolute-form with a backslash in the authority', head('GET http://api.test\\@other.test/x HTTP/1.1', 'Host: api.test'), [400]],
  ['absolute-form with a file scheme', head('GET file:///etc/passwd HTTP/1.1', 'Host: api.test'), [400]],
  ['absolute-form without an authority', head('GET http:///x HTTP/1.1', 'Host: api.test'), [400]],
  ['absolute-form without a Host line', head('GET http://api.test/x HTTP/1.1'), [400]],
  // 16. RFC 9110 section 9.3.6
  ['CONNECT', head('CONNECT api.test:443 HTTP/1.1', 'Host: api.test:443'), [405]],
  ['CONNECT with a body', `${head('CONNECT api.test:443 HTTP/1.1', 'Host: api.test:443', 'Content-Length: 5')}hello`, [405]],
  ['CONNECT in HTTP/1.0', head('CONNECT api.test:443 HTTP/1.0'), [405]],
  ['CONNECT with a path', head('CONNECT /x HTTP/1.1', 'Host: api.test'), [400, 405]],
  ['authority-form with GET', head('GET api.test:80 HTTP/1.1', 'Host: api.test'), [400, 405]],
  // 17. RFC 9112 section 3.2.4
  ['asterisk-form with GET', head('GET * HTTP/1.1', 'Host: api.test'), [400]],
  ['a target without a leading slash', head('GET x HTTP/1.1', 'Host: api.test'), [400]],
  ['asterisk-form with more behind it', head('OPTIONS *x HTTP/1.1', 'Host: api.test'), [400]],
  // 18., 19. RFC 9112 section 3.2, RFC 3986 sections 2.1, 5.2.4
  ['a control character in the target', head('GET /a\x01b HTTP/1.1', 'Host: api.test'), [400]],
  ['a NUL in the target', head('GET /a\0b HTTP/1.1', 'Host: api.test'), [400]],
  ['a space in the target', head('GET /a b HTTP/1.1', 'Host: api.test'), [400]],
  ['a tab in the target', head('GET /a\tb HTTP/1.1', 'Host: api.test'), [400]],
  ['a byte beyond ASCII in the target', head('GET /a\xc3\xa9 HTTP/1.1', 'Host: api.test'), [400]],
  ['an encoded NUL in the path', head('GET /a%00b HTTP/1.1', 'Host: api.test'), [400]],
  ['a broken escape in the path', head('GET /a%zzb HTTP/1.1', 'Host: api.test'), [400]],
  ['a cut escape at the end of the path', head('GET /a%4 HTTP/1.1', 'Host: api.test'), [400]],
  ['a path that climbs above the root', head('GET /../x HTTP/1.1', 'Host: api.test'), [400]],
  ['a path that climbs above the root by escapes', head('GET /a/%2e%2e/%2E./x HTTP/1.1', 'Host: api.test'), [400]],
  // 20., 21., 22. RFC 9112 sections 2.3, 3; RFC 9110 section 9.1
  ['two spaces in the request line', head('GET  /x HTTP/1.1', 'Host: api.test'), [400]],
  ['a space behind the version', head('GET /anything/x HTTP/1.1 ', 'Host: api.test'), [400]],
  ['a bare LF before the request', `\n${get('Host: api.test')}`, [400]],
  ['a method of more than 32 characters', head(`${'A'.repeat(33)} /x HTTP/1.1`, 'Host: api.test'), [400]],
  ['garbage before the request', `\x16\x03\x01${get('Host: api.test')}`, [400]],
  ['a tab in the request line', head('GET\t/x HTTP/1.1', 'Host: api.test'), [400]],
  ['a space before the method', ` ${get('Host: api.test')}`, [400]],
  ['a method in lower case', head('get /x HTTP/1.1', 'Host: api.test'), [400]],
  ['a method that is no token', head('G@T /x HTTP/1.1', 'Host: api.test'), [400]],
  ['HTTP/1.2', head('GET /anything/x HTTP/1.2', 'Host: api.test'), [400, 505]],
  ['HTTP/2.0', head('GET /anything/x HTTP/2.0', 'Host: api.test'), [400, 505]],
  ['HTTP/0.9', head('GET /anything/x HTTP/0.9', 'Host: api.test'), [400, 505]],
  ['HTTP/3.0', head('GET /anything/x HTTP/3.0', 'Host: api.test'), [400, 505]],
  ['HTTP/1.10', head('GET /anything/x HTTP/1.10', 'Host: api.test'), [400, 505]],
  ['HTTP/01.1', head('GET /anything/x HTTP/01.1', 'Host: api.test'), [400, 505]],
  ['no version', head('GET /anything/x', 'Host: api.test'), [400, 505]],
  ['a version in lower case', head('GET /anything/x http/1.1', 'Host: api.test'), [400, 505]],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 405, 505]],
  // 23., 24. RFC 9112 section 3, RFC 6585 section 5 (Kong: 400, never 431)
  ['a request line beyond one buffer', head(`GET /${'a'.repeat(9000)} HTTP/1.1`, 'Host: api.test'), [414]],
  ['a request line beyond the whole head', head(`GET /${'a'.repeat(70_000)} HTTP/1.1`, 'Host: api.test'), [414]],
  ['a line beyond one buffer', get('Host: api.test', `X-A: ${'a'.repeat(9000)}`), [400]],
  ['a head beyond all buffers', get('Host: api.test', ...Array.from({ length: 9 }, (_, i) => `X-${i}: ${'a'.repeat(7000)}`)), [400]],
  ['more than a thousand lines', get('Host: api.test', ...Array.from({ length: 2000 }, (_, i) => `X${i}: a`)), [400]],
  // 47. RFC 9110 section 9.3.8
  ['TRACE', head('TRACE /anything/x HTTP/1.1', 'Host: api.test'), [405]],
]

describe('bytes that two readers may read differently are refused', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  before(async () => {
    upstream = await startEchoUpstream()
    gateway = await startGateway({ database: 'off', declarative: configuration(upstream.origin), logLevel: 'error' })
  })
  after(async () => {
    await upstream.stop()
    await gateway.stop()
  })

  for (const [name, bytes, statuses] of refused) {
    test(`${name}: ${statuses.join(' or ')}, closed, nothing reaches the upstream and nothing behind it is answered`, async () => {
      upstream.reset()
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(bytes + SMUGGLED)
      const responses = responsesIn(await connection.readUntilClose())
      assert.equal(responses.length, 1, responses.map(({ raw }) => raw.toString('latin1')).join('\n'))
      const [response] = responses as [RawResponse]
      assert.ok(statuses.includes(response.status), String(response.status))
      assert.equal(headerOf(response, 'connection'), 'close')
      assert.match(response.body.toString('latin1'), /^[^\n]+\nrequest_id: [0-9a-f]{32}\n$/)
      assert.deepEqual(upstream.requests, [])
      assert.equal(upstream.connections, 0)
    })
  }

  test('a head beyond its limits says so and never uses 431 (Kong)', async () => {
    for (const bytes of refused.filter(([name]) => /beyond (one|all) buffer|thousand/.test(name)).map(([, text]) => text)) {
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(bytes)
      const [response] = responsesIn(await connection.readUntilClose()) as [RawResponse]
      assert.match(response.body.toString(), response.status === 414 ? /^URI too long\n/ : new RegExp(`^${TOO_LARGE}\n`))
    }
  })

  test('a refusal holds nothing of the request', async () => {
    for (const bytes of [get('Host: canary@x'), head('GET /canary%zz HTTP/1.1', 'Host: a'), get('Host: a', 'canary : 1')]) {
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(bytes)
      assert.doesNotMatch((await connection.readUntilClose()).toString('latin1'), /canary/)
    }
  })

  test('a byte-by-byte refusal is the same as one in one piece', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    for (const byte of post(['Content-Length: 5', 'Transfer-Encoding: chunked'])) connection.send(byte)
    const [response] = responsesIn(await connection.readUntilClose()) as [RawResponse]
    assert.equal(response.status, 400)
  })
})

describe('bytes that have one meaning are served, and the message is framed anew', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  before(async () => {
    upstream = await startEchoUpstream()
    gateway = await startGateway({ database: 'off', declarative: configuration(upstream.origin), logLevel: 'error' })
  })
  after(async () => {
    await upstream.stop()
    await gateway.stop()
  })

  /** Sends bytes and a further request; both must be answered, and the upstream must have seen two requests. Answers the first. */
  async function served(bytes: string) {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(bytes + SMUGGLED)
    const response = await connection.readFinalResponse({ method: bytes.split(' ', 1)[0] ?? 'GET' })
    assert.equal(response.status, 200, response.raw.toString('latin1'))
    assert.equal((await connection.readFinalResponse()).status, 200)
    assert.deepEqual(
      upstream.requests.map(({ target }) => target),
      [upstream.requests[0]?.target, '/anything/smuggled'],
    )
    return upstream.requests[0] as EchoedRequest
  }

  const lineOf = ({ rawHeaders }: EchoedRequest, name: string): string[] => headersOf({ headers: rawHeaders }, name)

  test('chunks in any case, with extensions and leading zeros, become a length', async () => {
    const request = await served(post(['transfer-encoding: ChUnKeD'], '0005;a=b;c="d"\r\nhello\r\n1\r\n!\r\n0\r\n\r\n'))
    assert.equal(request.body.toString(), 'hello!')
    assert.deepEqual(lineOf(request, 'content-length'), ['6'])
    assert.deepEqual(lineOf(request, 'transfer-encoding'), [])
  })

  test('trailers are dropped, credentials among them too (RFC 9110 section 6.5.1)', async () => {
    const request = await served(chunked('5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nX-Consumer-Username: root\r\nX-T: 1\r\n\r\n'))
    assert.equal(request.body.toString(), 'hello')
    for (const name of ['authorization', 'x-consumer-username', 'x-t', 'trailer']) assert.deepEqual(lineOf(request, name), [])
  })

  test('trailers that would route, authorise or name a connection are dropped like any other', async () => {
    const trailers = ['Host: evil.test', 'Connection: close', 'Cookie: a=b', 'Set-Cookie: a=b', 'X-Forwarded-For: 1.2.3.4', '__proto__: 1']
    const request = await served(chunked(`5\r\nhello\r\n0\r\n${trailers.join('\r\n')}\r\n\r\n`))
    const text = JSON.stringify(request.rawHeaders)
    assert.doesNotMatch(text, /evil|a=b|1\.2\.3\.4|__proto__/)
    assert.deepEqual(lineOf(request, 'connection'), [])
  })

  test('Transfer_Encoding is a header like any other and frames nothing', async () => {
    const request = await served(post(['Content-Length: 5', 'Transfer_Encoding: chunked'], 'hello'))
    assert.equal(request.body.toString(), 'hello')
    assert.deepEqual(lineOf(request, 'content-length'), ['5'])
  })

  test('the authority of an absolute target replaces Host, and the upstream gets origin-form (RFC 9112 section 3.2.2)', async () => {
    const request = await served(head('GET http://api.test/anything/preserved/x?y HTTP/1.1', 'Host: other.test'))
    assert.equal(request.target, '/anything/preserved/x?y')
    assert.deepEqual(lineOf(request, 'host'), ['api.test'])
    assert.deepEqual(lineOf(request, 'x-forwarded-host'), ['api.test'])
  })

  test('one empty line before the request is passed over (RFC 9112 section 2.2)', async () => {
    await served(`\r\n${get('Host: api.test')}`)
  })

  test('headers that other servers take the method or the target from are data', async () => {
    const request = await served(
      get(
        'Host: api.test',
        'X-HTTP-Method-Override: DELETE',
        'X-Method-Override: DELETE',
        'X-Original-URL: /admin',
        'X-Rewrite-URL: /admin',
        'X-Forwarded-Uri: /admin',
        '__proto__: 1',
        'constructor: 2',
      ),
    )
    assert.deepEqual([request.method, request.target], ['GET', '/anything/x'])
    assert.deepEqual(lineOf(request, 'x-original-url'), ['/admin'])
    assert.deepEqual(lineOf(request, '__proto__'), ['1'])
  })

  test('an absolute target names what the request is for, never where it goes', async () => {
    for (const authority of ['169.254.169.254', 'localhost:1', '[::1]:22']) {
      const request = await served(head(`GET http://${authority}/anything/x HTTP/1.1`, 'Host: api.test'))
      assert.equal(request.target, '/anything/x')
    }
  })

  test('a tab and bytes beyond ASCII in a value reach the upstream as they are', async () => {
    const request = await served(get('Host: api.test', 'X-A: a\tb\xe9'))
    assert.deepEqual(lineOf(request, 'x-a'), ['a\tb\xe9'])
  })

  test('a body on GET belongs to its request', async () => {
    const request = await served(`${get('Host: api.test', 'Content-Length: 5')}hello`)
    assert.equal(request.body.toString(), 'hello')
  })

  test('OPTIONS * matches no route', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('OPTIONS * HTTP/1.1', 'Host: api.test'))
    assert.equal((await connection.readFinalResponse()).status, 404)
  })

  test('HTTP/1.0 without Host is served and closed', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('GET /anything/x HTTP/1.0') + SMUGGLED)
    const responses = responsesIn(await connection.readUntilClose())
    assert.deepEqual(
      responses.map(({ status }) => status),
      [200],
    )
    assert.equal(headerOf(responses[0] as RawResponse, 'transfer-encoding'), undefined)
  })

  test('pipelined requests are answered in order, one at a time (RFC 9112 section 9.3.2)', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    const targets = Array.from({ length: 20 }, (_, i) => `/${i % 3 === 0 ? 'delay/0.02' : 'anything'}?n=${i}`)
    connection.send(targets.map((target) => head(`GET ${target} HTTP/1.1`, 'Host: api.test')).join(''))
    for (const target of targets) {
      const response = await connection.readFinalResponse()
      assert.match(response.body.toString(), new RegExp(`"n": "${target.split('=')[1]}"`))
    }
    assert.deepEqual(
      upstream.requests.map(({ target }) => target),
      targets,
    )
  })

  test('a pipelined request reaches no upstream before the one in front of it is answered', async () => {
    const targets: string[] = []
    const first = Promise.withResolvers<void>()
    await using raw = await startRawUpstream(async (peer) => {
      for (;;) {
        const target = (await peer.readRequest()).line.split(' ')[1] ?? ''
        targets.push(target)
        if (target === '/first') await first.promise
        await peer.respond(ok(target))
      }
    })
    await using other = await startGateway({ database: 'off', declarative: configuration(raw.origin), logLevel: 'error' })
    await using connection = await RawConnection.open(other.proxyPort)
    connection.send(head('GET /first HTTP/1.1', 'Host: a') + head('GET /second HTTP/1.1', 'Host: a'))
    await until(() => targets.includes('/first'), 'the first request did not arrive', 5000)
    // Another client's request is served meanwhile, so that the second one has had its chance.
    await using bystander = await RawConnection.open(other.proxyPort)
    bystander.send(head('GET /bystander HTTP/1.1', 'Host: a'))
    assert.equal((await bystander.readFinalResponse()).status, 200)
    assert.deepEqual(targets, ['/first', '/bystander'])
    first.resolve()
    assert.equal((await connection.readFinalResponse()).body.toString(), '/first')
    assert.equal((await connection.readFinalResponse()).body.toString(), '/second')
    assert.deepEqual(targets, ['/first', '/bystander', '/second'])
  })

  test('bytes that are no request wait for the answer in front of them, and never stand in its middle', async () => {
    await using raw = await startRawUpstream(() => {})
    await using other = await startGateway({ database: 'off', declarative: configuration(raw.origin), logLevel: 'error' })
    await using connection = await RawConnection.open(other.proxyPort)
    connection.send(head('GET /first HTTP/1.1', 'Host: a') + head('GARBAGE'))
    await raw.connected(1)
    const [peer] = raw.connections as [RawUpstreamConnection]
    await peer.readRequest()
    await peer.respond('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst')
    await connection.readUntil('first')
    await peer.respond('-half')
    await connection.readUntil('-half')
    assert.deepEqual(
      responsesIn(await connection.readUntilClose()).map(({ status }) => status),
      [400],
    )
  })

  test('what follows a request with Connection: close is not answered', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(get('Host: api.test', 'Connection: close') + SMUGGLED)
    assert.deepEqual(
      responsesIn(await connection.readUntilClose()).map(({ status }) => status),
      [200],
    )
    assert.deepEqual(
      upstream.requests.map(({ target }) => target),
      ['/anything/x'],
    )
  })

  for (const upgrade of ['h2c', 'foo']) {
    test(`Upgrade: ${upgrade} is not forwarded and opens no tunnel; what stands behind it is a request like any other (RFC 9110 section 7.8)`, async () => {
      upstream.reset()
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(
        get('Host: api.test', 'Connection: Upgrade, HTTP2-Settings', `Upgrade: ${upgrade}`, 'HTTP2-Settings: AAMAAABkAAQAAP__'),
      )
      connection.send(head('GET /anything/next HTTP/1.1', 'Host: api.test', 'Connection: close'))
      assert.deepEqual(
        responsesIn(await connection.readUntilClose()).map(({ status }) => status),
        [200, 200],
      )
      assert.equal(upstream.requests.length, 2)
      for (const name of ['upgrade', 'http2-settings']) assert.deepEqual(lineOf(upstream.requests[0] as EchoedRequest, name), [])
    })
  }
})

describe('an early answer leaves no body behind to be read as a request', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  before(async () => {
    upstream = await startEchoUpstream()
    gateway = await startGateway({
      database: 'off',
      declarative: {
        ...configuration(upstream.origin),
        routes: [{ name: 'closed', paths: ['/closed'], plugins: [{ name: 'request-termination', config: { status_code: 403 } }] }],
      },
      logLevel: 'error',
      env: {
        SALLYPORT_CLIENT_MAX_BODY_SIZE: '200k',
        SALLYPORT_CLIENT_HEADER_TIMEOUT: '1s',
        SALLYPORT_CLIENT_BODY_TIMEOUT: '1s',
        SALLYPORT_KEEPALIVE_TIMEOUT: '1s',
        SALLYPORT_LINGERING_TIMEOUT: '1s',
        SALLYPORT_SEND_TIMEOUT: '1s',
      },
    })
  })
  after(async () => {
    await upstream.stop()
    await gateway.stop()
  })

  test('a declared body that is refused is read and dropped, and the connection goes on', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('POST /closed HTTP/1.1', 'Host: api.test', `Content-Length: ${SMUGGLED.length}`))
    assert.equal((await connection.readFinalResponse()).status, 403)
    connection.send(SMUGGLED)
    connection.send(head('GET /anything/after HTTP/1.1', 'Host: api.test'))
    assert.equal((await connection.readFinalResponse()).status, 200)
    assert.deepEqual(
      upstream.requests.map(({ target }) => target),
      ['/anything/after'],
    )
  })

  test('a declared body that is too long to be read past closes the connection, and the answer says so', async () => {
    for (const [bytes, connectionLine] of [
      [65_536, 'keep-alive'],
      [65_537, 'close'],
    ] as const) {
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(head('POST /closed HTTP/1.1', 'Host: api.test', `Content-Length: ${bytes}`))
      const response = await connection.readFinalResponse()
      assert.deepEqual([response.status, headerOf(response, 'connection')], [403, connectionLine])
    }
  })

  test('a chunked body that is refused is read and dropped, and the connection goes on', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('POST /closed HTTP/1.1', 'Host: api.test', 'Transfer-Encoding: chunked'))
    assert.equal((await connection.readFinalResponse()).status, 403)
    connection.send(`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n${head('GET /anything/after HTTP/1.1', 'Host: api.test')}`)
    assert.equal((await connection.readFinalResponse()).status, 200)
    assert.deepEqual(
      upstream.requests.map(({ target }) => target),
      ['/anything/after'],
    )
  })

  test('a refused body beyond the bound ends the connection', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('POST /closed HTTP/1.1', 'Host: api.test', 'Content-Length: 190000'))
    assert.equal((await connection.readFinalResponse()).status, 403)
    for (let i = 0; i < 3000 && !connection.ended; i++) connection.send(SMUGGLED)
    await connection.closed
    assert.deepEqual(upstream.requests, [])
  })

  test('a refused body that does not come ends the connection when the lingering time is over', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('POST /closed HTTP/1.1', 'Host: api.test', 'Content-Length: 1000'))
    assert.equal((await connection.readFinalResponse()).status, 403)
    await connection.readUntilClose({ timeoutMs: 8000 })
  })

  test('a body that is declared too long is 413 before any of it is read, and closed', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(`${post(['Content-Length: 999999'])}${SMUGGLED}${SMUGGLED}`)
    const responses = responsesIn(await connection.readUntilClose())
    assert.deepEqual(
      responses.map(({ status }) => status),
      [413],
    )
    assert.equal(headerOf(responses[0] as RawResponse, 'connection'), 'close')
    assert.match(responses[0]?.body.toString() ?? '', /^Payload too large\n/)
    assert.deepEqual(upstream.requests, [])
  })

  test('a chunked body that becomes too long is 413 and closed, and its upstream request never looks complete', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(chunked(''))
    const piece = `8000\r\n${'a'.repeat(0x8000)}\r\n`
    for (let i = 0; i < 10; i++) connection.send(piece)
    const response = await connection.readFinalResponse()
    assert.equal(response.status, 413)
    assert.equal(headerOf(response, 'connection'), 'close')
    await connection.closed
    assert.deepEqual(
      upstream.requests.filter(({ complete }) => complete),
      [],
    )
  })

  test('a bad chunk in a body that is already on its way cuts the upstream request', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(chunked(''))
    const piece = `8000\r\n${'a'.repeat(0x8000)}\r\n`
    connection.send(piece + piece + piece)
    await until(() => upstream.connections === 1, 'the body did not begin to flow', 5000)
    connection.send(`zz\r\nhello\r\n0\r\n\r\n${SMUGGLED}`)
    const responses = responsesIn(await connection.readUntilClose())
    assert.deepEqual(
      responses.map(({ status }) => status),
      [400],
    )
    // A further request shows that the upstream has seen what there is to see.
    await using next = await RawConnection.open(gateway.proxyPort)
    next.send(get('Host: api.test'))
    assert.equal((await next.readFinalResponse()).status, 200)
    assert.deepEqual(
      upstream.requests.filter(({ complete }) => complete).map(({ method }) => method),
      ['GET'],
    )
  })

  test('a head that drips in is 408 when its time is over, however busy the client seems', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /anything/x HTTP/1.1\r\nHost: api.test\r\n')
    const drip = setInterval(() => connection.send('X: 1\r\n'), 100)
    try {
      const responses = responsesIn(await connection.readUntilClose({ timeoutMs: 8000 }))
      assert.deepEqual(
        responses.map(({ status }) => status),
        [408],
      )
      assert.match(responses[0]?.body.toString() ?? '', /^Request timeout\n/)
    } finally {
      clearInterval(drip)
    }
  })

  test('a body that stops is 408, closed, and not forwarded', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(post(['Content-Length: 10'], 'hello'))
    const responses = responsesIn(await connection.readUntilClose({ timeoutMs: 8000 }))
    assert.deepEqual(
      responses.map(({ status }) => status),
      [408],
    )
    assert.deepEqual(upstream.requests, [])
  })

  test('a body that stops while it is on its way is 408, closed, and its upstream request never looks complete', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(post(['Content-Length: 150000'], 'a'.repeat(100_000)))
    const responses = responsesIn(await connection.readUntilClose({ timeoutMs: 8000 }))
    assert.deepEqual(
      responses.map(({ status }) => status),
      [408],
    )
    assert.equal(
      upstream.requests.some(({ complete }) => complete),
      false,
    )
  })

  test('the time for bodies counts for the client alone: an upstream may take longer', async () => {
    for (const size of [5, 100_000]) {
      await using connection = await RawConnection.open(gateway.proxyPort)
      const lines = ['POST /delay/1.6 HTTP/1.1', 'Host: api.test', `Content-Length: ${size}`]
      connection.send(head(...lines) + 'a'.repeat(size))
      assert.equal((await connection.readFinalResponse()).status, 200)
    }
  })

  test('a client that does not read is cut off when send_timeout is over', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.pause()
    connection.send(head('GET /bytes/60000000 HTTP/1.1', 'Host: api.test'))
    await gateway.waitForOutput(/"GET \/bytes\/60000000 HTTP\/1\.1" 499 /)
    connection.resume()
    await connection.closed
    assert.ok(parseResponse(connection.unread) === undefined, 'it was sent whole')
  })

  test('an idle connection is closed without a word', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(get('Host: api.test'))
    assert.equal((await connection.readFinalResponse()).status, 200)
    assert.equal((await connection.readUntilClose({ timeoutMs: 8000 })).length, 0)
  })

  test('Expect: 100-continue with an early answer gets the answer in place of 100, and what follows is not answered', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(head('POST /closed HTTP/1.1', 'Host: api.test', 'Expect: 100-continue', `Content-Length: ${SMUGGLED.length}`))
    const first = await connection.readResponse()
    assert.equal(first.status, 403)
    connection.send(SMUGGLED)
    await connection.readUntilClose()
    assert.deepEqual(upstream.requests, [])
  })
})

// ------------------------------------------------------------------------------------------------------------------------------- upstream side

type Attack = {
  readonly name: string
  readonly bytes: string
  /** Status of the answer; 'cut' for an answer that must not look complete. */
  readonly answer: number | 'cut'
  readonly method?: string
  /** The upstream closes its direction behind the bytes. */
  readonly close?: boolean
  /** Body of an answer that is passed on. */
  readonly body?: string
}

const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL'
const ok = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`

const attacks: readonly Attack[] = [
  // 38. RFC 9112 sections 5.2, 6.3
  {
    name: 'both lengths',
    bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n${EVIL}`,
    answer: 502,
  },
  {
    name: 'two lengths that differ',
    bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 6')}hello!${EVIL}`,
    answer: 502,
  },
  {
    name: 'two lengths that are equal',
    bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 5')}hello${EVIL}`,
    answer: 502,
  },
  { name: 'a length list', bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 5, 5')}hello${EVIL}`, answer: 502 },
  { name: 'a length that is no number', bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: +5')}hello${EVIL}`, answer: 502 },
  { name: 'a bad chunk size', bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}5\r\nhello\r\nzz\r\n${EVIL}`, answer: 'cut' },
  { name: 'a bare LF in the head', bytes: `HTTP/1.1 200 OK\nContent-Length: 5\n\nhello${EVIL}`, answer: 502 },
  { name: 'a folded line', bytes: `${head('HTTP/1.1 200 OK', 'X-A: 1', ' 2', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'a NUL in the head', bytes: `${head('HTTP/1.1 200 OK', 'X-A: 1\x002', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'a space before a colon', bytes: `${head('HTTP/1.1 200 OK', 'Content-Length : 5')}hello${EVIL}`, answer: 502 },
  { name: 'a bare CR in the head', bytes: `${head('HTTP/1.1 200 OK', 'X-A: 1\r2', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  {
    name: 'two lengths of different case',
    bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 5', 'content-length: 5')}hello${EVIL}`,
    answer: 502,
  },
  { name: 'a coding with a tab', bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding:\tchunked')}0\r\n\r\n${EVIL}`, answer: 502 },
  { name: 'a control in the reason', bytes: `${head('HTTP/1.1 200 O\x01K', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'a field without a colon', bytes: `${head('HTTP/1.1 200 OK', 'X-A', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'an empty line before the answer', bytes: `\r\n${ok('hello')}`, answer: 502 },
  ...[
    '+5\r\nhello\r\n0\r\n\r\n',
    '0x5\r\nhello\r\n0\r\n\r\n',
    '5 \r\nhello\r\n0\r\n\r\n',
    '5\nhello\r\n0\r\n\r\n',
    'FFFFFFFFFFFFFFFFF\r\nhello',
    '4\r\nhello\r\n0\r\n\r\n',
    '5;a=\nb\r\nhello\r\n0\r\n\r\n',
    `5;${'a'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
    '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n',
    `5\r\nhello\r\n0\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`,
  ].map(
    (body): Attack => ({
      name: `the chunks ${JSON.stringify(body.slice(0, 30))}`,
      bytes: head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked') + body + EVIL,
      answer: 'cut',
    }),
  ),
  // 39. RFC 9112 section 6.1
  { name: 'chunked in HTTP/1.0', bytes: `${head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked')}0\r\n\r\n${EVIL}`, answer: 502 },
  { name: 'HTTP/2.0', bytes: `${head('HTTP/2.0 200 OK', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'HTTP/1.2', bytes: `${head('HTTP/1.2 200 OK', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'HTTP/0.9', bytes: '<html>hello</html>', answer: 502, close: true },
  { name: 'another transfer coding', bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: gzip')}hello`, answer: 502, close: true },
  { name: 'two codings', bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n${EVIL}`, answer: 502 },
  {
    name: 'a coding twice',
    bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n${EVIL}`,
    answer: 502,
  },
  { name: 'status 099', bytes: `${head('HTTP/1.1 099 Low', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'status of two digits', bytes: `${head('HTTP/1.1 20 OK', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'status 600', bytes: `${head('HTTP/1.1 600 High', 'Content-Length: 5')}hello${EVIL}`, answer: 502 },
  { name: 'no HTTP at all', bytes: 'SSH-2.0-OpenSSH_9.2\r\n', answer: 502 },
  { name: 'an early close', bytes: 'HTTP/1.1 200 OK\r\nContent-Le', answer: 502, close: true },
  { name: 'a close without a word', bytes: '', answer: 502, close: true },
  // 40. RFC 9112 sections 6.3, 9.2
  { name: 'a second answer behind the first', bytes: ok('mine') + EVIL, answer: 200, body: 'mine' },
  { name: 'garbage behind the answer', bytes: `${ok('mine')}garbage`, answer: 200, body: 'mine' },
  {
    name: 'a second answer behind chunks',
    bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}4\r\nmine\r\n0\r\n\r\n${EVIL}`,
    answer: 200,
    body: 'mine',
  },
  { name: 'a body on 204', bytes: `HTTP/1.1 204 No Content\r\n\r\n${EVIL}`, answer: 204 },
  { name: 'a body on 304', bytes: `${head('HTTP/1.1 304 Not Modified', 'Content-Length: 5')}hello${EVIL}`, answer: 304 },
  { name: 'a body on HEAD', bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 5')}hello${EVIL}`, answer: 200, method: 'HEAD', body: '' },
  { name: 'a body on 205 that is announced', bytes: `${head('HTTP/1.1 205 Reset Content', 'Content-Length: 0')}${EVIL}`, answer: 205 },
  // 41. RFC 9112 section 8
  { name: 'fewer bytes than announced', bytes: `${head('HTTP/1.1 200 OK', 'Content-Length: 50')}hello`, answer: 'cut', close: true },
  { name: 'no last chunk', bytes: `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}5\r\nhello\r\n`, answer: 'cut', close: true },
  // 42. RFC 9110 section 15.2
  { name: 'an unasked 101', bytes: `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n${EVIL}`, answer: 502 },
  {
    name: 'a few interim answers',
    bytes: `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(3)}${ok('mine')}`,
    answer: 200,
    body: 'mine',
  },
  {
    name: 'a length on an interim answer',
    bytes: `${head('HTTP/1.1 102 Processing', 'Content-Length: 5')}hello${ok('mine')}`,
    answer: 502,
  },
  {
    name: 'both lengths on an interim answer',
    bytes: head('HTTP/1.1 100 Continue', 'Content-Length: 5', 'Transfer-Encoding: chunked') + ok('mine'),
    answer: 502,
  },
  { name: 'an interim answer and a close', bytes: head('HTTP/1.1 100 Continue'), answer: 502, close: true },
  { name: 'an interim answer alone, with the end of its head missing', bytes: 'HTTP/1.1 100 Continue\r\n', answer: 502, close: true },
  { name: 'a flood of interim answers', bytes: 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1000) + ok('mine'), answer: 502 },
  // 43.
  { name: 'a head without end', bytes: `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(100_000)}\r\n\r\n`, answer: 502 },
  { name: 'lines without end', bytes: `HTTP/1.1 200 OK\r\n${'X-A: aaaaaaaaaaaaaaaa\r\n'.repeat(6000)}\r\n`, answer: 502 },
  // 44. RFC 9112 section 6.3
  { name: 'HEAD with chunked', bytes: head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'), answer: 200, method: 'HEAD', body: '' },
  { name: '304 with a length', bytes: head('HTTP/1.1 304 Not Modified', 'Content-Length: 500'), answer: 304 },
]

describe('whatever an upstream sends, the next client sees its own answer', () => {
  let gateway: Gateway
  let upstream: RawUpstream
  before(async () => {
    upstream = await startRawUpstream(serveAttacks)
    gateway = await startGateway({ database: 'off', declarative: configuration(upstream.origin), logLevel: 'error' })
  })
  after(async () => {
    await upstream.stop()
    await gateway.stop()
  })

  /** Answers `/attack/<n>` with those bytes, everything else with its own target. */
  async function serveAttacks(connection: RawUpstreamConnection): Promise<void> {
    for (;;) {
      const request = await connection.readRequest().catch(() => undefined)
      if (request === undefined) return connection.close()
      const target = request.line.split(' ')[1] ?? ''
      const attack = attacks[Number(/^\/attack\/(\d+)$/.exec(target)?.[1])]
      await connection.respond(attack === undefined ? ok(target) : attack.bytes)
      if (attack?.close === true) connection.close()
    }
  }

  async function nextClientsAreSafe(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(head(`GET /mine/${i} HTTP/1.1`, 'Host: api.test'))
      const response = await connection.readFinalResponse()
      assert.deepEqual([response.status, response.body.toString()], [200, `/mine/${i}`])
    }
  }

  for (const [index, { name, answer, method = 'GET', body }] of attacks.entries()) {
    test(`${name}: ${answer}`, async () => {
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(head(`${method} /attack/${index} HTTP/1.1`, 'Host: api.test'))
      if (answer === 'cut') {
        await connection.closed
        const { unread } = connection
        assert.equal(parseResponse(unread), undefined, 'a broken answer looks complete')
        assert.doesNotMatch(unread.toString('latin1'), /EVIL|0\r\n\r\n$/)
      } else {
        const response = await connection.readFinalResponse({ method })
        assert.equal(response.status, answer)
        if (body !== undefined) assert.equal(response.body.toString(), body)
        if (answer === 502) assert.match(response.body.toString(), /^An invalid response was received from the upstream server\n/)
        assert.equal(connection.unread.length, 0)
      }
      await nextClientsAreSafe()
      assert.doesNotMatch(connection.unread.toString('latin1'), /EVIL/)
    })
  }

  test('an answer on an idle connection that nobody asked for is given to nobody', async () => {
    await nextClientsAreSafe()
    const idle = upstream.connections.filter(({ ended }) => !ended)
    assert.ok(idle.length > 0)
    await Promise.all(idle.map((connection) => connection.respond(EVIL)))
    await Promise.all(idle.map((connection) => connection.closed))
    await nextClientsAreSafe()
  })
})

/** A service for everything; `/anything/preserved` keeps the client's Host. */
function configuration(url: string) {
  return {
    _format_version: '3.0',
    services: [
      {
        name: 'upstream',
        url,
        retries: 0,
        routes: [
          { name: 'all', paths: ['/'] },
          { name: 'preserved', paths: ['/anything/preserved'], strip_path: false, preserve_host: true, hosts: ['api.test'] },
        ],
      },
    ],
  }
}

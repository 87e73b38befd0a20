import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { HeaderList } from '../headers.ts'
import {
  endsInBlankLine,
  findHeadEnd,
  type HeadLimits,
  parseRequestHead,
  parseResponseHead,
  partialRequestViolation,
  partialResponseViolation,
  type RequestHead,
  type ResponseHead,
} from './head.ts'
import { CHUNKED, lengthOf, NO_BODY, UNTIL_CLOSE } from './message-length.ts'
import { requestText, responseText } from './serialise.ts'
import { isViolation, type Violation } from './violation.ts'

const LIMITS: HeadLimits = { lineBytes: 8192, headBytes: 32_768, lines: 1000 }

const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`
const get = (...lines: string[]): string => head('GET /x HTTP/1.1', ...lines)
const ok = (...lines: string[]): string => head('HTTP/1.1 200 OK', ...lines)

function request(text: string, limits = LIMITS): RequestHead | Violation {
  const bytes = Buffer.from(text, 'latin1')
  const end = findHeadEnd(bytes, 0, 0)
  return end === -1 ? (partialRequestViolation(bytes, 0, 0, limits) ?? assert.fail('incomplete')) : parseRequestHead(bytes, 0, end, limits)
}

function response(text: string, method = 'GET', limits = LIMITS): ResponseHead | Violation {
  const bytes = Buffer.from(text, 'latin1')
  const end = findHeadEnd(bytes, 0, 0)
  return end === -1
    ? (partialResponseViolation(bytes, 0, 0, limits) ?? assert.fail('incomplete'))
    : parseResponseHead(bytes, 0, end, method, limits)
}

function accepted<Head extends RequestHead | ResponseHead>(result: Head | Violation): Head {
  assert.ok(!isViolation(result), JSON.stringify(result))
  return result
}

function violation(result: object): string {
  assert.ok(isViolation(result), JSON.stringify(result))
  return result.violation
}

type Row = readonly [rule: string, bytes: string, violation: Violation['violation']]

const refusedRequests: readonly Row[] = [
  // RFC 9112 sections 2.2, 5.2: line ends and folding
  ['a folded line', get('X-A: 1', ' 2'), 'bad-request'],
  ['a line folded by a tab', get('X-A: 1', '\t2'), 'bad-request'],
  ['a folded Transfer-Encoding', get('Transfer-Encoding:', ' chunked'), 'bad-request'],
  ['white space before the first field', get(' Host: a'), 'bad-request'],
  ['a bare LF behind the request line', `GET /x HTTP/1.1\n${head('Host: a')}`, 'bad-request'],
  ['a bare LF behind a field', get('Host: a\nX-A: 1'), 'bad-request'],
  ['a bare LF at the end of the head', 'GET /x HTTP/1.1\r\nHost: a\r\n\n', 'bad-request'],
  ['two bare LF', 'GET /x HTTP/1.1\nHost: a\n\n', 'bad-request'],
  ['a bare CR in a value', get('X-A: 1\r2'), 'bad-request'],
  ['a bare CR behind the request line', 'GET /x HTTP/1.1\rHost: a\r\n\r\n', 'bad-request'],
  ['a CR before the colon', get('X-A\r: 1'), 'bad-request'],
  ['two CR before the LF', get('X-A: 1\r'), 'bad-request'],
  ['two empty lines before the request', `\r\n\r\n${get()}`, 'bad-request'],
  ['a bare LF before the request', `\n${get()}`, 'bad-request'],
  // RFC 9112 section 5.1, RFC 9110 section 5.6.2: names
  ['a space before the colon', get('X-A : 1'), 'bad-request'],
  ['a tab before the colon', get('X-A\t: 1'), 'bad-request'],
  ['a space before the colon of a usual name', get('Host: a', 'Accept : 1'), 'bad-request'],
  ['a space in a name', get('X A: 1'), 'bad-request'],
  ['an empty name', get(': 1'), 'bad-request'],
  ['a field without a colon', get('X-A'), 'bad-request'],
  ['a usual field without a colon', get('Host'), 'bad-request'],
  ...[...'"(),/;<=>?@[\\]{}\0\x01\x7f\x80\xff'].map(
    (char): Row => [`${JSON.stringify(char)} in a name`, get(`X${char}A: 1`), 'bad-request'],
  ),
  // RFC 9110 section 5.5: values
  ...[0x00, 0x01, 0x08, 0x0b, 0x0c, 0x0e, 0x1f, 0x7f].map((byte): Row => {
    return [`the byte ${byte} in a value`, get(`X-A: 1${String.fromCharCode(byte)}2`), 'bad-request']
  }),
  // RFC 9112 section 3: the request line
  ['a method in lower case', head('get /x HTTP/1.1'), 'bad-request'],
  ['a method that is no token', head('G@T /x HTTP/1.1'), 'bad-request'],
  ['a method of more than 32 characters', head(`${'A'.repeat(33)} /x HTTP/1.1`), 'bad-request'],
  ['no method', head(' /x HTTP/1.1'), 'bad-request'],
  ['a tab in the request line', head('GET\t/x HTTP/1.1'), 'bad-request'],
  ['two spaces before the target', head('GET  /x HTTP/1.1'), 'bad-request'],
  ['two spaces behind the target', head('GET /x  HTTP/1.1'), 'bad-request'],
  ['a space at the end of the request line', head('GET /x HTTP/1.1 '), 'bad-request'],
  ['a space in the target', head('GET /a b HTTP/1.1'), 'bad-request'],
  ['a control in the target', head('GET /a\x01b HTTP/1.1'), 'bad-request'],
  ['DEL in the target', head('GET /a\x7fb HTTP/1.1'), 'bad-request'],
  ['a byte beyond ASCII in the target', head('GET /a\xc3\xa9 HTTP/1.1'), 'bad-request'],
  ['no target', head('GET HTTP/1.1'), 'bad-request'],
  ['garbage before the request', `\x16\x03\x01${get()}`, 'bad-request'],
  // RFC 9112 section 2.3: the version
  ['no version', head('GET /x'), 'bad-request'],
  ['a version in lower case', head('GET /x http/1.1'), 'bad-request'],
  ['a version of two digits', head('GET /x HTTP/1.11'), 'bad-request'],
  ['another protocol', head('GET /x HTTPS/1.1'), 'bad-request'],
  ['HTTP/1.2', head('GET /x HTTP/1.2'), 'version'],
  ['HTTP/2.0', head('GET /x HTTP/2.0'), 'version'],
  ['HTTP/0.9', head('GET /x HTTP/0.9'), 'version'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'version'],
  // Limits
  ['a request line beyond the limit', head(`GET /${'a'.repeat(8192)} HTTP/1.1`), 'target-too-long'],
  ['a request line beyond the whole head', head(`GET /${'a'.repeat(70_000)} HTTP/1.1`), 'target-too-long'],
  ['a header line beyond the limit', get(`X-A: ${'a'.repeat(8192)}`), 'line-too-long'],
  ['a head beyond the limit', get(...Array.from({ length: 9 }, (_, i) => `X-${i}: ${'a'.repeat(7000)}`)), 'head-too-large'],
  ['more lines than allowed', get(...Array.from({ length: 1001 }, (_, i) => `X${i}: a`)), 'head-too-large'],
  // RFC 9112 section 6: framing, more of it in message-length.test.ts
  ['Content-Length beside Transfer-Encoding', get('Content-Length: 5', 'Transfer-Encoding: chunked'), 'framing'],
  ['a tab behind a coding', get('Transfer-Encoding: chunked\t'), 'framing'],
  ['a tab before a coding', get('Transfer-Encoding:\tchunked'), 'framing'],
  ['a tab behind a length', get('Content-Length: 5\t '), 'framing'],
  ['an unknown coding', get('Transfer-Encoding: gzip'), 'coding'],
]

describe('a request head is refused for', () => {
  for (const [rule, bytes, expected] of refusedRequests) {
    test(`${rule}: ${expected}`, () => assert.equal(violation(request(bytes)), expected))
  }
})

describe('a request head is accepted with', () => {
  test('its parts as they came, order, spelling and repetition kept', () => {
    const { method, target, minor, headers, length } = accepted(
      request(head('POST /a?b#c HTTP/1.1', 'hOST: a', 'X-A: 1', 'x-a: 2', 'X-A:', 'Content-Length: 5')),
    )
    assert.deepEqual([method, target, minor, length], ['POST', '/a?b#c', 1, lengthOf(5)])
    assert.deepEqual(headers.toRaw(), ['hOST', 'a', 'X-A', '1', 'x-a', '2', 'X-A', '', 'Content-Length', '5'])
    assert.deepEqual(headers.all('x-a'), ['1', '2', ''])
  })

  test('no header line at all', () => {
    assert.deepEqual(accepted(request(get())).headers.toRaw(), [])
  })

  test('white space around a value, which is no part of it, and white space within, which is', () => {
    const { headers } = accepted(request(get('X-A: \t a\tb  c \t', 'X-B:d', 'X-C: \t ')))
    assert.deepEqual(headers.toRaw(), ['X-A', 'a\tb  c', 'X-B', 'd', 'X-C', ''])
  })

  test('obs-text in a value, as bytes', () => {
    assert.equal(accepted(request(get('X-A: \x80\xe9\xff'))).headers.get('x-a'), '\x80\xe9\xff')
  })

  test('every character of a token in a name', () => {
    const name = "!#$%&'*+-.^_`|~09AZaz"
    assert.deepEqual(accepted(request(get(`${name}: 1`))).headers.toRaw(), [name, '1'])
  })

  test('HTTP/1.0, methods that nobody registered, and forms of the target that are judged above', () => {
    assert.equal(accepted(request(head('GET / HTTP/1.0'))).minor, 0)
    assert.equal(accepted(request(head('BREW-IT_2 / HTTP/1.1'))).method, 'BREW-IT_2')
    for (const target of ['*', 'http://a/b', 'a:443', '/\\"<>^`{|}%zz'])
      assert.equal(accepted(request(head(`GET ${target} HTTP/1.1`))).target, target)
  })

  test('one empty line before it, which is ignored (RFC 9112 section 2.2)', () => {
    assert.equal(accepted(request(`\r\n${get('Host: a')}`)).headers.get('host'), 'a')
  })

  test('lines exactly at their limits', () => {
    const limits = { lineBytes: 40, headBytes: 97, lines: 2 }
    const line = `GET /${'a'.repeat(40 - 16)} HTTP/1.1`
    const field = `X-A: ${'a'.repeat(40 - 7)}`
    const text = head(line, field, 'X-B: 12345678')
    assert.equal(text.length, 97)
    accepted(request(text, limits))
    assert.equal(violation(request(head(`${line.slice(0, 5)}a${line.slice(5)}`, field), limits)), 'target-too-long')
    assert.equal(violation(request(head(line, `${field}a`), limits)), 'line-too-long')
    assert.equal(violation(request(head(line, field, 'X-B: 123456789'), limits)), 'head-too-large')
    assert.equal(violation(request(head(line, 'A: 1', 'B: 2', 'C: 3'), limits)), 'head-too-large')
  })

  test('names that look like the one that usually follows, told apart', () => {
    accepted(request(get('Host: a', 'Accept: b')))
    assert.deepEqual(accepted(request(get('Host: a', 'Accept-Encoding: c'))).headers.toRaw(), ['Host', 'a', 'Accept-Encoding', 'c'])
    assert.deepEqual(accepted(request(get('Host: a', 'Accep: d'))).headers.toRaw(), ['Host', 'a', 'Accep', 'd'])
    assert.deepEqual(accepted(request(get('Host: a', 'accept: e'))).headers.toRaw(), ['Host', 'a', 'accept', 'e'])
    assert.deepEqual(accepted(request(get('Host: a', 'Accept: f'))).headers.toRaw(), ['Host', 'a', 'Accept', 'f'])
  })

  test('more different names than are remembered', () => {
    for (let round = 0; round < 4; round++) {
      const lines = Array.from({ length: 900 }, (_, i) => `X-${round}-${i}: ${i}`)
      assert.deepEqual(
        accepted(request(get(...lines))).headers.toRaw(),
        lines.flatMap((line) => line.split(': ')),
      )
    }
  })
})

const refusedResponses: readonly Row[] = [
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 5\n\n', 'bad-request'],
  ['a folded line', ok('X-A: 1', ' 2'), 'bad-request'],
  ['a NUL', ok('X-A: 1\0'), 'bad-request'],
  ['a space before a colon', ok('Content-Length : 5'), 'bad-request'],
  ['an empty line before it', `\r\n${ok()}`, 'bad-request'],
  ['status 099', head('HTTP/1.1 099 Low'), 'bad-request'],
  ['status 600', head('HTTP/1.1 600 High'), 'bad-request'],
  ['a status of two digits', head('HTTP/1.1 20 OK'), 'bad-request'],
  ['a status of four digits', head('HTTP/1.1 2000 OK'), 'bad-request'],
  ['a status that is no number', head('HTTP/1.1 2x0 OK'), 'bad-request'],
  ['two spaces before the status', head('HTTP/1.1  200 OK'), 'bad-request'],
  ['no status', head('HTTP/1.1'), 'bad-request'],
  ['a control in the reason', head('HTTP/1.1 200 O\x01K'), 'bad-request'],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n', 'bad-request'],
  ['a version in lower case', head('http/1.1 200 OK'), 'bad-request'],
  ['HTTP/2.0', head('HTTP/2.0 200 OK'), 'version'],
  ['HTTP/1.2', head('HTTP/1.2 200 OK'), 'version'],
  ['a head beyond the limit', ok(...Array.from({ length: 9 }, (_, i) => `X-${i}: ${'a'.repeat(7000)}`)), 'head-too-large'],
  ['a line beyond the limit', ok(`X-A: ${'a'.repeat(9000)}`), 'line-too-long'],
  ['a reason beyond the limit', head(`HTTP/1.1 200 ${'a'.repeat(9000)}`), 'line-too-long'],
  ['both lengths', ok('Content-Length: 5', 'Transfer-Encoding: chunked'), 'framing'],
  ['a tab behind a coding', ok('Transfer-Encoding: chunked\t'), 'framing'],
  ['another coding', ok('Transfer-Encoding: gzip'), 'coding'],
]

describe('a response head is refused for', () => {
  for (const [rule, bytes, expected] of refusedResponses) {
    test(`${rule}: ${expected}`, () => assert.equal(violation(response(bytes)), expected))
  }
})

describe('a response head is accepted with', () => {
  test('its parts as they came', () => {
    const { status, reason, minor, headers, length } = accepted(
      response(head('HTTP/1.0 404 Not  Here\xe9', 'Set-Cookie: a', 'Set-Cookie: b')),
    )
    assert.deepEqual([status, reason, minor, length], [404, 'Not  Here\xe9', 0, UNTIL_CLOSE])
    assert.deepEqual(headers.toRaw(), ['Set-Cookie', 'a', 'Set-Cookie', 'b'])
  })

  test('an empty reason, with or without the space before it', () => {
    for (const line of ['HTTP/1.1 200 ', 'HTTP/1.1 200']) assert.equal(accepted(response(head(line))).reason, '')
  })

  test('a status of 100 to 599', () => {
    for (const status of [100, 199, 226, 304, 418, 599]) assert.equal(accepted(response(head(`HTTP/1.1 ${status} x`))).status, status)
  })
})

describe('heads arrive as they like', () => {
  /** Reads a head whose bytes arrive in pieces, as a transport would. */
  function arrive<Head>(
    bytes: Buffer,
    cuts: readonly number[],
    parse: (buffer: Buffer, end: number) => Head | Violation,
    partial: (buffer: Buffer, from: number) => Violation | undefined,
  ): Head | Violation | undefined {
    let from = 0
    for (const cut of [...cuts, bytes.length]) {
      const held = bytes.subarray(0, cut)
      const end = findHeadEnd(held, 0, from)
      if (end !== -1) return parse(held, end)
      const refused = partial(held, from)
      if (refused !== undefined) return refused
      from = held.length
    }
    return undefined
  }
  const parseRequest = (buffer: Buffer, end: number) => parseRequestHead(buffer, 0, end, LIMITS)
  const partialRequest = (buffer: Buffer, from: number) => partialRequestViolation(buffer, 0, from, LIMITS)
  const parseResponse = (buffer: Buffer, end: number) => parseResponseHead(buffer, 0, end, 'GET', LIMITS)
  const partialResponse = (buffer: Buffer, from: number) => partialResponseViolation(buffer, 0, from, LIMITS)
  const shown = (result: object | undefined): unknown => {
    if (result === undefined || isViolation(result)) return result && 'refused'
    return { ...result, headers: (result as { headers: HeaderList }).headers.toRaw() }
  }
  const everyByte = (length: number): number[] => Array.from({ length: length - 1 }, (_, i) => i + 1)

  test('a request cut at any place, and byte by byte, is the same request or the same refusal', () => {
    const good = [`\r\n${head('POST /a HTTP/1.1', 'Host: a', 'X-A:  b ', 'Content-Length: 3')}abc`]
    for (const text of [...good, ...refusedRequests.map(([, bytes]) => bytes).filter(({ length }) => length < 200)]) {
      const bytes = Buffer.from(text, 'latin1')
      const whole = shown(arrive(bytes, [], parseRequest, partialRequest))
      assert.notEqual(whole, undefined)
      assert.deepEqual(shown(arrive(bytes, everyByte(bytes.length), parseRequest, partialRequest)), whole, text)
      for (const cut of everyByte(bytes.length)) assert.deepEqual(shown(arrive(bytes, [cut], parseRequest, partialRequest)), whole, text)
    }
  })

  test('a response likewise', () => {
    const good = [`${ok('Server: a', 'Content-Length: 3')}abc`, head('HTTP/1.1 204')]
    for (const text of [...good, ...refusedResponses.map(([, bytes]) => bytes).filter(({ length }) => length < 200)]) {
      const bytes = Buffer.from(text, 'latin1')
      const whole = shown(arrive(bytes, [], parseResponse, partialResponse))
      assert.notEqual(whole, undefined)
      assert.deepEqual(shown(arrive(bytes, everyByte(bytes.length), parseResponse, partialResponse)), whole, text)
      for (const cut of everyByte(bytes.length)) assert.deepEqual(shown(arrive(bytes, [cut], parseResponse, partialResponse)), whole, text)
    }
  })

  test('the end is found wherever it stands, and never before', () => {
    for (const filler of ['a', '\r', '\n', '\r\n\r', '\n\r\n', '\r\r\n', '\r\n\n\r']) {
      for (let before = 0; before < 9; before++) {
        const lead = filler.repeat(before)
        const bytes = Buffer.from(`${lead}\r\n\r\nrest`, 'latin1')
        assert.equal(findHeadEnd(bytes, 0, 0), bytes.indexOf('\r\n\r\n') + 4)
      }
    }
    assert.equal(findHeadEnd(Buffer.from('\r\n\r\n\r\n\r\n'), 1, 1), 6)
  })

  test('a head that begins within the buffer, with a body or another head behind it, ends where it ends', () => {
    const first = get('Host: a')
    const bytes = Buffer.from(`junk${first}${get('Host: b')}`, 'latin1')
    assert.ok(endsInBlankLine(bytes, 4))
    for (const end of [findHeadEnd(bytes, 4, 4), bytes.length]) {
      const parsed = accepted(parseRequestHead(bytes, 4, end, LIMITS))
      assert.deepEqual([parsed.end, parsed.headers.toRaw()], [4 + first.length, ['Host', 'a']])
    }
    const large = Buffer.from(`${ok('Content-Length: 40000')}${'a'.repeat(39_996)}\r\n\r\n`, 'latin1')
    const { length, end } = accepted(parseResponseHead(large, 0, large.length, 'GET', LIMITS))
    assert.deepEqual([length, end], [lengthOf(40_000), large.length - 40_000])
    assert.ok(!endsInBlankLine(bytes, bytes.length - 3))
  })

  test('what can never become a head is refused before it ends', () => {
    for (const bytes of [
      '\x16\x03\x01\x02',
      'GET /x HTTP/1.1\nHost: a\n\n',
      'SSH-2.0-OpenSSH_9.2\r\n',
      '\r\n\r',
      'get /',
      'GET /\0',
      ' ',
      '{"a":1}',
    ]) {
      assert.equal(violation(partialRequest(Buffer.from(bytes, 'latin1'), 0) ?? {}), 'bad-request', bytes)
    }
    for (const bytes of ['\r', '\r\n', 'G', 'GET', 'GET /x HTTP/1.1\r', 'GET /x HTTP/1.1\r\nHost'])
      assert.equal(partialRequest(Buffer.from(bytes), 0), undefined)
    assert.equal(violation(partialRequest(Buffer.from(`GET /${'a'.repeat(8192)}`), 0) ?? {}), 'target-too-long')
    assert.equal(violation(partialRequest(Buffer.from(`GET / HTTP/1.1\r\nX: ${'a'.repeat(40_000)}`), 0) ?? {}), 'head-too-large')
    assert.equal(violation(partialResponse(Buffer.from(`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(40_000)}`), 0) ?? {}), 'head-too-large')
  })
})

describe('whatever the bytes', () => {
  const noisy = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .array(
        fc.constantFrom(
          'GET',
          ' ',
          '/',
          'HTTP/1.1',
          '\r\n',
          '\r',
          '\n',
          ':',
          'Host',
          'Content-Length',
          'Transfer-Encoding',
          'chunked',
          '5',
          '\t',
          '\0',
          '\xff',
          '200',
        ),
      )
      .map((words) => {
        return Buffer.from(words.join(''), 'latin1')
      }),
  )

  test('nothing throws, at any start and end', () => {
    fc.assert(
      fc.property(noisy, fc.nat(300), fc.nat(300), (bytes, a, b) => {
        const [start = 0, end = 0] = [a, b].map((place) => Math.min(place, bytes.length)).sort((x, y) => x - y)
        assert.equal(typeof parseRequestHead(bytes, start, end, LIMITS), 'object')
        assert.equal(typeof parseResponseHead(bytes, start, end, 'GET', LIMITS), 'object')
        partialRequestViolation(bytes, start, end, LIMITS)
        partialResponseViolation(bytes, start, end, LIMITS)
        const found = findHeadEnd(bytes, start, start)
        assert.equal(found, bytes.indexOf('\r\n\r\n', start) === -1 ? -1 : bytes.indexOf('\r\n\r\n', start) + 4)
      }),
      { numRuns: 3000, seed: 1 },
    )
  })

  const tokenChar = fc.constantFrom(..."!#$%&'*+-.^_`|~0123456789abcXYZ")
  const name = fc
    .string({ unit: tokenChar, minLength: 1, maxLength: 70 })
    .filter((text) => !/^(content-length|transfer-encoding)$/i.test(text))
  const valueChar = fc.integer({ min: 0x21, max: 0xff }).filter((code) => code !== 0x7f)
  const value = fc
    .array(fc.oneof(valueChar, valueChar, fc.constantFrom(0x20, 0x09)), { maxLength: 60 })
    .map((codes) => String.fromCharCode(...codes).replace(/^[ \t]+|[ \t]+$/g, ''))
  const fields = fc.array(fc.tuple(name, value), { maxLength: 20 })
  const target = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 100,
  })

  test('what is written is read again as it was: requests', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Z][A-Z0-9_-]{0,31}$/),
        target,
        fields,
        fc.constantFrom(NO_BODY, CHUNKED, lengthOf(0), lengthOf(7)),
        (method, path, lines, length) => {
          const list = HeaderList.fromRaw(lines.flat())
          const parsed = accepted(request(requestText(method, path, list, length)))
          assert.deepEqual([parsed.method, parsed.target, parsed.minor, parsed.length], [method, path, 1, length])
          assert.deepEqual(parsed.headers.toRaw().slice(0, lines.length * 2), lines.flat())
        },
      ),
      { numRuns: 500, seed: 2 },
    )
  })

  test('what is written is read again as it was: responses', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 599 }),
        value,
        fields,
        fc.constantFrom(UNTIL_CLOSE, CHUNKED, lengthOf(0), lengthOf(7)),
        (status, reason, lines, length) => {
          const list = HeaderList.fromRaw(lines.flat())
          const parsed = accepted(response(responseText(status, reason, list, length)))
          assert.deepEqual([parsed.status, parsed.reason], [status, reason])
          assert.deepEqual(parsed.length, status === 204 || status === 304 ? NO_BODY : length)
          assert.deepEqual(parsed.headers.toRaw().slice(0, lines.length * 2), lines.flat())
        },
      ),
      { numRuns: 500, seed: 3 },
    )
  })
})

describe('time grows with the bytes', () => {
  const WIDE: HeadLimits = { lineBytes: 1e7, headBytes: 1e7, lines: 1e6 }
  /** Best of five, milliseconds. */
  function cost(step: () => void): number {
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < 5; i++) {
      const start = performance.now()
      step()
      best = Math.min(best, performance.now() - start)
    }
    return best
  }
  /** Ten times the input may cost thirty times the time, where quadratic work would cost a hundred times. */
  function assertLinear(work: (size: number) => () => void, size: number): void {
    const small = cost(work(size))
    const large = cost(work(size * 10))
    assert.ok(large < Math.max(small, 2) * 30, `${small} ms, then ${large} ms`)
  }
  const parsing = (text: string) => {
    const bytes = Buffer.from(text, 'latin1')
    return () => void accepted(parseRequestHead(bytes, 0, bytes.length, WIDE))
  }

  test('many lines', () => assertLinear((size) => parsing(get(Array.from({ length: size }, (_, i) => `X-${i}: a`).join('\r\n'))), 1000))
  test('a long value', () => assertLinear((size) => parsing(get(`X: ${'a'.repeat(size)}`)), 40_000))
  test('white space without end', () => assertLinear((size) => parsing(get(`X: ${' \t'.repeat(size)}a${' \t'.repeat(size)}`)), 20_000))
  test('a long name', () => assertLinear((size) => parsing(get(`${'a'.repeat(size)}: a`)), 40_000))
  test('a head that arrives byte by byte', () =>
    assertLinear((size) => {
      const bytes = Buffer.from(get(Array.from({ length: size }, () => 'X-A: aaaaaaaaa').join('\r\n')), 'latin1')
      return () => {
        for (let held = 1; held < bytes.length; held++) {
          const view = bytes.subarray(0, held)
          assert.equal(findHeadEnd(view, 0, held - 1), -1)
          assert.equal(partialRequestViolation(view, 0, held - 1, WIDE), undefined)
        }
      }
    }, 300))
})

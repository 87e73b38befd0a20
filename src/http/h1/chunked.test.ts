import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ChunkedDecoder, chunkHead, LAST_CHUNK, MALFORMED, NEED_MORE } from './chunked.ts'

class Collected {
  text = ''
  pieces = 0
  data(bytes: Buffer): void {
    this.text += bytes.toString('latin1')
    this.pieces++
  }
}

interface Outcome {
  readonly result: 'whole' | 'more' | 'malformed'
  readonly text: string
  /** Index just after the body, among all bytes. */
  readonly end: number
}

/** Decodes bytes that arrive cut at these places. */
function decode(text: string, cuts: readonly number[] = []): Outcome {
  const bytes = Buffer.from(text, 'latin1')
  const decoder = new ChunkedDecoder()
  const sink = new Collected()
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    const next = decoder.feed(bytes, from, cut, sink)
    if (next === MALFORMED) return { result: 'malformed', text: sink.text, end: -1 }
    if (next !== NEED_MORE) return { result: 'whole', text: sink.text, end: next }
    from = cut
  }
  return { result: 'more', text: sink.text, end: -1 }
}

const whole: readonly (readonly [rule: string, bytes: string, data: string])[] = [
  ['an empty body', '0\r\n\r\n', ''],
  ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
  ['several chunks', '5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n', 'hello world'],
  ['sizes in either case', `A\r\n${'a'.repeat(10)}\r\nb\r\n${'b'.repeat(11)}\r\n0\r\n\r\n`, 'a'.repeat(10) + 'b'.repeat(11)],
  ['leading zeros', '005\r\nhello\r\n000\r\n\r\n', 'hello'],
  ['data that looks like framing', '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n\r\n'],
  ['extensions', '5;a\r\nhello\r\n1;a=b;c="d;\\"e\t\x80"\r\n \r\n0;z=1\r\n\r\n', 'hello '],
  ['trailers, which are dropped', '5\r\nhello\r\n0\r\nX-A: b\r\nHost: c\r\nX:\r\nAuthorization:  d \xe9\r\n\r\n', 'hello'],
  [
    'a trailer whose name begins like one of the framing',
    '0\r\nContent-Length-X: 5\r\nContent-Lengt: 5\r\nTransfer-Encodingx: a\r\n\r\n',
    '',
  ],
]

const malformed: readonly (readonly [rule: string, bytes: string])[] = [
  ...[
    '0x5',
    '+5',
    '-5',
    ' 5',
    '5 ',
    '5\t',
    '',
    'g',
    '5g',
    'ffffffffffffffff',
    '0000000000000005',
    '20000000000000',
    'fffffffffffffff',
    '\xff5',
    '5\0',
  ].map((size) => [`the size ${JSON.stringify(size)}`, `${size}\r\nhello\r\n0\r\n\r\n`] as const),
  ['a bare LF behind a size', '5\nhello\r\n0\r\n\r\n'],
  ['a bare CR behind a size', '5\rhello\r\n0\r\n\r\n'],
  ['a bare LF behind data', '5\r\nhello\n0\r\n\r\n'],
  ['a bare CR behind data', '5\r\nhello\r0\r\n\r\n'],
  ['two CR behind data', '5\r\nhello\r\r0\r\n\r\n'],
  ['data longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
  ['data shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
  ['data without its line end', '5\r\nhello0\r\n\r\n'],
  ['a bare LF at the end', '0\r\n\n'],
  ['a bare CR at the end', '0\r\n\rx'],
  ...[
    ';',
    ';=',
    ';a=',
    ';;a',
    ' ;a',
    '; a',
    ';a ',
    ';a =b',
    ';a= b',
    ';a="b',
    ';a=b"',
    ';a="b"c',
    ';a="\\',
    ';a="\x01"',
    ';a=\x80',
    ';(a)',
    ';a="\\\r"',
  ].map((extension) => [`the extension ${JSON.stringify(extension)}`, `5${extension}\r\nhello\r\n0\r\n\r\n`] as const),
  ['a bare LF in an extension', '5;a=\nb\r\nhello\r\n0\r\n\r\n'],
  ['a bare LF in a quoted extension', '5;a="\n"\r\nhello\r\n0\r\n\r\n'],
  ['a bare LF behind an extension', '5;a=b\nhello\r\n0\r\n\r\n'],
  ['Content-Length among trailers', '0\r\nX: a\r\ncontent-LENGTH: 5\r\n\r\n'],
  ['Transfer-Encoding among trailers', '0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a trailer with a space before its colon', '0\r\nX : a\r\n\r\n'],
  ['a folded trailer', '0\r\nX: a\r\n b\r\n\r\n'],
  ['a trailer without a colon', '0\r\nX\r\n\r\n'],
  ['a trailer without a name', '0\r\n: a\r\n\r\n'],
  ['a control in a trailer', '0\r\nX: \x01\r\n\r\n'],
  ['a bare LF behind a trailer', '0\r\nX: a\n\r\n'],
]

describe('a chunked body is read with', () => {
  for (const [rule, bytes, data] of whole) {
    test(`${rule}, at every cut and byte by byte`, () => {
      const expected: Outcome = { result: 'whole', text: data, end: bytes.length }
      const text = `${bytes}GET / HTTP/1.1`
      assert.deepEqual(decode(text), expected)
      for (let cut = 1; cut < bytes.length; cut++) assert.deepEqual(decode(text, [cut]), expected)
      assert.deepEqual(
        decode(
          text,
          Array.from({ length: bytes.length }, (_, i) => i + 1),
        ),
        expected,
      )
      for (let cut = 0; cut < bytes.length; cut++) assert.equal(decode(text.slice(0, cut)).result, 'more')
    })
  }
})

describe('a chunked body is malformed for', () => {
  for (const [rule, bytes] of malformed) {
    test(`${rule}, at every cut and byte by byte`, () => {
      assert.equal(decode(bytes).result, 'malformed')
      for (let cut = 1; cut < bytes.length; cut++) assert.equal(decode(bytes, [cut]).result, 'malformed')
      assert.equal(
        decode(
          bytes,
          Array.from({ length: bytes.length - 1 }, (_, i) => i + 1),
        ).result,
        'malformed',
      )
    })
  }

  test('extensions of more than 16 KiB in total, however they are spread', () => {
    assert.equal(decode(`5;${'a'.repeat(16_383)}\r\nhello\r\n0\r\n\r\n`).result, 'whole')
    assert.equal(decode(`5;${'a'.repeat(16_384)}\r\nhello\r\n0\r\n\r\n`).result, 'malformed')
    assert.equal(decode(`${'1;abcdefg\r\nx\r\n'.repeat(2048)}0\r\n\r\n`).result, 'whole')
    assert.equal(decode(`${'1;abcdefg\r\nx\r\n'.repeat(2049)}0\r\n\r\n`).result, 'malformed')
  })

  test('trailers of more than 16 KiB in total', () => {
    assert.equal(decode(`0\r\n${'X: a\r\n'.repeat(2000)}\r\n`).result, 'whole')
    assert.equal(decode(`0\r\n${'X: a\r\n'.repeat(4000)}\r\n`).result, 'malformed')
    assert.equal(decode(`0\r\nX: ${'a'.repeat(17_000)}\r\n\r\n`).result, 'malformed')
  })
})

describe('the decoder', () => {
  test('hands data out where it lies, without a copy', () => {
    const bytes = Buffer.from('5\r\nhello\r\n0\r\n\r\n')
    const seen: Buffer[] = []
    new ChunkedDecoder().feed(bytes, 0, bytes.length, { data: (piece) => void seen.push(piece) })
    assert.deepEqual(
      seen.map((piece) => [piece.buffer === bytes.buffer, piece.byteOffset - bytes.byteOffset, piece.length]),
      [[true, 3, 5]],
    )
  })

  test('takes the next body when one has ended, with limits of its own', () => {
    const decoder = new ChunkedDecoder()
    const sink = new Collected()
    const bytes = Buffer.from(`1;${'a'.repeat(10_000)}\r\nx\r\n0\r\nX: ${'a'.repeat(10_000)}\r\n\r\n`)
    for (let i = 0; i < 3; i++) assert.equal(decoder.feed(bytes, 0, bytes.length, sink), bytes.length)
    assert.equal(sink.text, 'xxx')
  })

  test('stays malformed', () => {
    const decoder = new ChunkedDecoder()
    assert.equal(decoder.feed(Buffer.from('x'), 0, 1, new Collected()), MALFORMED)
    assert.equal(decoder.feed(Buffer.from('0\r\n\r\n'), 0, 5, new Collected()), MALFORMED)
    assert.equal(decoder.feed(Buffer.alloc(0), 0, 0, new Collected()), MALFORMED)
  })

  test('reads a large chunk in as many pieces as arrive', () => {
    const decoder = new ChunkedDecoder()
    const sink = new Collected()
    assert.equal(decoder.feed(Buffer.from('1fffffffffffff\r\n'), 0, 16, sink), NEED_MORE)
    for (let i = 0; i < 4; i++) assert.equal(decoder.feed(Buffer.alloc(10), 0, 10, sink), NEED_MORE)
    assert.deepEqual([sink.text.length, sink.pieces], [40, 4])
  })

  test('never throws and never depends on the cuts, whatever the bytes', () => {
    const words = fc.constantFrom('0', '5', 'a', '\r\n', '\r', '\n', ';', '=', '"', '\\', 'hello', 'X: a', ':', ' ', '\0', '\xff')
    fc.assert(
      fc.property(fc.array(words, { maxLength: 40 }), fc.array(fc.nat(100), { maxLength: 6 }), (parts, places) => {
        const text = parts.join('')
        const cuts = places.map((place) => Math.min(place, text.length)).sort((a, b) => a - b)
        assert.deepEqual(decode(text, cuts), decode(text))
      }),
      { numRuns: 3000, seed: 1 },
    )
  })

  test('reads again what was written', () => {
    const pieces = fc.array(
      fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(pieces, (chunks) => {
        const text = chunks.map((chunk) => `${chunkHead(chunk.length)}${chunk}\r\n`).join('') + LAST_CHUNK
        assert.deepEqual(decode(text), { result: 'whole', text: chunks.join(''), end: text.length })
      }),
      { numRuns: 300, seed: 2 },
    )
  })

  test('takes time that grows with the bytes, however they arrive', () => {
    const cost = (count: number): number => {
      const bytes = Buffer.from(`${'1;a=b\r\nx\r\n'.repeat(count)}0\r\n\r\n`)
      let best = Number.POSITIVE_INFINITY
      for (let round = 0; round < 5; round++) {
        const decoder = new ChunkedDecoder()
        const sink = { data() {} }
        const start = performance.now()
        for (let at = 0; at < bytes.length; at++) decoder.feed(bytes, at, at + 1, sink)
        best = Math.min(best, performance.now() - start)
      }
      return best
    }
    const [small, large] = [cost(400), cost(4000)]
    assert.ok(large < Math.max(small, 2) * 30, `${small} ms, then ${large} ms`)
  })
})

describe('the encoder', () => {
  test('writes sizes in hexadecimal', () => {
    assert.deepEqual([chunkHead(1), chunkHead(255), chunkHead(65_536)], ['1\r\n', 'ff\r\n', '10000\r\n'])
  })

  test('refuses a chunk without data, which would end the body', () => {
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 53]) assert.throws(() => chunkHead(size), TypeError)
  })
})

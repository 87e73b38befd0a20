import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HeaderList } from '../headers.ts'
import { CHUNKED, lengthOf, type MessageLength, NO_BODY, requestLength, responseLength, UNTIL_CLOSE } from './message-length.ts'
import { CODING, FRAMING, type Violation } from './violation.ts'

const CL = 'Content-Length'
const TE = 'Transfer-Encoding'
const lines = (...raw: string[]): HeaderList => HeaderList.fromRaw(raw)

type Row = readonly [rule: string, raw: readonly string[], length: MessageLength | Violation]

/** RFC 9112 section 6.3, steps 3 to 6: the same for requests and responses. */
const declared: readonly Row[] = [
  ['3. Content-Length before Transfer-Encoding is refused', [CL, '5', TE, 'chunked'], FRAMING],
  ['3. Transfer-Encoding before Content-Length is refused', [TE, 'chunked', CL, '5'], FRAMING],
  ['3. Content-Length: 0 beside Transfer-Encoding is refused', [CL, '0', TE, 'chunked'], FRAMING],
  ['3. Content-Length beside an unknown coding is refused', [CL, '5', TE, 'gzip'], FRAMING],
  ['4. chunked is chunked, in any case', [TE, 'cHuNkEd'], CHUNKED],
  ['4. chunked is chunked, in any case of the name', ['tRANSFER-eNCODING', 'chunked'], CHUNKED],
  ['4. another single coding is not implemented', [TE, 'gzip'], CODING],
  ['4. a coding that is a token is not implemented', [TE, 'x!y'], CODING],
  ...[
    'chunked, chunked',
    'chunked, identity',
    'identity, chunked',
    'gzip, chunked',
    'chunked,',
    ',chunked',
    'xchunked',
    'chunkedx',
    '"chunked"',
  ].map((coding): Row => [`4. ${coding} is refused`, [TE, coding], FRAMING]),
  ...['identity', '', 'chunked;q=1', 'chun ked', 'chunked\x0b', '\xa0chunked', 'gzip\t'].map(
    (coding): Row => [`4. ${JSON.stringify(coding)} is refused`, [TE, coding], FRAMING],
  ),
  ['4. two lines are refused', [TE, 'chunked', TE, 'chunked'], FRAMING],
  ['4. two lines of different codings are refused', [TE, 'gzip', TE, 'chunked'], FRAMING],
  ['5. two lengths that differ are refused', [CL, '5', CL, '6'], FRAMING],
  ['5. two lengths that are equal are refused', [CL, '5', 'content-length', '5'], FRAMING],
  ...[
    '',
    '5, 5',
    '+5',
    '-5',
    '0x5',
    '5 5',
    '5.0',
    '5a',
    'a',
    '1e1',
    '٥',
    '1234567890123456',
    '9007199254740993',
    '18446744073709551621',
  ].map((digits): Row => [`5. the length ${JSON.stringify(digits)} is refused`, [CL, digits], FRAMING]),
  ['6. a length is a length', [CL, '5'], lengthOf(5)],
  ['6. a length of 0 is a length', [CL, '0'], lengthOf(0)],
  ['6. leading zeros are read', [CL, '007'], lengthOf(7)],
  ['6. fifteen digits are exact', [CL, '999999999999999'], lengthOf(999_999_999_999_999)],
  [
    '6. names that only resemble the two say nothing',
    [CL, '1', 'Content_Length', '5', 'Transfer_Encoding', 'chunked', 'X-Content-Length', '7'],
    lengthOf(1),
  ],
]

describe('the length of a request', () => {
  for (const [rule, raw, length] of declared) test(rule, () => assert.deepEqual(requestLength(1, lines(...raw)), length))
  test('4. Transfer-Encoding in HTTP/1.0 is refused, whatever it says', () => {
    for (const coding of ['chunked', 'gzip']) assert.equal(requestLength(0, lines(TE, coding)), FRAMING)
  })
  test('6. Content-Length in HTTP/1.0 is a length', () => assert.deepEqual(requestLength(0, lines(CL, '5')), lengthOf(5)))
  test('7. neither field: no body', () => assert.equal(requestLength(1, lines('Host', 'a')), NO_BODY))
  test('framing is looked for after it was set, replaced and removed', () => {
    const headers = lines('Host', 'a')
    headers.set(CL, '5')
    assert.deepEqual(requestLength(1, headers), lengthOf(5))
    headers.remove('content-length')
    assert.equal(requestLength(1, headers), NO_BODY)
  })
})

describe('the length of a response', () => {
  for (const [rule, raw, length] of declared) test(rule, () => assert.deepEqual(responseLength(200, 1, 'GET', lines(...raw)), length))
  test('1. HEAD, 1xx, 204 and 304 have no body, whatever the fields say', () => {
    for (const raw of [[], [CL, '5'], [TE, 'chunked']]) {
      assert.equal(responseLength(200, 1, 'HEAD', lines(...raw)), NO_BODY)
      for (const status of [100, 101, 103, 199, 204, 304]) assert.equal(responseLength(status, 1, 'GET', lines(...raw)), NO_BODY)
    }
  })
  test('1. fields that contradict each other are refused there, too', () => {
    assert.equal(responseLength(304, 1, 'GET', lines(CL, '5', TE, 'chunked')), FRAMING)
    assert.equal(responseLength(200, 1, 'HEAD', lines(CL, '5', CL, '6')), FRAMING)
    assert.equal(responseLength(200, 1, 'HEAD', lines(TE, 'gzip')), CODING)
  })
  test('2. a tunnel is refused', () => assert.equal(responseLength(200, 1, 'CONNECT', lines()), FRAMING))
  test('4. Transfer-Encoding in HTTP/1.0 is refused', () => assert.equal(responseLength(200, 0, 'GET', lines(TE, 'chunked')), FRAMING))
  test('8. neither field: until the connection is closed', () => {
    for (const minor of [0, 1] as const) assert.equal(responseLength(200, minor, 'GET', lines()), UNTIL_CLOSE)
    assert.equal(responseLength(205, 1, 'POST', lines()), UNTIL_CLOSE)
  })
})

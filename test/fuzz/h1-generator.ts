/**
 * HTTP/1.1 connections made to be misread: a valid message from the grammar, then a few changes of the kinds that request smuggling is made of. The same
 * seed gives the same connections.
 */

/** Numbers from a seed (a 32-bit linear feedback of multiplications; good enough to choose bytes). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to limit - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) % limit
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }
}

const METHOD = [
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'OPTIONS',
  'DELETE',
  'PATCH',
  'GET',
  'POST',
  'CONNECT',
  'PRI',
  'M-SEARCH',
  'FOO',
  'get',
  'SOURCE',
]
const TARGETS = [
  '/',
  '/a',
  '/a?b=c',
  '/a#b',
  '*',
  'http://a/',
  'http://a:80/b?c',
  'https://a',
  '/a%00',
  '/%zz',
  '//a',
  '/a\\b',
  '/"<>^`{|}',
  'a:80',
  'http://a@b/',
]
const NAMES = [
  'Host',
  'Accept',
  'X-A',
  'Connection',
  'Cookie',
  'Upgrade',
  'Expect',
  'TE',
  'Trailer',
  'Proxy-Connection',
  'x-b',
  "!#$%&'*+-.^_`|~9",
]
const VALUES = [
  '',
  'a',
  'a b',
  'a\tb',
  '\xe9\x80\xff',
  'close',
  'keep-alive',
  'upgrade',
  'close, TE',
  '100-continue',
  'websocket',
  'h2c',
  '"a;b"',
  'a:b',
  'trailers',
  '5',
]
const LENGTH_NAMES = [
  'Content-Length',
  'content-length',
  'CONTENT-LENGTH',
  'Content_Length',
  'Content-Length ',
  'Content-Lengt',
  'Content-Length\t',
  'Content-Length\x00',
]
const LENGTHS = [
  '0',
  '3',
  '5',
  '05',
  '+5',
  '-0',
  '5 ',
  ' 5',
  '5,5',
  '5, 5',
  '0x5',
  '5\t',
  '5a',
  '',
  '9007199254740993',
  '18446744073709551621',
  '000000000000000000003',
  '1e1',
]
/** White space behind a value of the framing: one reader's trimming is another reader's coding. */
const AFTER = ['', '', '', ' ', '\t', ' \t', '\x0b', '\x0c', '\xa0', '\x85']
const CODING_NAMES = [
  'Transfer-Encoding',
  'transfer-encoding',
  'TRANSFER-ENCODING',
  'Transfer_Encoding',
  'Transfer-Encoding ',
  'Transfer-Encodin',
  'X-Transfer-Encoding',
]
const CODINGS = [
  'chunked',
  'Chunked',
  'CHUNKED',
  'chunked ',
  '\tchunked',
  'chunked, chunked',
  'gzip, chunked',
  'chunked, gzip',
  'identity',
  'gzip',
  'xchunked',
  'chunkedx',
  '"chunked"',
]
const CODINGS_BROKEN = [
  '\x0bchunked',
  'chunked;q=1',
  ',chunked',
  'chunked,',
  'chun ked',
  'chunked\x00',
  '',
  'identity, chunked',
  'chunked\x0c',
  'chunke\xe4',
]
const SIZES = [
  '0',
  '3',
  '5',
  '05',
  '0x5',
  '+5',
  '-5',
  ' 5',
  '5 ',
  'A',
  'a',
  'ffffffffffffffff',
  '10000000000000000',
  '',
  'g',
  '00000000000000000000005',
  '1fffffffffffff',
  '5\t',
]
const EXTENSIONS = [
  '',
  '',
  '',
  ';a',
  ';a=b',
  ';a="b"',
  ';a="\\""',
  ';',
  ';=',
  ';a=',
  ' ;a',
  ';a ',
  '; a',
  ';a=b;c',
  ';a="b',
  ';a="\x80"',
  ';a=b"c"',
  ';\n',
  ';a=\n',
  ';a="\t b"x',
]
const TRAILERS = [
  'X-T: a',
  'Content-Length: 3',
  'Transfer-Encoding: chunked',
  'Host: b',
  'X-T : a',
  ' x',
  'X-T',
  ': a',
  'X-T:\x00',
  'X-T: \xe9',
  'Connection: close',
  'content-length:0',
]
const ENDS = ['\n', '\r', '\r\r\n', '\n\r', '\r\n ', '\r\n\t', '\r\n\r\n', ' \r\n', '\0\r\n', '', '\x0b\r\n', '\x85\r\n']
const BYTES = [
  '\0',
  '\x01',
  '\t',
  '\n',
  '\x0b',
  '\x0c',
  '\r',
  ' ',
  '"',
  ',',
  ':',
  ';',
  '0',
  'a',
  'Z',
  '\x7f',
  '\x80',
  '\xff',
  '/',
  '\x1f',
  '(',
  '@',
  '\\',
  '=',
  '+',
  '-',
]
const SNIPPETS = [
  'chunked',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
  'HTTP/1.2',
  'http/1.1',
  '\r\n',
  '\r\n\r\n',
  '0\r\n\r\n',
  'GET / HTTP/1.1\r\n\r\n',
  'Content-Length: 3',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding:chunked\r\n',
  ': ',
  'Host: a',
  'Connection: close\r\n',
  'Upgrade: h2c\r\n',
]
const STATUSES = [
  '200',
  '200',
  '200',
  '204',
  '304',
  '404',
  '500',
  '100',
  '103',
  '101',
  '099',
  '600',
  '20',
  '2000',
  '999',
  '-20',
  '2 0',
  '199',
  '299',
]
const REASONS = [' OK', ' ', '', ' Not Found', ' \xe9', ' a\tb', '  x', ' \0', '\tOK', ' OK ']

/** A request, or several on one connection. */
export function generateRequests(random: Random): string {
  let bytes = ''
  const count = random.chance(60) ? 1 : 1 + random.below(3)
  for (let i = 0; i < count; i++) {
    const version = random.chance(88)
      ? 'HTTP/1.1'
      : random.pick([
          'HTTP/1.0',
          'HTTP/1.2',
          'HTTP/2.0',
          'HTTP/0.9',
          'http/1.1',
          'HTTP/1.11',
          'HTTP/01.1',
          'HTTP/1',
          'HTP/1.1',
          'HTTP/1.1 ',
        ])
    const method = random.chance(85) ? random.pick(METHOD.slice(0, 9)) : random.pick(METHOD)
    const target = random.chance(70) ? random.pick(TARGETS.slice(0, 4)) : random.pick(TARGETS)
    const lead = random.chance(4) ? random.pick(['\r\n', '\n', '\r\n\r\n', ' ', '\r']) : ''
    bytes += `${lead}${method} ${target} ${version}\r\nHost: a\r\n${fieldsAndBody(random)}`
  }
  return mutate(random, bytes)
}

/** A response, perhaps after interim ones. */
export function generateResponses(random: Random): string {
  let bytes = ''
  while (random.chance(12))
    bytes += `HTTP/1.1 ${random.pick(['100 Continue', '103 Early Hints', '102 x', '199 '])}\r\n${fields(random)}\r\n`
  const version = random.chance(85)
    ? 'HTTP/1.1'
    : random.pick(['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.1 ', 'ICY', 'RTSP/1.0'])
  const status = random.chance(75) ? random.pick(STATUSES.slice(0, 7)) : random.pick(STATUSES)
  const reason = random.chance(80) ? random.pick(REASONS.slice(0, 4)) : random.pick(REASONS)
  bytes += `${version} ${status}${reason}\r\n${fieldsAndBody(random)}`
  if (random.chance(10)) bytes += 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL'
  return mutate(random, bytes)
}

/** The bytes in one to six pieces. */
export function cut(random: Random, bytes: string): Buffer[] {
  const whole = Buffer.from(bytes, 'latin1')
  if (random.chance(50)) return [whole]
  const places = Array.from({ length: random.below(6) }, () => random.below(whole.length + 1)).sort((a, b) => a - b)
  return [0, ...places].map((place, i) => whole.subarray(place, places[i] ?? whole.length)).filter(({ length }) => length > 0)
}

function fields(random: Random): string {
  let lines = ''
  for (let i = random.below(4); i > 0; i--) {
    const name = random.pick(NAMES)
    lines += `${name}:${random.pick([' ', '', '  ', '\t'])}${random.pick(VALUES)}${random.pick(['', '', ' ', '\t '])}\r\n`
  }
  return lines
}

function fieldsAndBody(random: Random): string {
  const framing = random.below(10)
  let lines = fields(random)
  if (framing < 3) return `${lines}\r\n`
  if (framing < 6) return `${lines}${random.chance(75) ? 'Content-Length: 5' : lengthLine(random)}\r\n${fields(random)}\r\nhello`
  if (framing === 6) {
    for (let i = 1 + random.below(3); i > 0; i--) lines += `${random.chance(50) ? lengthLine(random) : codingLine(random)}\r\n`
    return `${lines}\r\n${random.chance(50) ? 'hello' : chunks(random)}`
  }
  return `${lines}${random.chance(75) ? 'Transfer-Encoding: chunked' : codingLine(random)}\r\n${fields(random)}\r\n${chunks(random)}`
}

function lengthLine(random: Random): string {
  return `${random.chance(70) ? 'Content-Length' : random.pick(LENGTH_NAMES)}:${random.pick([' ', '', '  '])}${random.pick(LENGTHS)}${random.pick(AFTER)}`
}

function codingLine(random: Random): string {
  return `${random.chance(70) ? 'Transfer-Encoding' : random.pick(CODING_NAMES)}:${random.pick([' ', '', '\t'])}${random.chance(70) ? random.pick(CODINGS) : random.pick(CODINGS_BROKEN)}${random.pick(AFTER)}`
}

function chunks(random: Random): string {
  let body = ''
  for (let i = random.below(4); i > 0; i--) {
    const size = random.chance(80) ? '5' : random.pick(SIZES)
    body += `${size}${random.pick(EXTENSIONS.slice(0, random.chance(70) ? 7 : EXTENSIONS.length))}\r\nhello${random.chance(92) ? '\r\n' : random.pick(ENDS)}`
  }
  body += `${random.chance(90) ? '0' : random.pick(['00', '', '000000000000000000', '0x0', '0 '])}${random.chance(85) ? '' : random.pick(EXTENSIONS)}\r\n`
  while (random.chance(15)) body += `${random.chance(50) ? 'X-T: a' : random.pick(TRAILERS)}\r\n`
  return `${body}\r\n`
}

function mutate(random: Random, bytes: string): string {
  let mutated = bytes
  for (let i = random.pick([0, 0, 1, 1, 1, 2, 3, 5]); i > 0; i--) mutated = mutateOnce(random, mutated)
  return mutated
}

function mutateOnce(random: Random, bytes: string): string {
  const at = random.below(bytes.length + 1)
  switch (random.below(10)) {
    case 0:
      return bytes.slice(0, at) + random.pick(BYTES) + bytes.slice(at)
    case 1:
      return bytes.slice(0, at) + random.pick(BYTES) + bytes.slice(at + 1)
    case 2:
      return bytes.slice(0, at) + bytes.slice(at + 1 + random.below(3))
    case 3:
      return bytes.slice(0, at) + bytes.slice(at, at + 1 + random.below(12)) + bytes.slice(at)
    case 4:
      return bytes.slice(0, at) + random.pick(SNIPPETS) + bytes.slice(at)
    case 5:
      return bytes.slice(0, at) + String.fromCharCode((bytes.charCodeAt(at) || 0) ^ (1 << random.below(8))) + bytes.slice(at + 1)
    case 6:
      return bytes.slice(0, at)
    case 7:
      return swapLines(random, bytes)
    default:
      return changeLineEnd(random, bytes)
  }
}

function swapLines(random: Random, bytes: string): string {
  const lines = bytes.split('\r\n')
  const a = random.below(lines.length)
  const b = random.below(lines.length)
  const line = lines[a] as string
  lines[a] = random.chance(30) ? line : (lines[b] as string)
  lines[b] = line
  return lines.join('\r\n')
}

/** Another end for one line: what request smuggling likes best. */
function changeLineEnd(random: Random, bytes: string): string {
  const lines = bytes.split('\r\n')
  if (lines.length < 2) return bytes
  const at = 1 + random.below(lines.length - 1)
  return lines.slice(0, at).join('\r\n') + random.pick(ENDS) + lines.slice(at).join('\r\n')
}

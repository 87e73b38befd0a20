import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ProxiedConnection } from '../http/exchange.ts'
import { MAX_PROXY_HEADER_BYTES, type ProxyHeader, readProxyHeader } from './proxy-protocol.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

const read = (bytes: string | Buffer): ProxyHeader => readProxyHeader(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)

/** A header of version 2; `length` where it is not that of `rest`. */
function v2(command: number, family: number, rest: Buffer, length = rest.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, length >> 8, length & 0xff]), rest])
}

const IPV4 = Buffer.from('c0000201c63364019c4001bb', 'hex')
const IPV6 = Buffer.from(`20010db8${'00'.repeat(11)}01${'20010db8'}${'00'.repeat(11)}029c4001bb`, 'hex')
const TLV = Buffer.from('04000301020320000512345678ff', 'hex')

const FOUR: ProxiedConnection = { source: { address: '192.0.2.1', port: 40_000 }, destination: { address: '198.51.100.1', port: 443 } }
const SIX: ProxiedConnection = { source: { address: '2001:db8::1', port: 40_000 }, destination: { address: '2001:db8::2', port: 443 } }

/** Every header that is taken, and what it says. */
const TAKEN: readonly (readonly [name: string, bytes: Buffer, proxied: ProxiedConnection | null])[] = [
  ['1, IPv4', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n'), FOUR],
  ['1, IPv6', Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n'), SIX],
  ['1, IPv6 as nobody else writes it', Buffer.from('PROXY TCP6 2001:0DB8:0:0:0::0001 2001:DB8:0::2 40000 443\r\n'), SIX],
  ['1, IPv4 in IPv6', Buffer.from('PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:c633:6401 40000 443\r\n'), FOUR],
  ['1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), null],
  ['1, unknown with addresses', Buffer.from(`PROXY UNKNOWN ${'f'.repeat(91)}\r\n`), null],
  ['2, IPv4', v2(0x21, 0x11, IPV4), FOUR],
  ['2, IPv6', v2(0x21, 0x21, IPV6), SIX],
  ['2, IPv4 and more', v2(0x21, 0x11, Buffer.concat([IPV4, TLV])), FOUR],
  ['2, IPv6 and more', v2(0x21, 0x21, Buffer.concat([IPV6, TLV])), SIX],
  ['2, as long as it may be', v2(0x21, 0x11, Buffer.concat([IPV4, Buffer.alloc(MAX_PROXY_HEADER_BYTES - 28, 4)])), FOUR],
  ['2, unspecified', v2(0x21, 0x00, Buffer.alloc(0)), null],
  ['2, unspecified with addresses', v2(0x21, 0x00, IPV4), null],
  ['2, datagrams of IPv4', v2(0x21, 0x12, IPV4), null],
  ['2, datagrams of IPv6', v2(0x21, 0x22, IPV6), null],
  ['2, Unix', v2(0x21, 0x31, Buffer.alloc(216, 0x2f)), null],
  ['2, Unix datagrams', v2(0x21, 0x32, Buffer.alloc(216, 0x2f)), null],
  ['2, local', v2(0x20, 0x00, Buffer.alloc(0)), null],
  ['2, local with addresses that are not to be read', v2(0x20, 0x11, IPV4), null],
  ['2, local of a family that is not to be read', v2(0x20, 0xff, TLV), null],
]

describe('a header', () => {
  for (const [name, bytes, proxied] of TAKEN) {
    test(`of version ${name} is taken whole, never before, and nothing behind it`, () => {
      for (let length = 0; length < bytes.length; length++)
        assert.deepEqual(read(bytes.subarray(0, length)), { kind: 'partial' }, `${length}`)
      const expected = { kind: 'complete', length: bytes.length, proxied }
      for (const behind of ['', '\r\n', 'GET / HTTP/1.1\r\n', '\x16\x03\x01', bytes.toString('latin1')]) {
        assert.deepEqual(read(Buffer.concat([bytes, Buffer.from(behind, 'latin1')])), expected)
      }
    })
  }

  test('has the shortest and the longest line that the protocol knows', () => {
    const longest = `PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`
    assert.equal(longest.length, 104)
    assert.equal(read(longest).kind, 'complete')
    assert.equal(read('PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n').kind, 'complete')
  })
})

describe('what is refused', () => {
  const addresses = '192.0.2.1 198.51.100.1'
  const lines: readonly string[] = [
    'PROXY',
    'PROXY ',
    'PROXY TCP4',
    `PROXY TCP4 ${addresses}`,
    `PROXY TCP4 ${addresses} 1`,
    `PROXY TCP4 ${addresses} 1 `,
    `PROXY TCP4 ${addresses} 1 2 `,
    `PROXY TCP4 ${addresses} 1 2 3`,
    `PROXY TCP4  ${addresses} 1 2`,
    `PROXY TCP4 ${addresses}  1 2`,
    `PROXY\tTCP4 ${addresses} 1 2`,
    `PROXY TCP4 ${addresses} 1\t2`,
    `proxy TCP4 ${addresses} 1 2`,
    `PROXY tcp4 ${addresses} 1 2`,
    `PROXY TCP5 ${addresses} 1 2`,
    `PROXY TCP ${addresses} 1 2`,
    `PROXY UDP4 ${addresses} 1 2`,
    `PROXY TCP6 ${addresses} 1 2`,
    'PROXY TCP4 2001:db8::1 2001:db8::2 1 2',
    'PROXY TCP4 ::ffff:1.2.3.4 ::ffff:1.2.3.4 1 2',
    'PROXY TCP4 192.0.2.1 2001:db8::2 1 2',
    'PROXY TCP4 192.0.2.256 192.0.2.1 1 2',
    'PROXY TCP4 192.0.02.1 192.0.2.1 1 2',
    'PROXY TCP4 192.0.2 192.0.2.1 1 2',
    'PROXY TCP4 0xc0000201 192.0.2.1 1 2',
    'PROXY TCP4 localhost 192.0.2.1 1 2',
    'PROXY TCP4 192.0.2.1, 192.0.2.1 1 2',
    'PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2',
    'PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2',
    'PROXY TCP6 2001:db8:::1 2001:db8::2 1 2',
    `PROXY TCP4 ${addresses} 65536 2`,
    `PROXY TCP4 ${addresses} 1 99999`,
    `PROXY TCP4 ${addresses} 100000 2`,
    `PROXY TCP4 ${addresses} 01 2`,
    `PROXY TCP4 ${addresses} -1 2`,
    `PROXY TCP4 ${addresses} +1 2`,
    `PROXY TCP4 ${addresses} 1e3 2`,
    `PROXY TCP4 ${addresses} 0x1 2`,
    `PROXY TCP4 ${addresses} 1 2\n`,
    `PROXY TCP4 ${addresses} 1 2\r`,
    'PROXY UNKNOWNS',
    'PROXY unknown',
    'PROXY / HTTP/1.1',
  ]
  for (const line of lines) {
    test(`the line ${JSON.stringify(line)}`, () => {
      assert.equal(read(`${line}\r\n`).kind, 'refused')
    })
  }

  test('a line that does not end within 107 bytes, whatever it says', () => {
    for (const begin of ['PROXY UNKNOWN ', 'PROXY TCP4 192.0.2.1 198.51.100.1 40000 ', 'PROXY ']) {
      const padded = begin.padEnd(105, '1')
      assert.notEqual(read(`${padded}\r\n`).kind, 'partial')
      assert.equal(read(padded).kind, 'partial')
      assert.equal(read(`${padded}\r`).kind, 'partial')
      assert.equal(read(`${padded}1\r`).kind, 'refused')
      assert.equal(read(`${padded}1\r\n`).kind, 'refused')
    }
  })

  test('a line that ends in LF alone', () => {
    assert.equal(read(`PROXY TCP4 ${addresses} 1 2\n`).kind, 'partial')
    assert.equal(read(`PROXY TCP4 ${addresses} 1 2\nGET / HTTP/1.1\r\n`).kind, 'refused')
  })

  test('anything else, from the first byte that no header has there', () => {
    for (const bytes of [
      'G',
      'GET / HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02',
      'PRI * HTTP/2.0\r\n',
      '\n',
      '\0',
      '\r\n\r\nG',
      ' PROXY ',
      'PROXX',
    ]) {
      assert.equal(read(bytes).kind, 'refused', JSON.stringify(bytes))
    }
    for (let at = 0; at < SIGNATURE.length; at++) {
      const broken = Buffer.from(SIGNATURE)
      broken[at] = (broken[at] as number) ^ 0x80
      assert.equal(read(broken.subarray(0, at + 1)).kind, 'refused', `${at}`)
    }
  })

  test('every version and command but two, as soon as it is there', () => {
    for (let command = 0; command < 256; command++) {
      const known = command === 0x20 || command === 0x21
      assert.equal(read(v2(command, 0x11, IPV4).subarray(0, 13)).kind, known ? 'partial' : 'refused', command.toString(16))
    }
  })

  test('every reserved family and transport, as soon as it is there', () => {
    const known = [0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32]
    for (let family = 0; family < 256; family++) {
      const bytes = v2(0x21, family, Buffer.alloc(216))
      assert.equal(read(bytes.subarray(0, 14)).kind, known.includes(family) ? 'partial' : 'refused', family.toString(16))
      assert.equal(read(bytes).kind, known.includes(family) ? 'complete' : 'refused', family.toString(16))
    }
  })

  test('a length that is too short for the addresses, before they come', () => {
    for (const [family, size] of [
      [0x11, 12],
      [0x12, 12],
      [0x21, 36],
      [0x22, 36],
      [0x31, 216],
      [0x32, 216],
    ] as const) {
      for (let length = 0; length < size; length++) assert.equal(read(v2(0x21, family, Buffer.alloc(0), length)).kind, 'refused')
      assert.equal(read(v2(0x21, family, Buffer.alloc(0), size)).kind, 'partial')
    }
  })

  test('a length above the bound, before the bytes come, LOCAL included', () => {
    for (const command of [0x20, 0x21]) {
      for (const length of [MAX_PROXY_HEADER_BYTES - 15, 0xffff]) {
        assert.equal(read(v2(command, 0x11, Buffer.alloc(0), length)).kind, 'refused')
      }
    }
  })

  test('is told by reasons that repeat nothing of the bytes', () => {
    const reasons = new Set<string>()
    for (const bytes of ['GET /?token=s3cret', ...lines.map((line) => `${line} s3cret\r\n`), v2(0x31, 0, IPV4), v2(0x21, 9, IPV4)]) {
      const header = read(bytes)
      if (header.kind === 'refused') reasons.add(header.reason)
    }
    assert.ok(reasons.size <= 6)
    assert.doesNotMatch([...reasons].join(), /s3cret|192/)
  })
})

test('whatever comes: no throw, and once decided, more bytes change nothing (30 000 connections)', () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return (seed >>> 8) % below
  }
  const kinds = { partial: 0, refused: 0, complete: 0 }
  for (let round = 0; round < 30_000; round++) {
    const bytes = Buffer.from((TAKEN[random(TAKEN.length)] as (typeof TAKEN)[number])[1].subarray(0, 300))
    for (let changes = random(4); changes > 0; changes--) bytes[random(bytes.length)] = random(256)
    const cut = random(bytes.length + 1)
    const early = read(bytes.subarray(0, cut))
    const late = read(bytes)
    kinds[late.kind]++
    if (early.kind !== 'partial') assert.deepEqual(late, early, bytes.toString('hex'))
    if (late.kind !== 'complete') continue
    assert.ok(late.length <= bytes.length)
    assert.deepEqual(read(bytes.subarray(0, late.length)), late)
    assert.deepEqual(read(bytes.subarray(0, late.length - 1)), { kind: 'partial' })
    for (const end of late.proxied === null ? [] : [late.proxied.source, late.proxied.destination]) {
      assert.match(end.address, /^[0-9a-f.:]+$/)
      assert.ok(Number.isInteger(end.port) && end.port >= 0 && end.port <= 65_535)
    }
  }
  for (const count of Object.values(kinds)) assert.ok(count > 1000, JSON.stringify(kinds))
})

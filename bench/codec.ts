/**
 * What do the four heads of a proxied request cost: parse the client's, write the upstream's, parse the upstream's, write the client's?
 *
 *     node bench/codec.ts
 *
 * A browser-like request of 13 lines with a bearer token, forwarded with five lines added and Host replaced; a response of 10 lines, returned with four added.
 * Writing includes the copy into bytes. Prints nanoseconds per operation, the best of ten rounds: what else the machine does only adds.
 */

import {
  endsInBlankLine,
  findHeadEnd,
  type HeadLimits,
  parseRequestHead,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
} from '../src/http/h1/head.ts'
import { requestText, responseText } from '../src/http/h1/serialise.ts'
import { isViolation } from '../src/http/h1/violation.ts'
import type { HeaderList } from '../src/http/headers.ts'

const ROUNDS = 10
const OPERATIONS = 100_000
const LIMITS: HeadLimits = { lineBytes: 8192, headBytes: 32_768, lines: 1000 }

const REQUEST = bytes(
  'GET /api/v2/orders/8813?expand=lines&limit=50 HTTP/1.1',
  'Host: api.example.com',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Accept: application/json, text/plain, */*',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA2YotnFZFEjr1zCsicMWpAA',
  'Cache-Control: no-cache',
  'Connection: keep-alive',
  'Origin: https://app.example.com',
  'Referer: https://app.example.com/orders',
  'Sec-Fetch-Mode: cors',
  'X-Request-ID: 1f0c7c1e-6a2e-4f5e-9a4e-5f3f7f0a2b11',
  'X-Tenant: blue',
)
const RESPONSE = bytes(
  'HTTP/1.1 200 OK',
  'Date: Mon, 03 Nov 2025 09:00:00 GMT',
  'Content-Type: application/json; charset=utf-8',
  'Content-Length: 512',
  'Connection: keep-alive',
  'Cache-Control: private, max-age=0',
  'ETag: W/"200-abcdefghijklmnopqrstuvwxyz0"',
  'Server: orders/1.4',
  'Vary: Accept-Encoding',
  'X-Powered-By: Express',
  'X-Trace: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
)

const out = Buffer.allocUnsafe(8192)
const id = '8b6d1f7c0e9a4b5d8c7f6e5d4c3b2a19'

function bytes(...lines: string[]): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

function headEnd(buffer: Buffer): number {
  return endsInBlankLine(buffer, 0) ? buffer.length : findHeadEnd(buffer, 0, 0)
}

function readRequest(): RequestHead {
  const head = parseRequestHead(REQUEST, 0, headEnd(REQUEST), LIMITS)
  if (isViolation(head)) throw new Error(head.violation)
  return head
}

function readResponse(): ResponseHead {
  const head = parseResponseHead(RESPONSE, 0, headEnd(RESPONSE), 'GET', LIMITS)
  if (isViolation(head)) throw new Error(head.violation)
  return head
}

function forwarded(headers: HeaderList): HeaderList {
  headers.remove('connection')
  headers.set('Host', 'orders.internal')
  headers.add('X-Forwarded-For', '192.0.2.17')
  headers.add('X-Forwarded-Proto', 'https')
  headers.add('X-Forwarded-Host', 'api.example.com')
  headers.add('X-Forwarded-Port', '443')
  headers.add('X-Real-IP', '192.0.2.17')
  return headers
}

function returned(headers: HeaderList): HeaderList {
  headers.remove('connection')
  headers.add('X-Kong-Upstream-Latency', '3')
  headers.add('X-Kong-Proxy-Latency', '0')
  headers.add('X-Kong-Request-Id', id)
  headers.add('Via', '1.1 kong/3.9.1')
  return headers
}

const steps: Readonly<Record<string, () => number>> = {
  'find end of request': () => findHeadEnd(REQUEST, 0, 0),
  'read request': () => readRequest().headers.size,
  'read request, change lines': () => forwarded(readRequest().headers).size,
  'read request, change lines, write': () => {
    const head = readRequest()
    return out.write(requestText(head.method, head.target, forwarded(head.headers), head.length), 'latin1')
  },
  'read response': () => readResponse().headers.size,
  'read response, change lines': () => returned(readResponse().headers).size,
  'read response, change lines, write': () => {
    const head = readResponse()
    return out.write(responseText(head.status, head.reason, returned(head.headers), head.length), 'latin1')
  },
}

function nanoseconds(step: () => number): number {
  let sum = 0
  const start = process.hrtime.bigint()
  for (let i = 0; i < OPERATIONS; i++) sum += step()
  const spent = Number(process.hrtime.bigint() - start) / OPERATIONS
  if (sum <= 0) throw new Error('nothing was done')
  return spent
}

process.stdout.write(`request head ${REQUEST.length} bytes, response head ${RESPONSE.length} bytes; best of ${ROUNDS} rounds, ns\n`)
const best = new Map<string, number>()
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, step] of Object.entries(steps)) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, nanoseconds(step)))
}
for (const [name, ns] of best) process.stdout.write(`${name.padEnd(40)}${Math.round(ns)}\n`)

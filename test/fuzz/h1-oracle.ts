/**
 * Two readings of the same bytes: ours (src/http/h1) and llhttp's, through `node:http` on a connection in memory. `compare…` names what differs in a way that
 * would matter to an attacker:
 *
 *   - a head or a body that we accept and llhttp refuses;
 *   - a message that we accept and llhttp reads otherwise: method, target, version, status, header lines, body, place of its end.
 *
 * What we refuse and llhttp accepts is the purpose of the exercise.
 */
import { createServer, type IncomingMessage, METHODS, request as sendRequest } from 'node:http'
import { Duplex } from 'node:stream'
import { ChunkedDecoder, MALFORMED, NEED_MORE } from '../../src/http/h1/chunked.ts'
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
} from '../../src/http/h1/head.ts'
import type { MessageLength } from '../../src/http/h1/message-length.ts'
import { isViolation, type Violation } from '../../src/http/h1/violation.ts'
import { HeaderList } from '../../src/http/headers.ts'
import { checkHead, isRefusal } from '../../src/proxy/head-checks.ts'

export const LIMITS: HeadLimits = { lineBytes: 8192, headBytes: 32_768, lines: 1000 }

/** A message as one of the readers saw it. */
export interface Seen {
  /** `METHOD target HTTP/1.x`, or `HTTP/1.x status reason`. */
  readonly startLine: string
  /** Flat, as received. */
  readonly fields: readonly string[]
  body: string
  complete: boolean
}

/** What one reader made of a connection: messages, and why it stopped. */
export interface Reading {
  readonly messages: Seen[]
  /** `end`: no byte left; `more`: within a message; `stop`: the rest is not HTTP/1.1 any more or not to be read; otherwise the refusal. */
  outcome: string
}

// ------------------------------------------------------------------------------------------------------------------------------------ our reading

/** Reads requests as a front would: head, body, next head. */
export function readRequests(pieces: readonly Buffer[]): Reading {
  return readConnection(pieces, {
    parse: (buffer, start, end) => parseRequestHead(buffer, start, end, LIMITS),
    partial: (buffer, start, from) => partialRequestViolation(buffer, start, from, LIMITS),
    startLine: (head) => `${head.method} ${head.target} HTTP/1.${head.minor}`,
    isLast: (head) =>
      head.minor === 0 ||
      !METHODS.includes(head.method) ||
      isRefusal(checkHead(head.method, head.target, `1.${head.minor}`, head.headers)) ||
      saysClose(head),
  })
}

/** Reads responses up to the first that is final, as an upstream client would. */
export function readResponses(pieces: readonly Buffer[], method: string): Reading {
  return readConnection(pieces, {
    parse: (buffer, start, end) => parseResponseHead(buffer, start, end, method, LIMITS),
    partial: (buffer, start, from) => partialResponseViolation(buffer, start, from, LIMITS),
    startLine: (head) => `HTTP/1.${head.minor} ${head.status} ${head.reason}`,
    isLast: (head) => head.status >= 200 || head.status === 101 || saysClose(head),
  })
}

/** llhttp reads nothing behind a message that closes or upgrades its connection, and takes `Proxy-Connection` for `Connection`. */
function saysClose({ headers }: RequestHead | ResponseHead): boolean {
  return /close|upgrade/i.test([...headers.all('connection'), ...headers.all('proxy-connection')].join())
}

interface Side<Head extends RequestHead | ResponseHead> {
  readonly parse: (buffer: Buffer, start: number, end: number) => Head | Violation
  readonly partial: (buffer: Buffer, start: number, from: number) => Violation | undefined
  readonly startLine: (head: Head) => string
  readonly isLast: (head: Head) => boolean
}

function readConnection<Head extends RequestHead | ResponseHead>(pieces: readonly Buffer[], side: Side<Head>): Reading {
  const reading: Reading = { messages: [], outcome: 'end' }
  let held = Buffer.alloc(0)
  let searched = 0
  let body: BodyReader | undefined
  let last = false
  for (const piece of pieces) {
    held = Buffer.concat([held, piece])
    for (;;) {
      if (body !== undefined) {
        const next = body.feed(held)
        if (next === MALFORMED) return stopped(reading, 'body')
        held = next === NEED_MORE ? Buffer.alloc(0) : held.subarray(next)
        searched = 0
        if (next === NEED_MORE) break
        body = undefined
        if (last) return stopped(reading, 'stop')
      }
      const end = endsInBlankLine(held, 0) ? held.length : findHeadEnd(held, 0, searched)
      if (end === -1) {
        const violation = side.partial(held, 0, searched)
        if (violation !== undefined) return stopped(reading, violation.violation)
        searched = held.length
        break
      }
      const head = side.parse(held, 0, end)
      if (isViolation(head)) return stopped(reading, head.violation)
      const seen: Seen = { startLine: side.startLine(head), fields: head.headers.toRaw(), body: '', complete: false }
      reading.messages.push(seen)
      held = held.subarray(head.end)
      last = side.isLast(head)
      body = new BodyReader(head.length, seen)
    }
  }
  if (body !== undefined) body.atClose()
  reading.outcome = held.length > 0 || body !== undefined ? 'more' : 'end'
  return reading
}

function stopped(reading: Reading, outcome: string): Reading {
  reading.outcome = outcome
  return reading
}

class BodyReader {
  readonly #seen: Seen
  readonly #untilClose: boolean
  readonly #decoder: ChunkedDecoder | undefined
  #left: number

  constructor(length: MessageLength, seen: Seen) {
    this.#seen = seen
    this.#untilClose = length.kind === 'until-close'
    this.#left = this.#untilClose ? Number.POSITIVE_INFINITY : length.bytes
    this.#decoder = length.kind === 'chunked' ? new ChunkedDecoder() : undefined
  }

  data(bytes: Buffer): void {
    this.#seen.body += bytes.toString('latin1')
  }

  feed(buffer: Buffer): number {
    const next = this.#decoder === undefined ? this.#feedPlain(buffer) : this.#decoder.feed(buffer, 0, buffer.length, this)
    if (next >= 0) this.#seen.complete = true
    return next
  }

  #feedPlain(buffer: Buffer): number {
    const taken = Math.min(this.#left, buffer.length)
    this.data(buffer.subarray(0, taken))
    this.#left -= taken
    return this.#left === 0 ? taken : NEED_MORE
  }

  atClose(): void {
    if (this.#untilClose) this.#seen.complete = true
  }
}

// ---------------------------------------------------------------------------------------------------------------------------------- llhttp's reading

/** A connection whose peer is the test. */
class MemoryConnection extends Duplex {
  constructor() {
    super({ read() {}, write: (_chunk, _encoding, done) => done() })
    this.on('error', () => {})
  }

  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The messages of a connection as llhttp reads them. */
let current: Reading = { messages: [], outcome: 'end' }
let collected: (() => void)[] = []

function begin(): Reading {
  collected = []
  current = { messages: [], outcome: 'end' }
  return current
}

/** Lets the connection take its bytes, then end, and asks each message whether it is whole. */
async function feed(connection: MemoryConnection, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) connection.push(piece)
  await turn()
  connection.push(null)
  await turn()
  await turn()
  for (const ask of collected) ask()
}

function collect(incoming: IncomingMessage, startLine: string): void {
  const seen: Seen = { startLine, fields: [...incoming.rawHeaders], body: '', complete: false }
  current.messages.push(seen)
  incoming.on('data', (chunk: Buffer) => {
    seen.body += chunk.toString('latin1')
  })
  incoming.on('error', () => {})
  collected.push(() => {
    seen.complete = incoming.complete
  })
}

const server = createServer({ requireHostHeader: false, maxHeaderSize: 1 << 20, insecureHTTPParser: false, keepAliveTimeout: 0 })
server.maxHeadersCount = 0
for (const event of ['request', 'checkContinue', 'checkExpectation']) {
  server.on(event, (incoming, outgoing) => {
    collect(incoming, `${incoming.method} ${incoming.url} HTTP/${incoming.httpVersion}`)
    outgoing.end()
  })
}
server.on('clientError', (error: NodeJS.ErrnoException) => {
  if (current.outcome === 'end') current.outcome = error.code ?? 'error'
})

export async function llhttpRequests(pieces: readonly Buffer[]): Promise<Reading> {
  const reading = begin()
  const connection = new MemoryConnection()
  server.emit('connection', connection)
  await feed(connection, pieces)
  connection.destroy()
  await turn()
  return reading
}

export async function llhttpResponses(pieces: readonly Buffer[], method: string): Promise<Reading> {
  const reading = begin()
  const connection = new MemoryConnection()
  const outgoing = sendRequest({
    method,
    host: 'localhost',
    createConnection: () => connection,
    maxHeaderSize: 1 << 20,
    insecureHTTPParser: false,
  })
  outgoing.maxHeadersCount = 0
  const informed = (information: { httpVersion: string; statusCode: number; statusMessage: string; rawHeaders: string[] }): void => {
    const startLine = `HTTP/${information.httpVersion} ${information.statusCode} ${information.statusMessage}`
    reading.messages.push({ startLine, fields: information.rawHeaders, body: '', complete: true })
  }
  outgoing.on('information', informed)
  outgoing.on('upgrade', (incoming) => {
    reading.messages.push({
      startLine: `HTTP/${incoming.httpVersion} ${incoming.statusCode} ${incoming.statusMessage}`,
      fields: incoming.rawHeaders,
      body: '',
      complete: true,
    })
  })
  outgoing.on('response', (incoming) => collect(incoming, `HTTP/${incoming.httpVersion} ${incoming.statusCode} ${incoming.statusMessage}`))
  outgoing.on('error', (error: NodeJS.ErrnoException) => {
    if (reading.outcome === 'end') reading.outcome = error.code ?? 'error'
  })
  outgoing.end()
  await turn()
  await feed(connection, pieces)
  outgoing.destroy()
  connection.destroy()
  await turn()
  return reading
}

// ---------------------------------------------------------------------------------------------------------------------------------------- comparison

/** What a front that trusts our reading of requests would be wrong about; undefined: nothing. */
export function compareRequests(ours: Reading, theirs: Reading): string | undefined {
  for (const [index, message] of ours.messages.entries()) {
    const [method = '', target = '', version = ''] = message.startLine.split(' ')
    // llhttp knows a fixed list of methods; what is refused above the codec it may refuse as well.
    if (!METHODS.includes(method) || method === 'CONNECT' || isRefusal(checkHead(method, target, version.slice(5), fieldsOf(message))))
      return undefined
    const difference = compareMessage(message, theirs.messages[index], theirs.outcome)
    if (difference !== undefined) return `request ${index + 1}: ${difference}`
  }
  return undefined
}

/** The same for responses. */
export function compareResponses(ours: Reading, theirs: Reading): string | undefined {
  for (const [index, message] of ours.messages.entries()) {
    // What follows a 101 is another protocol.
    if (message.startLine.startsWith('HTTP/1.1 101') || message.startLine.startsWith('HTTP/1.0 101')) return undefined
    const difference = compareMessage(message, theirs.messages[index], theirs.outcome)
    if (difference !== undefined) return `response ${index + 1}: ${difference}`
  }
  return undefined
}

function compareMessage(ours: Seen, theirs: Seen | undefined, outcome: string): string | undefined {
  // llhttp let the message before it close the connection (also by a trailer, also after an interim response): it read nothing, so it read nothing else.
  if (theirs === undefined && outcome === 'HPE_CLOSED_CONNECTION') return undefined
  if (theirs === undefined) return `accepted; llhttp: ${outcome}`
  if (ours.startLine !== theirs.startLine)
    return `start line ${JSON.stringify(ours.startLine)}; llhttp: ${JSON.stringify(theirs.startLine)}`
  if (JSON.stringify(ours.fields) !== JSON.stringify(theirs.fields))
    return `fields ${JSON.stringify(ours.fields)}; llhttp: ${JSON.stringify(theirs.fields)}`
  if (!ours.complete) return undefined
  if (!theirs.complete) return `complete; llhttp: ${outcome}`
  return ours.body === theirs.body ? undefined : `body ${JSON.stringify(ours.body)}; llhttp: ${JSON.stringify(theirs.body)}`
}

function fieldsOf(message: Seen): HeaderList {
  return HeaderList.fromRaw(message.fields)
}

/** The load's clients: connections that are kept, each for one request or, in HTTP/2, several at a time; and sockets that serve one exchange and misbehave. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectH2, constants, type IncomingHttpHeaders } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'undici'
import { webSocketOffer } from '../support/web-socket.ts'
import type { Answer, Break } from './verdict.ts'

/** Time for the whole of an answer; nothing that the load asks for takes a tenth of it. */
const PATIENCE_MS = 30_000
const PIECE_BYTES = 16_384

export interface Request {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | null
  /** Sent in pieces, without a length. */
  readonly chunked: boolean
}

export class BreakError extends Error {
  readonly detail: Break
  constructor(detail: Break) {
    super(detail.code)
    this.detail = detail
  }
}

/** Tokens that were let in on a connection, and when last. A connection is served by one worker, and a worker remembers. */
export type Memory = Map<string, number>

/** A place for one request at a time. */
export interface Place {
  /** Of the connection there is now; another object after each new connection. */
  readonly memory: Memory
  /** @throws {BreakError} */
  send(request: Request): Promise<Answer>
  close(): Promise<void>
}

function breakOf(error: unknown, headSeen: boolean): BreakError {
  const told = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  const code = /NGHTTP2_[A-Z_]+/.exec(String(error))?.[0] ?? told
  return new BreakError({ code, timedOut: /TIMEOUT/.test(code), headSeen })
}

function pieces(body: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(body.length / PIECE_BYTES) }, (_, index) =>
    body.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES),
  )
}

/** One HTTP/1.1 connection, opened anew when it was closed. */
export function h1Place(origin: string): Place {
  const client = new Client(origin, {
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: PATIENCE_MS,
    headersTimeout: PATIENCE_MS,
    bodyTimeout: PATIENCE_MS,
    connect: { rejectUnauthorized: false },
  })
  let memory: Memory = new Map()
  const forget = (): void => {
    memory = new Map()
  }
  client.on('connect', forget).on('disconnect', forget)
  return {
    get memory() {
      return memory
    },
    async send({ method, path, headers, body, chunked }) {
      let headSeen = false
      try {
        const sent = body !== null && chunked ? Readable.from(pieces(body)) : body
        const response = await client.request({ method, path, headers: { ...headers }, body: sent })
        headSeen = true
        const bytes = Buffer.from(await response.body.arrayBuffer())
        return { status: response.statusCode, headers: textHeaders(response.headers), body: bytes }
      } catch (error) {
        throw breakOf(error, headSeen)
      }
    },
    close: () => client.destroy(),
  }
}

/** Places that share one HTTP/2 connection, opened anew when it was closed or is about to be. */
export function h2Places(origin: string, count: number): Place[] {
  let session: ClientHttp2Session | null = null
  let memory: Memory = new Map()

  function current(): ClientHttp2Session {
    if (session !== null && !session.closed && !session.destroyed) return session
    const opened = connectH2(origin, { rejectUnauthorized: false })
    memory = new Map()
    // What ends a session ends its streams, and they tell.
    opened.on('error', () => undefined)
    opened.once('close', () => {
      if (session === opened) memory = new Map()
    })
    opened.once('goaway', () => opened.close())
    session = opened
    return opened
  }

  const place: Place = {
    get memory() {
      return memory
    },
    send: (request) => h2Exchange(current, request),
    async close() {
      if (session === null || session.destroyed) return
      const closed = once(session, 'close')
      session.destroy()
      await closed
    },
  }
  return Array.from({ length: count }, () => place)
}

/** How a refused stream ends: with an error, or without a word. */
const REFUSED = new Set(['NGHTTP2_REFUSED_STREAM', `H2_CLOSED_${constants.NGHTTP2_REFUSED_STREAM}`])

/** Sends a request, and again where it was refused because the connection was ending: that it was not looked at is certain (RFC 9113 section 8.7). */
async function h2Exchange(session: () => ClientHttp2Session, request: Request): Promise<Answer> {
  for (;;) {
    const used = session()
    try {
      return await h2Attempt(used, request)
    } catch (error) {
      if (!(used.closed && error instanceof BreakError && REFUSED.has(error.detail.code))) throw error
    }
  }
}

async function h2Attempt(session: ClientHttp2Session, { method, path, headers, body, chunked }: Request): Promise<Answer> {
  let headSeen = false
  try {
    const length = body === null || chunked ? {} : { 'content-length': String(body.length) }
    const stream = session.request({ ':method': method, ':path': path, ...length, ...headers }, { endStream: body === null })
    stream.setTimeout(PATIENCE_MS, () => stream.destroy(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })))
    const cut = once(stream, 'aborted').then(() => Promise.reject(Object.assign(new Error('aborted'), { code: 'ABORTED' })))
    cut.catch(() => undefined)
    // Listens from now on, however late its outcome is asked for.
    const closed = once(stream, 'close')
    closed.catch(() => undefined)
    if (body !== null && chunked) Readable.from(pieces(body)).pipe(stream)
    else if (body !== null) stream.end(body)
    // A stream that is closed before its head says nothing more.
    const responded = once(stream, 'response')
    responded.catch(() => undefined)
    const [head] = (await Promise.race([responded, closed.then(() => [])])) as [IncomingHttpHeaders?]
    if (head === undefined) throw Object.assign(new Error('closed'), { code: `H2_CLOSED_${stream.rstCode}` })
    headSeen = true
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    await Promise.race([closed, cut])
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw Object.assign(new Error('reset'), { code: `H2_RESET_${stream.rstCode}` })
    return { status: Number(head[':status']), headers: textHeaders(head), body: Buffer.concat(chunks) }
  } catch (error) {
    throw breakOf(error, headSeen)
  }
}

/** Opens a stream on a connection of its own and takes it back after a moment. */
export async function leaveH2(origin: string, { method, path, headers, body }: Request, afterMs: number): Promise<void> {
  const session = connectH2(origin, { rejectUnauthorized: false })
  session.on('error', () => undefined)
  const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === null })
  stream.on('error', () => undefined).resume()
  // Half of what a length would promise.
  if (body !== null) stream.write(body.subarray(0, body.length / 2))
  await delay(afterMs)
  stream.close(constants.NGHTTP2_CANCEL)
  session.destroy()
}

/** Sends a request, half of its body at most, and is gone after a moment. */
export async function leaveH1(port: number, request: Request, afterMs: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined).resume()
  socket.write(headOf(request))
  if (request.body !== null) socket.write(request.body.subarray(0, request.body.length / 2))
  await delay(afterMs)
  if (afterMs % 2 === 0) socket.resetAndDestroy()
  else socket.destroy()
}

const SLOW_PIECES = 8
const SLOW_PAUSE_MS = 60

/** A client that sends its head in pieces, and reads its answer in pieces. @throws {BreakError} */
export async function sendSlowly(port: number, request: Request): Promise<Answer> {
  const head = headOf({ ...request, headers: { ...request.headers, connection: 'close' } })
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const received = receive(socket, async () => {
    socket.pause()
    await delay(SLOW_PAUSE_MS / 4)
    socket.resume()
  })
  received.catch(() => undefined)
  const step = Math.ceil(head.length / SLOW_PIECES)
  for (let from = 0; from < head.length && !socket.destroyed; from += step) {
    socket.write(head.subarray(from, from + step))
    await delay(SLOW_PAUSE_MS)
  }
  return received
}

/** Reads one answer until the connection ends. @param onChunk may hold up what comes next */
async function receive(socket: Socket, onChunk: () => Promise<void>): Promise<Answer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    onChunk()
  })
  await ended(socket, () => chunks.length > 0)
  return whole(Buffer.concat(chunks))
}

async function ended(socket: Socket, headSeen: () => boolean): Promise<void> {
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })))
  try {
    await once(socket, 'close')
  } catch (error) {
    throw breakOf(error, headSeen())
  }
}

const SPOKEN_PIECES = 4
const SPOKEN_PAUSE_MS = 50

/** Goes on in WebSocket, says `spoken` in pieces and hears it again. @throws {BreakError} */
export async function speak(port: number, path: string, headers: Readonly<Record<string, string>>, spoken: Buffer): Promise<Answer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let received = Buffer.alloc(0)
  let headEnd = -1
  const complete = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (headEnd < 0) headEnd = received.indexOf('\r\n\r\n')
      if (headEnd >= 0 && received.length >= headEnd + 4 + spoken.length) resolve()
    })
  })
  const over = ended(socket, () => headEnd >= 0)
  over.catch(() => undefined)
  socket.write(webSocketOffer(path, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)))
  const step = Math.ceil(spoken.length / SPOKEN_PIECES)
  for (let from = 0; from < spoken.length && !socket.destroyed; from += step) {
    await delay(SPOKEN_PAUSE_MS)
    // Nobody speaks before the other side has agreed to listen.
    if (received.indexOf('HTTP/1.1 101') === 0) socket.write(spoken.subarray(from, from + step))
    else if (headEnd >= 0) break
    else from -= step
  }
  const refused = headEnd >= 0 && received.indexOf('HTTP/1.1 101') !== 0
  await (refused ? undefined : Promise.race([complete, over]))
  socket.destroy()
  const failure = await over.catch((error: unknown) => error)
  if (!refused && (headEnd < 0 || received.length < headEnd + 4 + spoken.length)) {
    throw failure instanceof BreakError ? failure : new BreakError({ code: 'CLOSED', timedOut: false, headSeen: headEnd >= 0 })
  }
  return whole(received)
}

function headOf({ method, path, headers, body }: Request): Buffer {
  const length = body === null ? [] : [`Content-Length: ${body.length}`]
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return Buffer.from([`${method} ${path} HTTP/1.1`, 'Host: api.test', ...length, ...lines, '', ''].join('\r\n'), 'latin1')
}

/** An answer whose end is that of its connection. @throws {BreakError} it is shorter than it says */
function whole(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) throw new BreakError({ code: 'CLOSED', timedOut: false, headSeen: bytes.length > 0 })
  const [line = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((text) => [text.slice(0, text.indexOf(':')).toLowerCase(), text.slice(text.indexOf(':') + 2)]),
  )
  const body = bytes.subarray(end + 4)
  if (body.length < Number(headers['content-length'] ?? 0)) throw new BreakError({ code: 'SHORT', timedOut: false, headSeen: true })
  return { status: Number(line.split(' ')[1]), headers, body }
}

function textHeaders(headers: Readonly<Record<string, string | string[] | number | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}

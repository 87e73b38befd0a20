/** HTTP/2 byte by byte (RFC 9113 section 4, RFC 7541): a client that may send what `node:http2` would refuse to. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { until } from './until.ts'

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

export const END_STREAM = 0x1
export const ACK = 0x1
export const END_HEADERS = 0x4

export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const

export type Frame = { readonly type: number; readonly flags: number; readonly stream: number; readonly payload: Buffer }

export type Lines = readonly (readonly [name: string, value: string])[]

/** A frame; the payload may be of any size that fits in 24 bits. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}

/** Pairs of a SETTINGS frame. */
export function settings(pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat(
    pairs.map(([id, value]) => {
      const bytes = Buffer.alloc(6)
      bytes.writeUInt16BE(id)
      bytes.writeUInt32BE(value, 2)
      return bytes
    }),
  )
}

/** Integer with a prefix of `bits` (RFC 7541 section 5.1). */
function integer(value: number, bits: number, first = 0): Buffer {
  const limit = 2 ** bits - 1
  if (value < limit) return Buffer.from([first | value])
  const bytes = [first | limit]
  let rest = value - limit
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

function text(value: string): Buffer {
  return Buffer.concat([integer(value.length, 7), Buffer.from(value, 'latin1')])
}

/** A header block of literals alone, never indexed unless `indexed` (RFC 7541 sections 6.2.1, 6.2.2). */
export function block(lines: Lines, indexed = false): Buffer {
  return Buffer.concat(lines.flatMap(([name, value]) => [Buffer.from([indexed ? 0x40 : 0]), text(name), text(value)]))
}

/** Lines of a good request, with those of `more` behind. */
export function requestLines(method: string, path: string, more: Lines = [], authority = 'api.test'): Lines {
  return [[':method', method], [':scheme', 'http'], [':authority', authority], [':path', path], ...more]
}

/** Status of a response whose head begins with `:status`, as every encoder begins it. */
export function statusOf(headerBlock: Buffer): number {
  let at = 0
  while (((headerBlock[at] as number) & 0xe0) === 0x20) at++
  const first = headerBlock[at] as number
  const known = { 136: 200, 137: 204, 138: 206, 139: 304, 140: 400, 141: 404, 142: 500 }[first]
  if (known !== undefined) return known
  const size = headerBlock[at + 1] as number
  const bytes = headerBlock.subarray(at + 2, at + 2 + (size & 0x7f))
  return Number((size & 0x80) === 0 ? bytes.toString('latin1') : digits(bytes))
}

/** Digits in the Huffman code of RFC 7541 appendix B: 0 to 2 take five bits, 3 to 9 six. */
function digits(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  let found = ''
  for (let at = 0; found.length < 3; ) {
    const five = Number.parseInt(bits.slice(at, at + 5), 2)
    if (five <= 2) found += five
    else found += Number.parseInt(bits.slice(at, at + 6), 2) - 0x19 + 3
    at += five <= 2 ? 5 : 6
  }
  return found
}

/** A connection on which a test decides every frame. */
export class H2Frames implements AsyncDisposable {
  readonly frames: Frame[] = []
  closed = false
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', () => {})
    socket.on('end', () => {
      this.closed = true
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  /** Connects and sends preface and SETTINGS. */
  static async open(port: number, pairs: readonly (readonly [number, number])[] = []): Promise<H2Frames> {
    const client = await H2Frames.connect(port)
    client.send(Buffer.from(PREFACE), frame(TYPE.SETTINGS, 0, 0, settings(pairs)))
    return client
  }

  /** Connects and sends nothing. */
  static async connect(port: number): Promise<H2Frames> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new H2Frames(socket)
  }

  send(...frames: Uint8Array[]): void {
    this.#socket.write(Buffer.concat(frames))
  }

  /** Stops reading, so that the other side meets a full window. */
  pause(): void {
    this.#socket.pause()
  }

  /** The other side has cut the connection: what we send is refused. */
  get cut(): boolean {
    return this.#socket.destroyed || this.closed
  }

  /** A request without a body, or the head of one whose body follows. */
  request(stream: number, lines: Lines, flags = END_STREAM | END_HEADERS): void {
    this.send(frame(TYPE.HEADERS, flags, stream, block(lines)))
  }

  #receive(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const size = this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < 9 + size) return
      const [type, flags] = [this.#rest.readUInt8(3), this.#rest.readUInt8(4)]
      this.frames.push({ type, flags, stream: this.#rest.readUInt32BE(5), payload: this.#rest.subarray(9, 9 + size) })
      this.#rest = this.#rest.subarray(9 + size)
      if (type === TYPE.SETTINGS && (flags & ACK) === 0) this.send(frame(TYPE.SETTINGS, ACK, 0))
    }
  }

  find(type: number, stream?: number): Frame | undefined {
    return this.frames.find((candidate) => candidate.type === type && (stream === undefined || candidate.stream === stream))
  }

  /** The first frame of this type, on this stream if one is named. */
  async received(type: number, stream?: number, withinMs = 10_000): Promise<Frame> {
    await until(() => this.find(type, stream) !== undefined || this.closed, `a frame of type ${type}`, withinMs)
    const found = this.find(type, stream)
    if (found === undefined) throw new Error('the connection was closed')
    return found
  }

  /** What became of a stream: the status of its answer, or the error that it was reset by, or the one that the connection ended by. */
  async outcome(stream: number, withinMs = 10_000): Promise<string> {
    const told = (): string | undefined => {
      const head = this.find(TYPE.HEADERS, stream)
      if (head !== undefined) return `status ${statusOf(head.payload)}`
      const reset = this.find(TYPE.RST_STREAM, stream)
      if (reset !== undefined) return `stream ${nameOf(reset.payload.readUInt32BE(0))}`
      const goaway = this.frames.find(({ type, payload }) => type === TYPE.GOAWAY && endsStream(payload, stream))
      if (goaway !== undefined) return `connection ${nameOf(goaway.payload.readUInt32BE(4))}`
      return this.closed ? 'closed' : undefined
    }
    await until(() => told() !== undefined, `an outcome of stream ${stream}`, withinMs)
    return told() as string
  }

  /** The error of the GOAWAY that the server sent; undefined if there was none. */
  get goaway(): string | undefined {
    const found = this.frames.findLast(({ type }) => type === TYPE.GOAWAY)
    return found && nameOf(found.payload.readUInt32BE(4))
  }

  async ended(withinMs = 10_000): Promise<void> {
    await until(() => this.closed, 'the end of the connection', withinMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    return Promise.resolve()
  }
}

/** Whether a GOAWAY is about this stream: it is no warning, and the stream is not among those that are still served. */
function endsStream(goaway: Buffer, stream: number): boolean {
  return goaway.readUInt32BE(4) !== 0 || goaway.readUInt32BE(0) < stream
}

function nameOf(code: number): string {
  return Object.entries(ERROR).find(([, value]) => value === code)?.[0] ?? String(code)
}

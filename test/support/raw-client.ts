import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls'
import { parseResponse, type RawResponse } from './raw-message.ts'
import { RawSocket } from './raw-socket.ts'

export { headerOf, headersOf, parseResponse, type RawResponse } from './raw-message.ts'

export type RawOptions = {
  /** Default 127.0.0.1. */
  host?: string
  /** For each wait, default 10 000. */
  timeoutMs?: number
  /** Speaks TLS; certificates are verified only where this says how. */
  tls?: ConnectionOptions
}

/** The other side did not do what was waited for; `received` is what it sent and nobody read. */
export class RawClientError extends Error {
  override readonly name = 'RawClientError'
  readonly received: Buffer
  constructor(message: string, received: Buffer) {
    super(`${message}; received ${JSON.stringify(received.toString('latin1').slice(0, 2000))}`)
    this.received = received
  }
}

/** A TCP connection on which a test decides every byte. It is never opened again by itself. */
export class RawConnection extends RawSocket implements AsyncDisposable {
  readonly #timeoutMs: number

  private constructor(socket: Socket, timeoutMs: number) {
    super(socket)
    this.#timeoutMs = timeoutMs
  }

  /** @throws the socket's error when the connection is refused, or its TLS handshake */
  static async open(port: number, { host = '127.0.0.1', timeoutMs = 10_000, tls }: RawOptions = {}): Promise<RawConnection> {
    const socket =
      tls === undefined
        ? connect({ port, host, noDelay: true })
        : connectTls({ port, host, rejectUnauthorized: tls.ca !== undefined, ...tls })
    await once(socket, tls === undefined ? 'connect' : 'secureConnect')
    return new RawConnection(socket, timeoutMs)
  }

  /** The TLS socket. @throws {TypeError} the connection is in clear */
  get tls(): TLSSocket {
    if (this.socket instanceof TLSSocket) return this.socket
    throw new TypeError('the connection does not speak TLS')
  }

  /** What has come and was not read. */
  get unread(): Buffer {
    return this.bytes
  }

  /** Sends bytes; a string is taken as Latin-1. */
  send(bytes: string | Uint8Array): void {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1')
    else this.socket.write(bytes)
  }

  /** Bytes that the system has taken. */
  get sent(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }

  /** Closes our direction. */
  end(): void {
    this.socket.end()
  }

  /** Closes at once. */
  destroy(): void {
    this.socket.destroy()
  }

  /**
   * The next response, interim ones (1xx) included.
   *
   * @param method of the request it answers; matters for HEAD
   * @throws {RawClientError} closed before it was complete, or not complete in time
   * @throws {MalformedMessageError}
   */
  async readResponse({ method = 'GET', timeoutMs = this.#timeoutMs } = {}): Promise<RawResponse> {
    const parsed = await this.#wait('a response', timeoutMs, () => parseResponse(this.bytes, { method, ended: this.ended }))
    this.bytes = parsed.rest
    return parsed.response
  }

  /** The next response that is not an interim one. */
  async readFinalResponse(options: { method?: string; timeoutMs?: number } = {}): Promise<RawResponse> {
    for (;;) {
      const response = await this.readResponse(options)
      if (response.status >= 200 || response.status === 101) return response
    }
  }

  /** Everything up to and including `marker`, or that many bytes. */
  async readUntil(marker: string | number, { timeoutMs = this.#timeoutMs } = {}): Promise<Buffer> {
    const end = await this.#wait(JSON.stringify(marker), timeoutMs, () => {
      if (typeof marker === 'number') return this.bytes.length >= marker ? marker : undefined
      const start = this.bytes.indexOf(marker, 0, 'latin1')
      return start === -1 ? undefined : start + marker.length
    })
    const bytes = this.bytes.subarray(0, end)
    this.bytes = this.bytes.subarray(end)
    return bytes
  }

  /**
   * Everything until the other side closes.
   *
   * @throws {RawClientError} still open after `timeoutMs`
   */
  async readUntilClose({ timeoutMs = this.#timeoutMs } = {}): Promise<Buffer> {
    await this.#wait('the end of the connection', timeoutMs, () => (this.ended ? true : undefined))
    const bytes = this.bytes
    this.bytes = Buffer.alloc(0)
    return bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy()
    await this.closed
  }

  #wait<Value>(what: string, timeoutMs: number, find: () => Value | undefined): Promise<Value> {
    const how = () => (this.errorCode === undefined ? 'closed' : `failed (${this.errorCode})`)
    return this.wait(
      find,
      () => new RawClientError(`the connection ${how()} before ${what} was complete`, this.bytes),
      () => new RawClientError(`no ${what} within ${timeoutMs} ms`, this.bytes),
      timeoutMs,
    )
  }
}

/**
 * Sends bytes on a new connection and returns the bytes that come back: until the other side closes (`untilClose`), else until the
 * first final response is complete; fewer when the other side closes before.
 *
 * @throws {RawClientError} nothing of the kind within `timeoutMs`
 */
export async function sendRaw(
  port: number,
  bytes: string | Uint8Array,
  options: RawOptions & { untilClose?: boolean } = {},
): Promise<Buffer> {
  await using connection = await RawConnection.open(port, options)
  connection.send(bytes)
  if (options.untilClose === true) return await connection.readUntilClose()
  const received: Buffer[] = []
  try {
    for (;;) {
      const response = await connection.readResponse()
      received.push(response.raw)
      if (response.status >= 200) return Buffer.concat(received)
    }
  } catch (error) {
    if (!(error instanceof RawClientError) || !connection.ended) throw error
    return Buffer.concat([...received, error.received])
  }
}

/**
 * Sends a head (its lines, without line ends) and a body exactly as given on a new connection, and reads the final response.
 *
 * @throws {RawClientError} | {MalformedMessageError}
 */
export async function exchange(
  port: number,
  headLines: string[],
  body: string | Uint8Array = '',
  options: RawOptions = {},
): Promise<RawResponse> {
  await using connection = await RawConnection.open(port, options)
  const head = Buffer.from(`${headLines.join('\r\n')}\r\n\r\n`, 'latin1')
  connection.send(Buffer.concat([head, typeof body === 'string' ? Buffer.from(body, 'latin1') : body]))
  return await connection.readFinalResponse({ method: headLines[0]?.split(' ')[0] ?? 'GET' })
}

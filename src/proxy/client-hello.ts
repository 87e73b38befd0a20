/**
 * The server name in the first message of a TLS client (RFC 8446 section 4.1.2, RFC 6066 section 3), read before TLS begins. Only the name is wanted: whether
 * the message is right otherwise is OpenSSL's business, which gets all of it.
 */

/** More bytes are needed. */
export const NEED_MORE_HELLO = Symbol('more of the ClientHello is to come')

/** A hello is a few hundred bytes, with post-quantum key shares about 2 KiB; what is longer than this gets the node's own certificate. */
const MAX_HELLO_BYTES = 32_768

const HANDSHAKE = 0x16
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RECORD_HEADER_BYTES = 5
const MESSAGE_HEADER_BYTES = 4
/** `legacy_version` and `random`. */
const FIXED_BYTES = 34

/** Finds the name in a message that comes in pieces. The work is proportional to the bytes, however they are cut into pieces and records. */
export class ClientHelloReader {
  #received = 0
  /** Header of the record that is being read. */
  readonly #header = Buffer.alloc(RECORD_HEADER_BYTES)
  #headerBytes = 0
  /** Bytes that the record still holds. */
  #left = 0
  readonly #fragments: Buffer[] = []
  #length = 0
  /** Length of the message, once its own header is there. */
  #end: number | null = null

  /**
   * @returns the name as sent; null when there is none, also in what is no ClientHello; then there is nothing more to feed
   */
  feed(chunk: Buffer): string | null | typeof NEED_MORE_HELLO {
    this.#received += chunk.length
    for (let at = 0; at < chunk.length; ) {
      if (this.#left === 0) {
        this.#header[this.#headerBytes++] = chunk[at++] ?? 0
        if (this.#header[0] !== HANDSHAKE) return null
        if (this.#headerBytes < RECORD_HEADER_BYTES) continue
        this.#headerBytes = 0
        this.#left = this.#header.readUInt16BE(3)
        continue
      }
      const fragment = chunk.subarray(at, at + this.#left)
      at += fragment.length
      this.#left -= fragment.length
      this.#length += fragment.length
      this.#fragments.push(fragment)
      const found = this.#look()
      if (found !== NEED_MORE_HELLO) return found
    }
    return this.#received > MAX_HELLO_BYTES ? null : NEED_MORE_HELLO
  }

  #look(): string | null | typeof NEED_MORE_HELLO {
    if (this.#length < MESSAGE_HEADER_BYTES) return NEED_MORE_HELLO
    if (this.#end === null) {
      const header = Buffer.concat(this.#fragments)
      this.#end = MESSAGE_HEADER_BYTES + header.readUIntBE(1, 3)
      if (header[0] !== CLIENT_HELLO || this.#end > MAX_HELLO_BYTES) return null
    }
    if (this.#length < this.#end) return NEED_MORE_HELLO
    return serverNameIn(new Reader(Buffer.concat(this.#fragments).subarray(MESSAGE_HEADER_BYTES, this.#end)))
  }
}

function serverNameIn(hello: Reader): string | null {
  hello.skip(FIXED_BYTES)
  hello.vector(1) // legacy_session_id
  hello.vector(2) // cipher_suites
  hello.vector(1) // legacy_compression_methods
  const extensions = new Reader(hello.vector(2))
  while (extensions.left > 0) {
    const type = extensions.number(2)
    const content = extensions.vector(2)
    if (type === SERVER_NAME) return firstHostName(new Reader(content))
  }
  return null
}

function firstHostName(extension: Reader): string | null {
  const names = new Reader(extension.vector(2))
  while (names.left > 0) {
    const type = names.number(1)
    const name = names.vector(2)
    if (type === HOST_NAME) return name.toString('latin1')
  }
  return null
}

/** Reads what is there; behind the end everything is empty and 0, so that a broken message simply holds no name. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  skip(count: number): void {
    this.#at = Math.min(this.#at + count, this.#bytes.length)
  }

  number(size: 1 | 2): number {
    const value = this.left < size ? 0 : this.#bytes.readUIntBE(this.#at, size)
    this.skip(size)
    return value
  }

  /** Bytes with their length, of that many bytes, in front. */
  vector(lengthSize: 1 | 2): Buffer {
    const start = this.#at + lengthSize
    this.skip(lengthSize + (this.left < lengthSize ? 0 : this.#bytes.readUIntBE(this.#at, lengthSize)))
    return this.#bytes.subarray(start, this.#at)
  }
}

/**
 * The chunked transfer coding (RFC 9112 section 7.1), one state per place in its grammar:
 *
 *   chunked-body = *( size [ extensions ] CRLF data CRLF )  "0" [ extensions ] CRLF  *( trailer CRLF )  CRLF
 *
 *   size ──> extensions ──> line end ──> data ──> data end ──> size …
 *                                └─(0)─> trailer … ──> end
 *
 * Strict where the RFC lets recipients be kind: CRLF alone ends a line, no white space around a size or in an extension, sizes are exact. Extensions and
 * trailers are checked and dropped. Data is handed out where it lies, without a copy.
 */
import { COLON, CR, LF, TOKEN, VALUE } from '../octets.ts'

/** {@link ChunkedDecoder.feed}: all bytes were taken, the body goes on. */
export const NEED_MORE = -1
/** {@link ChunkedDecoder.feed}: not the grammar, or beyond a limit. Nothing of this connection may be read any more. */
export const MALFORMED = -2

/** Where the data of a body goes. */
export interface ChunkSink {
  /** @param bytes a view of the buffer that was fed: copy what is kept beyond the call */
  data(bytes: Buffer): void
}

/** Digits of a size; with the check for exactness no number can overflow. */
const SIZE_DIGITS = 15
/** Bytes of all extensions of a body (RFC 9112 section 7.1.1 asks for a limit). */
const EXTENSION_BYTES = 16_384
/** Bytes of all trailers of a body. */
const TRAILER_BYTES = 16_384

const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Hexadecimal digit → value; 16 for all other bytes. */
const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase())
  return digit === -1 ? 16 : digit
})

/** Longest name that is looked for among trailers. */
const FRAMING_NAME_BYTES = 'transfer-encoding'.length

const SIZE = 0
const EXTENSION_START = 1
const EXTENSION_NAME = 2
const EXTENSION_VALUE_START = 3
const EXTENSION_TOKEN = 4
const EXTENSION_QUOTED = 5
const EXTENSION_ESCAPED = 6
const EXTENSION_QUOTE_END = 7
const SIZE_LF = 8
const DATA = 9
const DATA_CR = 10
const DATA_LF = 11
const TRAILER_START = 12
const TRAILER_NAME = 13
const TRAILER_VALUE = 14
const TRAILER_LF = 15
const END_LF = 16
const BROKEN = 17

/** Takes one body after the other apart: when a body has ended, the next call of `feed` begins a new one. */
export class ChunkedDecoder {
  #state = SIZE
  /** Of the chunk being read: its size, then what is still to come of it. */
  #left = 0
  #digits = 0
  #extensionBytes = 0
  #trailerBytes = 0
  #trailerName = ''

  /**
   * Takes the bytes from `start` to `end`. Costs O(end - start), however they are cut.
   *
   * @returns the index after the last byte of the body, or {@link NEED_MORE}, or {@link MALFORMED}; data before the malformed place was handed out
   */
  feed(buffer: Buffer, start: number, end: number, sink: ChunkSink): number {
    let at = start
    while (at < end) {
      if (this.#state === DATA) {
        const taken = Math.min(this.#left, end - at)
        this.#left -= taken
        if (this.#left === 0) this.#state = DATA_CR
        sink.data(buffer.subarray(at, at + taken))
        at += taken
        continue
      }
      const next = this.#step(buffer[at++] as number)
      if (next === BROKEN) {
        this.#state = BROKEN
        return MALFORMED
      }
      if (this.#state === END_LF && next === SIZE) {
        this.#state = SIZE
        this.#extensionBytes = 0
        this.#trailerBytes = 0
        return at
      }
      this.#state = next
    }
    return this.#state === BROKEN ? MALFORMED : NEED_MORE
  }

  /** The state after one byte that is no data. */
  #step(byte: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#size(byte)
      case SIZE_LF:
        return byte !== LF ? BROKEN : this.#left === 0 ? TRAILER_START : DATA
      case DATA_CR:
        return byte === CR ? DATA_LF : BROKEN
      case DATA_LF:
        return byte === LF ? SIZE : BROKEN
      case TRAILER_START:
      case TRAILER_NAME:
      case TRAILER_VALUE:
        return ++this.#trailerBytes > TRAILER_BYTES ? BROKEN : this.#trailer(byte)
      case TRAILER_LF:
        return byte === LF ? TRAILER_START : BROKEN
      case END_LF:
        return byte === LF ? SIZE : BROKEN
      case BROKEN:
        return BROKEN
      default:
        return byte === CR ? this.#extensionEnd() : ++this.#extensionBytes > EXTENSION_BYTES ? BROKEN : this.#extension(byte)
    }
  }

  /** `1*HEXDIG`, then an extension or the line's end. */
  #size(byte: number): number {
    const digit = HEX[byte] as number
    if (digit < 16) {
      if (++this.#digits > SIZE_DIGITS) return BROKEN
      this.#left = this.#left * 16 + digit
      return this.#left > Number.MAX_SAFE_INTEGER ? BROKEN : SIZE
    }
    if (this.#digits === 0) return BROKEN
    if (byte === CR) {
      this.#digits = 0
      return SIZE_LF
    }
    if (byte !== SEMICOLON) return BROKEN
    this.#digits = 0
    return ++this.#extensionBytes > EXTENSION_BYTES ? BROKEN : EXTENSION_START
  }

  /** `*( ";" token [ "=" ( token / quoted-string ) ] )` (RFC 9112 section 7.1.1), without white space. */
  #extension(byte: number): number {
    switch (this.#state) {
      case EXTENSION_START:
        return TOKEN[byte] === 1 ? EXTENSION_NAME : BROKEN
      case EXTENSION_NAME:
        if (byte === EQUALS) return EXTENSION_VALUE_START
        return TOKEN[byte] === 1 ? EXTENSION_NAME : byte === SEMICOLON ? EXTENSION_START : BROKEN
      case EXTENSION_VALUE_START:
        return byte === QUOTE ? EXTENSION_QUOTED : TOKEN[byte] === 1 ? EXTENSION_TOKEN : BROKEN
      case EXTENSION_TOKEN:
        return TOKEN[byte] === 1 ? EXTENSION_TOKEN : byte === SEMICOLON ? EXTENSION_START : BROKEN
      case EXTENSION_QUOTED:
        if (byte === QUOTE) return EXTENSION_QUOTE_END
        return byte === BACKSLASH ? EXTENSION_ESCAPED : VALUE[byte] === 1 ? EXTENSION_QUOTED : BROKEN
      case EXTENSION_ESCAPED:
        return VALUE[byte] === 1 ? EXTENSION_QUOTED : BROKEN
      default:
        return byte === SEMICOLON ? EXTENSION_START : BROKEN
    }
  }

  #extensionEnd(): number {
    return this.#state === EXTENSION_NAME || this.#state === EXTENSION_TOKEN || this.#state === EXTENSION_QUOTE_END ? SIZE_LF : BROKEN
  }

  /** `*( field-line CRLF ) CRLF` (RFC 9112 section 7.1.2). A trailer that names the framing would decide the length after the fact: refused. */
  #trailer(byte: number): number {
    if (this.#state === TRAILER_VALUE) return VALUE[byte] === 1 ? TRAILER_VALUE : byte === CR ? TRAILER_LF : BROKEN
    if (TOKEN[byte] === 1) {
      if (this.#state === TRAILER_START) this.#trailerName = ''
      if (this.#trailerName.length <= FRAMING_NAME_BYTES) this.#trailerName += String.fromCharCode(byte)
      return TRAILER_NAME
    }
    if (this.#state === TRAILER_START) return byte === CR ? END_LF : BROKEN
    if (byte !== COLON) return BROKEN
    const name = this.#trailerName.toLowerCase()
    return name === 'content-length' || name === 'transfer-encoding' ? BROKEN : TRAILER_VALUE
  }
}

/**
 * What stands before the data of a chunk; CRLF follows the data.
 *
 * @param size bytes, more than 0
 * @throws {TypeError} for 0, which would end the body, and for what is no size
 */
export function chunkHead(size: number): string {
  if (!Number.isSafeInteger(size) || size <= 0) throw new TypeError('a chunk has a size of at least one byte')
  return `${size.toString(16)}\r\n`
}

/** Ends a body, without trailers. */
export const LAST_CHUNK = '0\r\n\r\n'

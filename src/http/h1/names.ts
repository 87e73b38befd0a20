/**
 * Names of header fields and methods, found from their bytes without making a string: a name that is usual has one object for the life of the process.
 *
 * Two ways lead to it. The heads of one kind of client repeat their lines, so each name remembers which one followed it the last time: a guess, compared byte
 * by byte. Where the guess fails the name's hash leads to its slot, compared byte by byte again. Clients choose names: the table takes new ones until
 * it is full, and only names of the table are ever remembered as followers, so that memory is bounded.
 */
import { type FieldName, fieldName } from '../headers.ts'

/** A name as it was spelt. */
export interface KnownName extends FieldName {
  readonly bytes: Uint8Array
  /** Whether it is in the table. */
  readonly shared: boolean
  /** The name that followed it the last time. */
  next: KnownName | undefined
}

const SLOTS = 4096
/** Names that are learnt from clients. */
const LEARNT_MAX = 1024
/** Longer ones are not. */
const LEARNT_BYTES = 64
/** Slots that are tried for one name. */
const PROBES = 4

/** Start of a hash; each byte is added by {@link hashStep}. */
export const HASH_START = 0

/** Adds a byte to the hash of a name. */
export function hashStep(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0
}

export class NameTable {
  /** Stands before the first name of a head. */
  readonly root: KnownName = known('', new Uint8Array(0), true)
  readonly #slots: (KnownName | undefined)[] = new Array(SLOTS).fill(undefined)
  #learnt = 0

  constructor(usual: readonly string[]) {
    for (const name of usual) {
      const bytes = Buffer.from(name, 'latin1')
      let hash = HASH_START
      for (const byte of bytes) hash = hashStep(hash, byte)
      this.#find(bytes, 0, bytes.length, hash, name)
    }
    this.#learnt = 0
  }

  /** The name that stands in `buffer` from `start` to `end` and has this hash. */
  find(buffer: Buffer, start: number, end: number, hash: number): KnownName {
    return this.#find(buffer, start, end, hash, undefined)
  }

  #find(buffer: Buffer, start: number, end: number, hash: number, spelt: string | undefined): KnownName {
    const first = (hash ^ (hash >>> 15)) & (SLOTS - 1)
    let place = first
    for (let slot = this.#slots[place]; slot !== undefined; slot = this.#slots[place]) {
      if (slot.bytes.length === end - start && standsAt(slot, buffer, start)) return slot
      place = (place + 1) & (SLOTS - 1)
      if (place === first + PROBES) return this.#make(buffer, start, end, spelt, -1)
    }
    return this.#make(buffer, start, end, spelt, place)
  }

  #make(buffer: Buffer, start: number, end: number, spelt: string | undefined, place: number): KnownName {
    const shared = place !== -1 && end - start <= LEARNT_BYTES && this.#learnt < LEARNT_MAX
    // Copies of the bytes: a slice of the head would keep the whole head, and what is secret in it, alive.
    const made = known(spelt ?? buffer.toString('latin1', start, end), new Uint8Array(buffer.subarray(start, end)), shared)
    if (shared) {
      this.#slots[place] = made
      this.#learnt++
    }
    return made
  }
}

/** Whether the bytes of `name` stand in `buffer` at `start`. */
export function standsAt(name: KnownName, buffer: Buffer, start: number): boolean {
  const { bytes } = name
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== buffer[start + i]) return false
  return true
}

function known(spelt: string, bytes: Uint8Array, shared: boolean): KnownName {
  const { name, lower, lineStart, token, framing, marks, bit } = fieldName(spelt)
  return { name, lower, lineStart, token, framing, marks, bit, bytes, shared, next: undefined }
}

const FIELDS = [
  ...['Accept', 'Accept-Charset', 'Accept-Encoding', 'Accept-Language', 'Accept-Ranges', 'Age', 'Allow', 'Alt-Svc', 'Authorization'],
  ...['Cache-Control', 'Connection', 'Content-Disposition', 'Content-Encoding', 'Content-Language', 'Content-Length', 'Content-Location'],
  ...[
    'Content-Range',
    'Content-Security-Policy',
    'Content-Type',
    'Cookie',
    'DNT',
    'DPoP',
    'Date',
    'ETag',
    'Expect',
    'Expires',
    'Forwarded',
    'Host',
  ],
  ...[
    'If-Match',
    'If-Modified-Since',
    'If-None-Match',
    'If-Range',
    'If-Unmodified-Since',
    'Keep-Alive',
    'Last-Modified',
    'Link',
    'Location',
    'Origin',
  ],
  ...['Pragma', 'Priority', 'Proxy-Authorization', 'Range', 'Referer', 'Referrer-Policy', 'Retry-After', 'Sec-CH-UA', 'Sec-CH-UA-Mobile'],
  ...[
    'Sec-CH-UA-Platform',
    'Sec-Fetch-Dest',
    'Sec-Fetch-Mode',
    'Sec-Fetch-Site',
    'Sec-Fetch-User',
    'Server',
    'Set-Cookie',
    'Strict-Transport-Security',
  ],
  ...['TE', 'Trailer', 'Transfer-Encoding', 'Upgrade', 'Upgrade-Insecure-Requests', 'User-Agent', 'Vary', 'Via', 'WWW-Authenticate'],
  ...['Access-Control-Allow-Credentials', 'Access-Control-Allow-Headers', 'Access-Control-Allow-Methods', 'Access-Control-Allow-Origin'],
  ...['Access-Control-Expose-Headers', 'Access-Control-Max-Age', 'Access-Control-Request-Headers', 'Access-Control-Request-Method'],
  ...[
    'X-Content-Type-Options',
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Port',
    'X-Forwarded-Proto',
    'X-Frame-Options',
    'X-Powered-By',
  ],
  ...['X-Real-IP', 'X-Request-ID', 'X-Requested-With', 'traceparent', 'tracestate'],
]

const SPELT = [...FIELDS, ...FIELDS.map((name) => name.toLowerCase())]

/** Names of header fields in requests. */
export const requestFields = new NameTable(SPELT)

/** Names of header fields in responses. */
export const responseFields = new NameTable(SPELT)

/** Methods (RFC 9110 section 9, RFC 5789). */
export const methodNames = new NameTable(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT'])

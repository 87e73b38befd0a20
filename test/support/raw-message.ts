/**
 * A strict reader of HTTP/1.1 messages (RFC 9112) for tests: it accepts what a sender may send and nothing that a lenient reader would
 * repair (bare LF, folded lines, spaces before a colon, two ways to tell the length), so that a gateway's output is held to the letter.
 */

export type Headers = [name: string, value: string][]

/** A head without its first line's meaning; `end` is the offset behind the empty line. */
type Head = { line: string; headers: Headers; end: number }

/** A body; `end` is the offset behind it. */
type Body = { body: Buffer; trailers: Headers; end: number }

export type RawRequest = { line: string; headers: Headers; body: Buffer; trailers: Headers; raw: Buffer }
export type RawResponse = { status: number; reason: string; headers: Headers; body: Buffer; trailers: Headers; raw: Buffer }

/** The bytes are not a message as RFC 9112 wants it. */
export class MalformedMessageError extends Error {
  override readonly name = 'MalformedMessageError'
}

const STATUS_LINE = /^HTTP\/1\.[01] ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)$/
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/
const CHUNK_LINE = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/
const CRLF = Buffer.from('\r\n')

/** The first value of a field, whatever the case of its name. */
export function headerOf({ headers }: { headers: Headers }, name: string): string | undefined {
  return headersOf({ headers }, name)[0]
}

/** All values of a field, in order. */
export function headersOf({ headers }: { headers: Headers }, name: string): string[] {
  return headers.filter(([candidate]) => candidate.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
}

/** A line without its CRLF, and the offset behind it; undefined when the CRLF has not come yet. */
function lineAt(bytes: Buffer, start: number): { line: string; end: number } | undefined {
  const end = bytes.indexOf(CRLF, start)
  const line = bytes.toString('latin1', start, end === -1 ? bytes.length : end)
  const stray = end === -1 ? line.replace(/\r$/, '') : line
  if (/[\r\n]/.test(stray)) throw new MalformedMessageError(`bare CR or LF in ${JSON.stringify(line)}`)
  return end === -1 ? undefined : { line, end: end + CRLF.length }
}

/** Field lines up to the empty line. */
function fieldsAt(bytes: Buffer, start: number): { headers: Headers; end: number } | undefined {
  const headers: Headers = []
  let offset = start
  for (;;) {
    const next = lineAt(bytes, offset)
    if (next === undefined) return undefined
    offset = next.end
    if (next.line === '') return { headers, end: offset }
    const [, name, value] = FIELD_LINE.exec(next.line) ?? []
    if (name === undefined || value === undefined) throw new MalformedMessageError(`field line ${JSON.stringify(next.line)}`)
    headers.push([name, value.replace(/[ \t]+$/, '')])
  }
}

function headAt(bytes: Buffer): Head | undefined {
  const first = lineAt(bytes, 0)
  const fields = first && fieldsAt(bytes, first.end)
  return first && fields && { line: first.line, ...fields }
}

/** RFC 9112 section 7.1. */
function chunkedAt(bytes: Buffer, start: number): Body | undefined {
  const chunks: Buffer[] = []
  let offset = start
  for (;;) {
    const sizeLine = lineAt(bytes, offset)
    if (sizeLine === undefined) return undefined
    const [, digits] = CHUNK_LINE.exec(sizeLine.line) ?? []
    if (digits === undefined) throw new MalformedMessageError(`chunk size ${JSON.stringify(sizeLine.line)}`)
    const size = Number.parseInt(digits, 16)
    if (size === 0) {
      const trailers = fieldsAt(bytes, sizeLine.end)
      return trailers && { body: Buffer.concat(chunks), trailers: trailers.headers, end: trailers.end }
    }
    const end = sizeLine.end + size
    if (bytes.length < end + CRLF.length) return undefined
    if (bytes[end] !== 13 || bytes[end + 1] !== 10) throw new MalformedMessageError('chunk data without CRLF behind it')
    chunks.push(bytes.subarray(sizeLine.end, end))
    offset = end + CRLF.length
  }
}

/** How the body ends, by its header fields (RFC 9112 section 6.3). */
function framingOf(headers: Headers): 'chunked' | number | undefined {
  const codings = headersOf({ headers }, 'transfer-encoding')
  const lengths = headersOf({ headers }, 'content-length')
  if (codings.length > 0 && lengths.length > 0) throw new MalformedMessageError('both Transfer-Encoding and Content-Length')
  if (codings.length > 1 || lengths.length > 1) throw new MalformedMessageError('a repeated Transfer-Encoding or Content-Length')
  const [coding] = codings
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new MalformedMessageError(`Transfer-Encoding: ${coding}`)
    return 'chunked'
  }
  const [length] = lengths
  if (length === undefined) return undefined
  if (!/^[0-9]{1,15}$/.test(length)) throw new MalformedMessageError(`Content-Length: ${length}`)
  return Number(length)
}

function bodyAt(bytes: Buffer, start: number, framing: 'chunked' | number): Body | undefined {
  if (framing === 'chunked') return chunkedAt(bytes, start)
  const end = start + framing
  return bytes.length < end ? undefined : { body: bytes.subarray(start, end), trailers: [], end }
}

/**
 * The first response in `bytes`, and what follows it; undefined while it is not complete.
 *
 * @param method of the request: an answer to HEAD has no body
 * @param ended  whether the connection is closed, which ends a body of unknown length
 * @throws {MalformedMessageError}
 */
export function parseResponse(bytes: Buffer, { method = 'GET', ended = false } = {}): { response: RawResponse; rest: Buffer } | undefined {
  const head = headAt(bytes)
  if (head === undefined) return undefined
  const [, digits, reason] = STATUS_LINE.exec(head.line) ?? []
  if (digits === undefined || reason === undefined) throw new MalformedMessageError(`status line ${JSON.stringify(head.line)}`)
  const status = Number(digits)
  const framing = framingOf(head.headers)
  const bodiless = status < 200 || status === 204
  if (bodiless && framing !== undefined) throw new MalformedMessageError(`a ${status} answer that announces a body`)
  const nothing: Body = { body: Buffer.alloc(0), trailers: [], end: head.end }
  const untilClose: Body | undefined = ended ? { body: bytes.subarray(head.end), trailers: [], end: bytes.length } : undefined
  const body =
    bodiless || status === 304 || method === 'HEAD' ? nothing : framing === undefined ? untilClose : bodyAt(bytes, head.end, framing)
  if (body === undefined) return undefined
  const response = { status, reason, headers: head.headers, body: body.body, trailers: body.trailers, raw: bytes.subarray(0, body.end) }
  return { response, rest: bytes.subarray(body.end) }
}

/**
 * The first request in `bytes`, and what follows it; undefined while it is not complete.
 *
 * @throws {MalformedMessageError}
 */
export function parseRequest(bytes: Buffer): { request: RawRequest; rest: Buffer } | undefined {
  const head = headAt(bytes)
  if (head === undefined) return undefined
  const body = bodyAt(bytes, head.end, framingOf(head.headers) ?? 0)
  if (body === undefined) return undefined
  const request = { line: head.line, headers: head.headers, body: body.body, trailers: body.trailers, raw: bytes.subarray(0, body.end) }
  return { request, rest: bytes.subarray(body.end) }
}

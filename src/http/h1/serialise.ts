/**
 * Heads as text for the wire, to be written with 'latin1' in one piece with what follows. Framing is written from the decision about the message's length,
 * never copied; lines that were parsed are known to be clean, all others are checked, so that no name or value can end its line (RFC 9110 section 5.5,
 * RFC 9112 section 11.1). What is not clean is refused: there is nothing to repair.
 */
import { STATUS_CODES } from 'node:http'
import { asBuffer } from '../../util/bytes.ts'
import { type ErrorSource, GatewayError } from '../../util/errors.ts'
import type { HeaderList } from '../headers.ts'
import { consistsOf, METHOD, TARGET, TOKEN, VALUE } from '../octets.ts'
import type { MessageLength } from './message-length.ts'

/** A head that must not be written: a plugin, template or redirect put bytes into it that would split the message. The bytes are not in the text. */
export class UnsafeHeadError extends GatewayError {
  readonly code = 'GW_UNSAFE_HEAD'
  readonly source: ErrorSource = 'internal'
  readonly status = 500
}

/** Usual phrase of a status; '' for one that has none (RFC 9112 section 4 permits it). */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? ''
}

/** Status → status line with the usual phrase. */
const STATUS_LINES: readonly string[] = Array.from({ length: 600 }, (_, status) => `HTTP/1.1 ${status} ${reasonPhrase(status)}`)

/**
 * The head of an HTTP/1.1 request, blank line included. Lines of `headers` that tell a length are left out; `length` is written.
 *
 * @param target byte string
 * @throws {UnsafeHeadError} bytes that may not stand in a head
 * @throws {TypeError} a length that a request cannot have
 */
export function requestText(method: string, target: string, headers: HeaderList, length: MessageLength): string {
  if (length.kind === 'until-close') throw new TypeError('the end of a request cannot be the end of the connection')
  if (method === '' || !consistsOf(METHOD, method)) throw new UnsafeHeadError('the method is not one that can be written')
  if (target === '' || !consistsOf(TARGET, target))
    throw new UnsafeHeadError('the request-target holds a control, a space or a byte beyond ASCII')
  return `${fieldsText(`${method} ${target} HTTP/1.1`, headers, false) + framingText(length)}\r\n\r\n`
}

/**
 * The head of an HTTP/1.1 response, blank line included. Lines of `headers` that tell a length are left out and `length` is written; only where no body
 * follows by definition (HEAD, 304) a Content-Length stays, as it tells of another message (RFC 9110 section 8.6).
 *
 * @param reason undefined for the usual phrase
 * @throws {UnsafeHeadError} bytes that may not stand in a head, or a status that is none
 */
export function responseText(status: number, reason: string | undefined, headers: HeaderList, length: MessageLength): string {
  const usual = status >= 100 ? STATUS_LINES[status] : undefined
  if (usual === undefined) throw new UnsafeHeadError('the status is not one of HTTP')
  const line = reason === undefined ? usual : `HTTP/1.1 ${status} ${checkedReason(reason)}`
  // A Content-Length may not stand in a 1xx or 204 (RFC 9110 section 8.6).
  const keepLength = length.kind === 'none' && status !== 204 && status >= 200
  return `${fieldsText(line, headers, keepLength) + framingText(length)}\r\n\r\n`
}

/** Up to this size, bytes cost less as a part of the text than a buffer for both does. */
const SHORT_BYTES = 1024

/** Text (latin1), the bytes of a body, and text again in one piece: one write to the socket. The bytes are copied. */
export function joined(before: string, bytes: Uint8Array, after: string): Buffer | string {
  if (bytes.length <= SHORT_BYTES) return before + asBuffer(bytes).toString('latin1') + after
  const piece = Buffer.allocUnsafe(before.length + bytes.length + after.length)
  piece.write(before, 0, 'latin1')
  piece.set(bytes, before.length)
  if (after !== '') piece.write(after, before.length + bytes.length, 'latin1')
  return piece
}

function checkedReason(reason: string): string {
  if (!consistsOf(VALUE, reason)) throw new UnsafeHeadError('the reason phrase holds a control character')
  return reason
}

function framingText(length: MessageLength): string {
  switch (length.kind) {
    case 'length':
      return `\r\nContent-Length: ${length.bytes}`
    case 'chunked':
      return '\r\nTransfer-Encoding: chunked'
    default:
      return ''
  }
}

/** @param start the start line, without its end */
function fieldsText(start: string, headers: HeaderList, keepLength: boolean): string {
  const unsafe = headers.unsafeName()
  if (unsafe !== undefined) throw unsafeField(unsafe)
  return headers.text(start, keepLength)
}

/** Names the field where its name is one, for the log. */
function unsafeField(name: string): UnsafeHeadError {
  if (name === '' || !consistsOf(TOKEN, name)) return new UnsafeHeadError('the name of a header field is no token')
  return new UnsafeHeadError(`the value of the header field ${name} holds a control character, or one that is no byte`)
}

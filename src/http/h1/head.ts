/**
 * Heads of HTTP/1.1 messages: bytes in, one object out.
 *
 *   bytes arrive ──> endsInBlankLine ─ yes ──────────────> parseRequestHead | parseResponseHead ──> head, or Violation
 *                      └─ no ──> findHeadEnd ── index ──────┘
 *                                    └── -1 ──> partialRequestViolation | partialResponseViolation ──> Violation, or wait for more
 *
 * What is accepted is a strict subset of RFC 9112: CRLF ends a line and nothing else does; no folding, no space before a colon, no control character but HTAB
 * in a value, names are tokens, single spaces in the start line. All else is a {@link Violation}; nothing is repaired, and no input throws.
 *
 * Values are slices of one string that holds the head: whoever keeps one for longer than the exchange keeps the whole head alive, so store a digest or a copy.
 * Host, the form of the target and the methods that a gateway serves are judged by those above.
 */
import { HeaderList } from '../headers.ts'
import { COLON, CR, HTAB, LF, METHOD, SP, TARGET, TOKEN, VALUE } from '../octets.ts'
import { type MessageLength, requestLength, responseLength } from './message-length.ts'
import { HASH_START, hashStep, type KnownName, methodNames, type NameTable, requestFields, responseFields, standsAt } from './names.ts'
import { BAD_REQUEST, FRAMING, HEAD_TOO_LARGE, isViolation, LINE_TOO_LONG, TARGET_TOO_LONG, VERSION, type Violation } from './violation.ts'

export interface HeadLimits {
  /** Bytes of the request line and of each header line, line end included. */
  readonly lineBytes: number
  /** Bytes of the whole head, blank line included. */
  readonly headBytes: number
  /** Number of header lines. */
  readonly lines: number
}

export interface RequestHead {
  readonly method: string
  /** Request-target as received: visible ASCII, not empty. */
  readonly target: string
  /** Of the version HTTP/1.x. */
  readonly minor: 0 | 1
  readonly headers: HeaderList
  readonly length: MessageLength
  /** Index just after the blank line: where the body begins. */
  readonly end: number
}

export interface ResponseHead {
  /** 100 to 599. */
  readonly status: number
  /** May be empty. */
  readonly reason: string
  readonly minor: 0 | 1
  readonly headers: HeaderList
  readonly length: MessageLength
  /** Index just after the blank line: where the body begins. */
  readonly end: number
}

/** Longest method. */
const METHOD_BYTES = 32
/** `HTTP/1.`, as every start line has it. */
const HTTP_1 = Buffer.from('HTTP/1.', 'latin1')
const HEAD_END = Buffer.from('\r\n\r\n', 'latin1')
const SLASH = 0x2f
const DOT = 0x2e
const ZERO = 0x30
const ONE = 0x31
const FIVE = 0x35
const NINE = 0x39

/**
 * Index just after the blank line that ends the head that begins at `start`; -1 if it is not there yet.
 *
 * @param from where the last search stopped: the end of what the buffer held then, or `start`. So slow arrival costs O(n) in total.
 */
export function findHeadEnd(buffer: Buffer, start: number, from: number): number {
  const at = buffer.indexOf(HEAD_END, Math.max(start, from - 3))
  return at === -1 ? -1 : at + 4
}

/**
 * Whether what the buffer holds ends in a blank line. Then at least one head is complete, and the parsers find its end by themselves: the usual case, a message
 * without body in one piece, costs no search.
 */
export function endsInBlankLine(buffer: Buffer, start: number): boolean {
  const { length } = buffer
  return (
    length - start >= 4 && buffer[length - 1] === LF && buffer[length - 2] === CR && buffer[length - 3] === LF && buffer[length - 4] === CR
  )
}

/**
 * What can be said already of a request head that has not ended. Without it a client that never sends CR LF CR LF (a bare LF, a TLS hello) would be answered
 * by the deadline only. Call it after {@link findHeadEnd} said -1, with the same `from`; costs O(n) in total.
 */
export function partialRequestViolation(buffer: Buffer, start: number, from: number, limits: HeadLimits): Violation | undefined {
  const line = skipEmptyLine(buffer, start)
  let at = line
  while (at < buffer.length && at - line <= METHOD_BYTES && METHOD[buffer[at] as number] === 1) at++
  if (at < buffer.length && !(buffer[at] === SP && at > line) && !(buffer[at] === CR && at === start)) return BAD_REQUEST
  // The request line passes its limit with these bytes: has it ended? (Asked once per head.)
  if (from - line <= limits.lineBytes && buffer.length - line > limits.lineBytes) {
    const end = buffer.indexOf(LF, line)
    if (end === -1 || end >= line + limits.lineBytes) return TARGET_TOO_LONG
  }
  return partialViolation(buffer, start, from, limits)
}

/** The same for the head of a response. */
export function partialResponseViolation(buffer: Buffer, start: number, from: number, limits: HeadLimits): Violation | undefined {
  for (let i = 0; i < HTTP_1.length && start + i < buffer.length; i++) if (buffer[start + i] !== HTTP_1[i]) return BAD_REQUEST
  return partialViolation(buffer, start, from, limits)
}

/** Controls and half line ends among the bytes that are new, and the size. */
function partialViolation(buffer: Buffer, start: number, from: number, limits: HeadLimits): Violation | undefined {
  for (let i = Math.max(start, from); i < buffer.length; i++) {
    const byte = buffer[i] as number
    const afterCr = i > start && buffer[i - 1] === CR
    if (byte === LF ? !afterCr : afterCr || (VALUE[byte] !== 1 && byte !== CR)) return BAD_REQUEST
  }
  return buffer.length - start > limits.headBytes ? HEAD_TOO_LARGE : undefined
}

/**
 * Parses the head of a request. One empty line before it is ignored (RFC 9112 section 2.2); a connection that holds nothing but that line is idle.
 *
 * @param end as {@link findHeadEnd} gave it, or the end of a buffer that {@link endsInBlankLine}
 */
export function parseRequestHead(buffer: Buffer, start: number, end: number, limits: HeadLimits): RequestHead | Violation {
  const line = skipEmptyLine(buffer, start)
  // 1. method SP
  let at = line
  let hash = HASH_START
  for (let byte = buffer[at] as number; METHOD[byte] === 1; byte = buffer[++at] as number) hash = hashStep(hash, byte)
  if (buffer[at] !== SP || at === line || at - line > METHOD_BYTES) return BAD_REQUEST
  const method = methodNames.find(buffer, line, at, hash).name
  // 2. request-target SP
  const target = ++at
  while (TARGET[buffer[at] as number] === 1) at++
  if (at - line >= limits.lineBytes) return TARGET_TOO_LONG
  if (buffer[at] !== SP || at === target) return BAD_REQUEST
  const targetEnd = at
  // 3. HTTP-version CR LF
  const minor = minorAt(buffer, ++at)
  if (minor !== 0 && minor !== 1) return minor
  at += 8
  if (buffer[at] !== CR || buffer[at + 1] !== LF) return BAD_REQUEST
  at += 2
  if (at - line > limits.lineBytes) return TARGET_TOO_LONG
  // 4. Header lines, up to the blank line.
  const last = boundedEnd(buffer, start, end, limits)
  if (last === -1) return HEAD_TOO_LARGE
  const text = buffer.toString('latin1', line, last)
  const headers = new HeaderList()
  const bodyStart = parseFields(buffer, text, line, at, last, requestFields, headers, limits)
  if (typeof bodyStart !== 'number') return bodyStart
  // 5. The length of the body.
  const length = requestLength(minor, headers)
  if (isViolation(length)) return length
  return { method, target: text.slice(target - line, targetEnd - line), minor, headers, length, end: bodyStart }
}

/**
 * Parses the head of a response.
 *
 * @param end           as for {@link parseRequestHead}
 * @param requestMethod of the request that it answers: HEAD has no body
 */
export function parseResponseHead(
  buffer: Buffer,
  start: number,
  end: number,
  requestMethod: string,
  limits: HeadLimits,
): ResponseHead | Violation {
  // 1. HTTP-version SP
  let at = start
  const minor = minorAt(buffer, at)
  if (minor !== 0 && minor !== 1) return minor
  at += 8
  if (buffer[at] !== SP) return BAD_REQUEST
  // 2. status-code: three digits, 1xx to 5xx (RFC 9110 section 15)
  const first = buffer[at + 1] as number
  const second = buffer[at + 2] as number
  const third = buffer[at + 3] as number
  if (first < ONE || first > FIVE || !isDigit(second) || !isDigit(third)) return BAD_REQUEST
  const status = (first - ZERO) * 100 + (second - ZERO) * 10 + (third - ZERO)
  at += 4
  // 3. SP [ reason-phrase ] CR LF. Some servers leave out the space before an empty reason: harmless, as the line is built anew.
  if (buffer[at] === SP) at++
  else if (buffer[at] !== CR) return BAD_REQUEST
  const reason = at
  while (VALUE[buffer[at] as number] === 1) at++
  if (buffer[at] !== CR || buffer[at + 1] !== LF) return BAD_REQUEST
  const reasonEnd = at
  at += 2
  // 4. Header lines, up to the blank line.
  if (at - start > limits.lineBytes) return LINE_TOO_LONG
  const last = boundedEnd(buffer, start, end, limits)
  if (last === -1) return HEAD_TOO_LARGE
  const text = buffer.toString('latin1', start, last)
  const headers = new HeaderList()
  const bodyStart = parseFields(buffer, text, start, at, last, responseFields, headers, limits)
  if (typeof bodyStart !== 'number') return bodyStart
  // 5. The length of the body.
  const length = responseLength(status, minor, requestMethod, headers)
  if (isViolation(length)) return length
  return { status, reason: text.slice(reason - start, reasonEnd - start), minor, headers, length, end: bodyStart }
}

/**
 * Header lines from `at` on: `field-name ":" OWS field-value OWS CR LF` (RFC 9112 section 5), then the blank line.
 *
 * @param text the head as a string, whose first character is the byte at `base`
 * @returns index just after the blank line
 */
function parseFields(
  buffer: Buffer,
  text: string,
  base: number,
  at: number,
  end: number,
  names: NameTable,
  headers: HeaderList,
  limits: HeadLimits,
): number | Violation {
  let lines = 0
  let name = names.root
  while (at < end && buffer[at] !== CR) {
    if (++lines > limits.lines) return HEAD_TOO_LARGE
    const line = at
    // 1. The name: a token with the colon right behind it (section 5.1). A folded line begins with white space, which is none (section 5.2).
    const guess: KnownName | undefined = name.next
    let byte: number
    if (guess !== undefined && buffer[at + guess.bytes.length] === COLON && standsAt(guess, buffer, at)) {
      name = guess
      at += name.bytes.length
    } else {
      let hash = HASH_START
      for (byte = buffer[at] as number; TOKEN[byte] === 1; byte = buffer[++at] as number) hash = hashStep(hash, byte)
      if (byte !== COLON || at === line) return BAD_REQUEST
      const found = names.find(buffer, line, at, hash)
      if (found.shared) name.next = found
      name = found
    }
    // 2. White space around the value is no part of it.
    do byte = buffer[++at] as number
    while (byte === SP || byte === HTAB)
    const value = at
    // 3. The value, without controls (RFC 9110 section 5.5).
    while (VALUE[byte] === 1) byte = buffer[++at] as number
    if (byte !== CR || buffer[at + 1] !== LF) return BAD_REQUEST
    let valueEnd = at
    for (; valueEnd > value; valueEnd--) {
      const last = buffer[valueEnd - 1]
      if (last !== SP && last !== HTAB) break
    }
    // 4. Some readers take a tab around `chunked` for a part of it, and so for another coding: nobody sends one in good faith.
    if (name.framing && holdsTab(buffer, line, at)) return FRAMING
    at += 2
    if (at - line > limits.lineBytes) return LINE_TOO_LONG
    headers.addParsed(name, text.slice(value - base, valueEnd - base))
  }
  return at + 2 <= end && buffer[at + 1] === LF ? at + 2 : BAD_REQUEST
}

function holdsTab(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] === HTAB) return true
  return false
}

/** An end of the head that is within its limit; -1 where the head is not. */
function boundedEnd(buffer: Buffer, start: number, end: number, limits: HeadLimits): number {
  if (end - start <= limits.headBytes) return end
  const found = findHeadEnd(buffer, start, start)
  return found !== -1 && found - start <= limits.headBytes ? found : -1
}

/** `HTTP/1.0` or `HTTP/1.1` at `at`. Other versions are told apart from what is none. */
function minorAt(buffer: Buffer, at: number): 0 | 1 | Violation {
  const minor = buffer[at + 7] as number
  for (let i = 0; i < HTTP_1.length; i++) if (buffer[at + i] !== HTTP_1[i]) return otherVersion(buffer, at)
  return minor === ONE ? 1 : minor === ZERO ? 0 : otherVersion(buffer, at)
}

function otherVersion(buffer: Buffer, at: number): Violation {
  for (let i = 0; i < 4; i++) if (buffer[at + i] !== HTTP_1[i]) return BAD_REQUEST
  const dotted = buffer[at + 4] === SLASH && buffer[at + 6] === DOT
  return dotted && isDigit(buffer[at + 5] as number) && isDigit(buffer[at + 7] as number) ? VERSION : BAD_REQUEST
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}

function skipEmptyLine(buffer: Buffer, start: number): number {
  return buffer[start] === CR && buffer[start + 1] === LF ? start + 2 : start
}

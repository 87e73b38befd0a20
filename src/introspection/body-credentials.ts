/**
 * Tokens in request bodies: forms, JSON objects, multipart forms. Reading and removing share one view of each format, so that what is removed is what was
 * read; everything else in the body stays as it was sent, byte for byte as far as the format allows.
 */
import { parseQuery, removeArguments } from '../http/query.ts'

export type BodyFormat = 'form' | 'json' | 'multipart'

/** What a body says about a member. `several`: it is there more than once, or not as a single text. */
export type BodyMember = { readonly kind: 'one'; readonly value: string } | { readonly kind: 'none' } | { readonly kind: 'several' }

const NONE: BodyMember = { kind: 'none' }
const SEVERAL: BodyMember = { kind: 'several' }

/** Which of the formats a Content-Type names; null for any other. */
export function bodyFormat(contentType: string): BodyFormat | null {
  const [type = ''] = contentType.split(';', 1)
  return FORMATS.get(type.trim().toLowerCase()) ?? null
}

const FORMATS: ReadonlyMap<string, BodyFormat> = new Map([
  ['application/x-www-form-urlencoded', 'form'],
  ['application/json', 'json'],
  ['multipart/form-data', 'multipart'],
])

/** Finds a member. A body that is not what its type says has none. An empty value is none. */
export function findInBody(body: Buffer, format: BodyFormat, contentType: string, name: string): BodyMember {
  const values = valuesOf(body, format, contentType, name)
  const [value] = values
  if (values.length > 1) return SEVERAL
  return typeof value === 'string' && value !== '' ? { kind: 'one', value } : NONE
}

/** The body without the members of this name and value; null where there is none of them, so that the body may stay as it is. */
export function removeFromBody(body: Buffer, format: BodyFormat, contentType: string, name: string, value: string): Buffer | null {
  if (!valuesOf(body, format, contentType, name).includes(value)) return null
  if (format === 'form') {
    const rest = removeArguments(body.toString('latin1'), (argument) => argument.name === name && argument.value === value)
    return Buffer.from(rest, 'latin1')
  }
  return format === 'json' ? removeFromJson(body, name, value) : removeFromMultipart(body, contentType, name, value)
}

/** Null stands for a value that is no text. */
function valuesOf(body: Buffer, format: BodyFormat, contentType: string, name: string): readonly (string | null)[] {
  if (format === 'form') {
    return parseQuery(body.toString('latin1'))
      .filter((argument) => argument.name === name)
      .map(({ value }) => value)
  }
  if (format === 'json') return (jsonMembers(body)?.members ?? []).filter((member) => member.name === name).map(({ value }) => value)
  return partsOf(body, contentType)
    .filter((part) => part.name === name)
    .map(({ value }) => value.toString('utf8'))
}

interface JsonMember {
  readonly name: string
  /** Null for anything but text. */
  readonly value: string | null
  /** Where it stands in the text, from the quote of its name to the end of its value. */
  readonly start: number
  readonly end: number
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The members of a JSON object with their places; null for anything else. */
function jsonMembers(body: Buffer): { readonly text: string; readonly members: readonly JsonMember[] } | null {
  try {
    const text = utf8.decode(body)
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { text, members: scanMembers(text) } : null
  } catch {
    return null
  }
}

/** Walks over the top level of a text that is known to be a JSON object. */
function scanMembers(text: string): readonly JsonMember[] {
  const members: JsonMember[] = []
  let at = text.indexOf('{') + 1
  for (;;) {
    at = skip(text, at, /[\s,]*/y)
    if (text[at] !== '"') return members
    const start = at
    const nameEnd = textEnd(text, at)
    const valueStart = skip(text, nameEnd, /\s*:\s*/y)
    const end = valueEnd(text, valueStart)
    const raw = text[valueStart] === '"' ? text.slice(valueStart, end) : null
    members.push({
      name: JSON.parse(text.slice(start, nameEnd)) as string,
      value: raw === null ? null : (JSON.parse(raw) as string),
      start,
      end,
    })
    at = end
  }
}

function skip(text: string, at: number, pattern: RegExp): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** Behind the closing quote of the text that begins at `start`. */
function textEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at + 1
  }
  return text.length
}

function valueEnd(text: string, start: number): number {
  if (text[start] === '"') return textEnd(text, start)
  if (text[start] !== '{' && text[start] !== '[') return skip(text, start, /[^,}\s]*/y)
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const char = text[at]
    if (char === '"') at = textEnd(text, at) - 1
    else if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1
  }
  return text.length
}

function removeFromJson(body: Buffer, name: string, value: string): Buffer | null {
  const found = jsonMembers(body)
  const first = found?.members.at(0)
  const last = found?.members.at(-1)
  if (found == null || first === undefined || last === undefined) return null
  const { text, members } = found
  const kept = members.filter((member) => member.name !== name || member.value !== value).map(({ start, end }) => text.slice(start, end))
  return Buffer.from(text.slice(0, first.start) + kept.join(',') + text.slice(last.end), 'utf8')
}

interface Part {
  readonly name: string | null
  readonly value: Buffer
  /** From the delimiter before it to the one after it. */
  readonly start: number
  readonly end: number
}

/** RFC 2046 section 5.1.1. */
const BOUNDARY = /;[ \t]*boundary=(?:"([^"]{1,70})"|([^\s;",]{1,70}))/i
const CRLF = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')

/** The parts of a multipart form (RFC 7578); none where the body is not one. Parts that carry a file have no name here. */
function partsOf(body: Buffer, contentType: string): readonly Part[] {
  const found = BOUNDARY.exec(contentType)
  const boundary = found?.[1] ?? found?.[2]
  if (boundary === undefined) return []
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  const opening = delimiter.subarray(CRLF.length)
  const parts: Part[] = []
  let start = body.subarray(0, opening.length).equals(opening) ? -CRLF.length : body.indexOf(delimiter)
  for (;;) {
    if (start === -1) return []
    const lineEnd = body.indexOf(CRLF, start + delimiter.length)
    const padding = body.subarray(start + delimiter.length, lineEnd === -1 ? body.length : lineEnd).toString('latin1')
    if (padding.startsWith('--')) return parts
    if (lineEnd === -1 || padding.trim() !== '') return []
    const end = body.indexOf(delimiter, lineEnd)
    const headEnd = body.indexOf(HEAD_END, lineEnd)
    if (end === -1) return []
    if (headEnd !== -1 && headEnd < end) {
      const name = partName(body.subarray(lineEnd, headEnd).toString('utf8'))
      parts.push({ name, value: body.subarray(headEnd + HEAD_END.length, end), start: Math.max(0, start), end })
    }
    start = end
  }
}

/** The field that a part's head names; null for a file and for none. */
function partName(head: string): string | null {
  const disposition = head.split('\r\n').find((line) => /^content-disposition[ \t]*:/i.test(line))
  if (disposition === undefined || /;[ \t]*filename\*?=/i.test(disposition)) return null
  const found = /;[ \t]*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(disposition)
  return found?.[1] ?? found?.[2] ?? null
}

function removeFromMultipart(body: Buffer, contentType: string, name: string, value: string): Buffer {
  const gone = partsOf(body, contentType).filter((part) => part.name === name && part.value.toString('utf8') === value)
  const kept: Buffer[] = []
  let at = 0
  for (const { start, end } of gone) {
    kept.push(body.subarray(at, start))
    // The very first delimiter has no line break of its own.
    at = start === 0 ? end + CRLF.length : end
  }
  kept.push(body.subarray(at))
  return Buffer.concat(kept)
}

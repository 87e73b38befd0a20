/**
 * Tells the upstream who the request is: the only place that writes X-Consumer-*, X-Credential-*, X-Anonymous-Consumer and X-Authenticated-Groups. It first
 * removes what is there under these names, in any case and with `_` for `-` (CGI and WSGI cannot tell those apart), then writes, so that nothing that a
 * client made up survives.
 */
import type { Consumer } from '../entities/consumer-directory.ts'
import { dashedName, IDENTITY, marksOf } from '../http/field-marks.ts'
import { HeaderLines, type HeaderList } from '../http/headers.ts'
import type { JsonObject, JsonValue } from '../oauth/json.ts'
import { toHeaderValue } from '../util/bytes.ts'
import { type ClaimPath, claimInFirst } from './authorization.ts'

/** A header that carries a claim. */
export interface ClaimHeader {
  readonly name: string
  readonly path: ClaimPath
}

export interface ProjectionRules {
  readonly claimHeaders: readonly ClaimHeader[]
  /** The text of a claim; null: no header. */
  readonly encode: (value: JsonValue) => string | null
  /** Bytes of the longest value that is sent. */
  readonly maxValueBytes: number
  /** Further names that the owner writes or has written: a client's copies are removed too. */
  readonly alsoCleared?: readonly string[]
}

/** Who the request is, for the headers. */
export interface ProjectedIdentity {
  readonly consumer: Consumer | null
  readonly authenticatedGroups: readonly string[] | null
  /** Value of X-Credential-Identifier where no claim header is that one; null: absent. */
  readonly credentialIdentifier: string | null
}

/** Headers about identity that every profile clears. */
const IDENTITY_HEADERS = [
  'X-Consumer-ID',
  'X-Consumer-Custom-ID',
  'X-Consumer-Username',
  'X-Consumer-Groups',
  'X-Anonymous-Consumer',
  'X-Authenticated-Groups',
  'X-Credential-Identifier',
]

/** Text that is a header value as it is. */
const PLAIN = /^[\x20-\x7e]*$/

export class HeaderProjection {
  readonly #rules: ProjectionRules
  readonly #isIdentity: (lowerName: string) => boolean
  readonly #isClaim: (lowerName: string) => boolean
  /** All names are among those that bear the mark. */
  readonly #allMarked: boolean

  constructor(rules: ProjectionRules) {
    this.#rules = rules
    const claimNames = [...rules.claimHeaders.map(({ name }) => name), ...(rules.alsoCleared ?? [])]
    this.#isIdentity = matcher([...IDENTITY_HEADERS, ...claimNames])
    this.#allMarked = claimNames.every((name) => (marksOf(name.toLowerCase()) & IDENTITY) !== 0)
    this.#isClaim = matcher(claimNames.filter((name) => dashedName(name.toLowerCase()) !== 'x-credential-identifier'))
  }

  /** Removes every header that this projection may write. */
  clear(headers: HeaderList): void {
    // The front removed a client's copies already; only what a plugin wrote since can be there.
    if (this.#allMarked && !headers.hasMarked(IDENTITY)) return
    headers.removeWhere(this.#isIdentity)
  }

  /** Removes the claim headers only, for a request that another plugin has authenticated: its identity stays. */
  clearClaims(headers: HeaderList): void {
    headers.removeWhere(this.#isClaim)
  }

  /**
   * The lines that follow from claims alone, flat: `[name, value, …]`. The same claims give the same lines.
   * @param onTooLong called with the name of a header whose value is too long to be sent
   */
  prepare(sources: readonly JsonObject[], onTooLong: (name: string) => void): string[] {
    const lines: string[] = []
    for (const { name, path } of this.#rules.claimHeaders) {
      const value = claimInFirst(sources, path)
      const text = value === undefined ? null : this.#rules.encode(value)
      if (text === null) continue
      const bytes = headerValue(text)
      if (bytes.length > this.#rules.maxValueBytes) onTooLong(name)
      else lines.push(name, bytes)
    }
    return lines
  }

  /** Clears, then writes the identity and the prepared lines. */
  write(headers: HeaderList, identity: ProjectedIdentity, prepared: HeaderLines): void {
    this.clear(headers)
    const { consumer, authenticatedGroups, credentialIdentifier } = identity
    if (consumer !== null) writeConsumer(headers, consumer)
    if (authenticatedGroups !== null) headers.add('X-Authenticated-Groups', headerValue(authenticatedGroups.join(', ')))
    if (credentialIdentifier !== null) headers.add('X-Credential-Identifier', headerValue(credentialIdentifier))
    headers.append(prepared)
  }

  /** Clears, then writes the anonymous Consumer. */
  writeAnonymous(headers: HeaderList, consumer: Consumer): void {
    this.clear(headers)
    writeConsumer(headers, consumer)
    headers.add('X-Anonymous-Consumer', 'true')
  }
}

function writeConsumer(headers: HeaderList, consumer: Consumer): void {
  const known = consumerLines.get(consumer)
  if (known !== undefined) return headers.append(known)
  const { id, custom_id, username } = consumer
  const lines = new HeaderLines([
    ...['X-Consumer-ID', headerValue(id)],
    ...(custom_id === null ? [] : ['X-Consumer-Custom-ID', headerValue(custom_id)]),
    ...(username === null ? [] : ['X-Consumer-Username', headerValue(username)]),
  ])
  consumerLines.set(consumer, lines)
  headers.append(lines)
}

/** What follows from a Consumer alone; gone with the snapshot that it belongs to. */
const consumerLines = new WeakMap<Consumer, HeaderLines>()

/**
 * The text of a claim as Kong's introspection plugin is documented to show it, plain: text as is; numbers in decimal; simple items of an array joined with
 * `, ` unless one holds a comma; everything else as compact JSON. Null: no header.
 */
export function encodePlain(value: JsonValue): string | null {
  if (value === null) return null
  if (Array.isArray(value)) {
    const items: (string | null)[] = value.map((item: JsonValue) => (typeof item === 'object' ? null : scalarText(item)))
    return items.every((item) => item !== null && !item.includes(',')) ? items.join(', ') : JSON.stringify(value)
  }
  return typeof value === 'object' ? JSON.stringify(value) : scalarText(value)
}

/** The text of a claim as Kong's OpenID Connect plugin sends it: simple values plain, objects and arrays as base64 of their JSON. Null: no header. */
export function encodeBase64Json(value: JsonValue): string | null {
  if (value === null) return null
  return typeof value === 'object' ? Buffer.from(JSON.stringify(value), 'utf8').toString('base64') : scalarText(value)
}

/** Integers without exponent or fraction. */
function scalarText(value: JsonValue): string {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value).toString() : String(value)
}

/** Bytes of text without control characters (RFC 9110 section 5.5). */
function headerValue(text: string): string {
  return PLAIN.test(text) ? text : toHeaderValue(text)
}

/** A test for these names in any spelling. Nearly every header of a request is told apart by its first letter. */
function matcher(names: readonly string[]): (lowerName: string) => boolean {
  const wanted = new Set(names.map((name) => dashedName(name.toLowerCase())))
  const initials = new Set([...wanted].map((name) => name.charCodeAt(0)))
  // A name may begin with `_` where the wanted one begins with `-`.
  if (initials.has(DASH)) initials.add(UNDERSCORE)
  return (lowerName) => initials.has(lowerName.charCodeAt(0)) && wanted.has(dashedName(lowerName))
}

const DASH = 45
const UNDERSCORE = 95

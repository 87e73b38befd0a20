/** Base64url without padding, as JOSE and OAuth use it (RFC 4648 section 5, RFC 7515 section 2). */
import { asBuffer } from './bytes.ts'

const ALPHABET = /^[A-Za-z0-9_-]*$/
/** Last characters that leave no stray bits, by `length % 4`: 2 leaves four bits, 3 leaves two. */
const CLEAN_END = { 2: /[AQgw]$/, 3: /[AEIMQUYcgkosw048]$/ } as const

/** Encodes bytes, or the UTF-8 form of a string. */
export function encodeBase64url(data: Uint8Array | string): string {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : asBuffer(data)
  return bytes.toString('base64url')
}

/**
 * Decodes strictly: only the base64url alphabet, no padding, no white space, a possible length, no stray bits in the last character.
 * `Buffer.from` alone skips what it does not know, so that many texts would stand for the same bytes.
 *
 * @returns the bytes, or null when `text` is not base64url
 */
export function decodeBase64url(text: string): Uint8Array<ArrayBuffer> | null {
  if (!ALPHABET.test(text)) return null
  const rest = text.length % 4
  if (rest === 1) return null
  if ((rest === 2 || rest === 3) && !CLEAN_END[rest].test(text)) return null
  return new Uint8Array(Buffer.from(text, 'base64url'))
}

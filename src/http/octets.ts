/**
 * Which bytes may stand where in an HTTP/1.1 head: one table per rule, 1 for allowed. A look-up beyond the table (a character above U+00FF) gives undefined,
 * which is not 1 either.
 */
function octets(allowed: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allowed(byte) ? 1 : 0))
}

export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const COLON = 0x3a

const isVisible = (byte: number): boolean => byte > 0x20 && byte < 0x7f

/** `tchar`: names of fields, methods, codings (RFC 9110 section 5.6.2). */
export const TOKEN = octets((byte) => isVisible(byte) && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte)))

/** A field value or reason phrase: visible characters, SP, HTAB, obs-text; no other control (RFC 9110 section 5.5, RFC 9112 section 4). */
export const VALUE = octets((byte) => byte === HTAB || byte === SP || isVisible(byte) || byte >= 0x80)

/** A request-target: visible ASCII (RFC 9112 section 3.2). What else RFC 3986 forbids is judged by those who read the path. */
export const TARGET = octets(isVisible)

/** Methods: upper-case words, as nginx takes them, so that `get` and `GET` cannot be told apart by one reader and not by another. */
export const METHOD = octets((byte) => /[A-Z0-9_-]/.test(String.fromCharCode(byte)))

/** Whether each character of `text` stands in `table`. */
export function consistsOf(table: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false
  return true
}

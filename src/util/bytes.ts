/**
 * Header values and request targets are byte strings: JavaScript strings in which each character is one byte, as the wire has them. Text from elsewhere
 * (claims, consumer names) is turned into its UTF-8 bytes first.
 */
export function toByteString(text: string): string {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, 'utf8').toString('latin1')
  return text
}

/** A byte string read as UTF-8; malformed sequences become U+FFFD. */
export function fromByteString(bytes: string): string {
  for (let i = 0; i < bytes.length; i++) if (bytes.charCodeAt(i) > 0x7f) return Buffer.from(bytes, 'latin1').toString('utf8')
  return bytes
}

/** Text made safe as a header value: UTF-8 bytes without control characters (RFC 9110 section 5.5). */
export function toHeaderValue(text: string): string {
  return toByteString(text).replace(/[\x00-\x1f\x7f]/g, '')
}

/** The same bytes as a Buffer; nothing is copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

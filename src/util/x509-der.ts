/** Distinguished Encoding Rules of ASN.1 (ITU-T X.690), as far as certificates need them (RFC 5280). Writing only. */

/** An element. @param tag identifier octet */
export function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag]), lengthOctets(content.length), content])
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  return length < 0x100 ? Buffer.from([0x81, length]) : Buffer.from([0x82, length >> 8, length & 0xff])
}

/** SEQUENCE. */
export function sequence(...contents: readonly Buffer[]): Buffer {
  return der(0x30, ...contents)
}

/** SET. */
export function set(...contents: readonly Buffer[]): Buffer {
  return der(0x31, ...contents)
}

/** INTEGER. @param bytes the first bit is 0 */
export function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes)
}

/** BIT STRING of whole octets. */
export function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.from([0]), bytes)
}

/** OBJECT IDENTIFIER. */
export function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const groups = [value & 0x7f]
  for (let left = value >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
  return groups
}

/** The text form (RFC 7468). */
export function toPem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

// ------------------------------------------------------------------------------------------------------------------------- X.509 (RFC 5280)

/** Extension, RFC 5280 section 4.1.2.9. */
export function extension(id: Buffer, critical: boolean, value: Buffer): Buffer {
  return sequence(id, ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value))
}

/** UTCTime up to 2049, then GeneralizedTime (RFC 5280 section 4.1.2.5). */
export function time(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text))
}

/** AlgorithmIdentifiers of sha256WithRSAEncryption and ecdsa-with-SHA256. */
export const SIGNATURES: Readonly<Record<'rsa' | 'ecdsa', Buffer>> = {
  rsa: sequence(oid(1, 2, 840, 113_549, 1, 1, 11), der(0x05)),
  ecdsa: sequence(oid(1, 2, 840, 10_045, 4, 3, 2)),
}

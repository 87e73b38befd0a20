/** Certificates that sign themselves (RFC 5280), for a node that was given none. `node:crypto` makes keys and signatures, but no certificates. */
import { generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'

/** A certificate and its key, PEM texts. */
export interface SelfSigned {
  readonly cert: string
  readonly key: string
}

export interface SelfSignedOptions {
  readonly kind: 'rsa' | 'ecdsa'
  /** Also the first of the alternative names. */
  readonly commonName: string
  /** IPv4 addresses that it is good for beside the name. */
  readonly addresses?: readonly string[]
  readonly days: number
  readonly now?: Date
}

const generate = promisify(generateKeyPair)
const DAY_MS = 86_400_000

/** Makes a key (RSA 2048 or P-256) and a certificate of a server for it. */
export async function createSelfSigned(options: SelfSignedOptions): Promise<SelfSigned> {
  const { publicKey, privateKey } =
    options.kind === 'rsa' ? await generate('rsa', { modulusLength: 2048 }) : await generate('ec', { namedCurve: 'P-256' })
  const body = certificateBody(options, publicKey)
  const signature = sign('sha256', body, privateKey)
  const certificate = sequence(body, algorithm(options.kind), bitString(signature))
  return { cert: toPem('CERTIFICATE', certificate), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** TBSCertificate, RFC 5280 section 4.1. */
function certificateBody({ kind, commonName, addresses = [], days, now = new Date() }: SelfSignedOptions, publicKey: KeyObject): Buffer {
  const name = sequence(set(sequence(oid(2, 5, 4, 3), der(0x0c, Buffer.from(commonName)))))
  // A clock that is a little behind ours is not to find the certificate in its future.
  const from = new Date(now.getTime() - DAY_MS)
  const alternatives = [
    der(0x82, Buffer.from(commonName)),
    ...addresses.map((address) => der(0x87, Buffer.from(address.split('.').map(Number)))),
  ]
  return sequence(
    der(0xa0, integer(Buffer.from([2]))), // version 3
    integer(serialNumber()),
    algorithm(kind),
    name,
    sequence(time(from), time(new Date(now.getTime() + days * DAY_MS))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        // No keyUsage: without the right to sign certificates, OpenSSL would not take it as the issuer of itself.
        extension(oid(2, 5, 29, 19), true, sequence()), // basicConstraints: no authority
        extension(oid(2, 5, 29, 37), false, sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 1))), // extKeyUsage: serverAuth
        extension(oid(2, 5, 29, 17), false, sequence(...alternatives)), // subjectAltName
      ),
    ),
  )
}

function algorithm(kind: 'rsa' | 'ecdsa'): Buffer {
  return kind === 'rsa' ? sequence(oid(1, 2, 840, 113_549, 1, 1, 11), der(0x05)) : sequence(oid(1, 2, 840, 10_045, 4, 3, 2))
}

/** Positive and never 0: the first bits are 01. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

function extension(id: Buffer, critical: boolean, value: Buffer): Buffer {
  return sequence(id, ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value))
}

/** UTCTime up to 2049, then GeneralizedTime (RFC 5280 section 4.1.2.5). */
function time(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text))
}

// ------------------------------------------------------------------------------------------------------------------------ DER (ITU-T X.690)

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag]), lengthOctets(content.length), content])
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  return length < 0x100 ? Buffer.from([0x81, length]) : Buffer.from([0x82, length >> 8, length & 0xff])
}

function sequence(...contents: readonly Buffer[]): Buffer {
  return der(0x30, ...contents)
}

function set(...contents: readonly Buffer[]): Buffer {
  return der(0x31, ...contents)
}

/** @param bytes the first bit is 0 */
function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes)
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.from([0]), bytes)
}

function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const groups = [value & 0x7f]
  for (let left = value >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
  return groups
}

function toPem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

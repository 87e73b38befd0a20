/** Certificates that sign themselves (RFC 5280), for a node that was given none. `node:crypto` makes keys and signatures, but no certificates. */
import { generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { bitString, der, extension, integer, oid, SIGNATURES, sequence, set, time, toPem } from './x509-der.ts'

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
  const certificate = sequence(body, SIGNATURES[options.kind], bitString(signature))
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
    SIGNATURES[kind],
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

/** Positive and never 0: the first bits are 01. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

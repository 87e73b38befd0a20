/**
 * Certificates for tests, made on the spot: authorities, leaves that they signed, client certificates, expired ones. X.509 in DER (RFC 5280) with what OpenSSL
 * looks at and nothing else.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { bitString, der, extension, integer, oid, SIGNATURES, sequence, set, time, toPem } from '../../src/util/x509-der.ts'

export type KeyType = 'ec' | 'rsa'

export type IssueOptions = {
  /** Common name. */
  readonly name: string
  /** Subject alternative names: addresses are told from names. */
  readonly altNames?: readonly string[]
  /** Whether it may sign others; default false. */
  readonly ca?: boolean
  readonly keyType?: KeyType
  /** Certifies the key of this one instead of a new key: a cross-signature where the names are equal too. */
  readonly keyOf?: TestCertificate
  /** Days from now; both may be negative. Default: yesterday to ten years from now. */
  readonly validDays?: readonly [from: number, to: number]
}

/** A certificate and its key, in PEM, and the way to sign others with it. */
export type TestCertificate = {
  readonly cert: string
  readonly key: string
  /** Signs another one with this one's key. */
  issue(options: IssueOptions): TestCertificate
}

type Issuer = { readonly name: Buffer; readonly key: KeyObject; readonly keyType: KeyType; readonly keyId: Buffer }

/** A certificate that signs itself: an authority where `ca` is set. */
export function selfSigned(options: IssueOptions): TestCertificate {
  return make(options, null)
}

/** An authority. */
export function authority(name = 'Test CA', options: Omit<IssueOptions, 'name'> = {}): TestCertificate {
  return selfSigned({ ...options, name, ca: true })
}

function make(
  { name, altNames = [], ca = false, keyType = 'ec', keyOf, validDays = [-1, 3650] }: IssueOptions,
  signer: Issuer | null,
): TestCertificate {
  const privateKey = keyOf === undefined ? newKey(keyType) : createPrivateKey(keyOf.key)
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  const own: Issuer = {
    name: distinguishedName(name),
    key: privateKey,
    keyType: privateKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec',
    keyId: createHash('sha1').update(publicKey).digest(),
  }
  const issuer = signer ?? own
  const algorithm = SIGNATURES[issuer.keyType === 'rsa' ? 'rsa' : 'ecdsa']
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    issuer.name,
    sequence(time(daysFromNow(validDays[0])), time(daysFromNow(validDays[1]))),
    own.name,
    publicKey,
    der(0xa3, sequence(...extensions(own, issuer, altNames, ca))),
  )
  const signature = sign('sha256', body, issuer.key)
  const cert = toPem('CERTIFICATE', sequence(body, algorithm, bitString(signature)))
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert, key, issue: (options) => make(options, own) }
}

function newKey(keyType: KeyType): KeyObject {
  return keyType === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    : generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
}

function extensions(own: Issuer, issuer: Issuer, altNames: readonly string[], ca: boolean): Buffer[] {
  return [
    extension(oid(2, 5, 29, 19), true, ca ? sequence(der(0x01, Buffer.from([0xff]))) : sequence()),
    // keyCertSign and cRLSign, or digitalSignature and keyEncipherment.
    extension(oid(2, 5, 29, 15), true, der(0x03, ca ? Buffer.from([1, 0x06]) : Buffer.from([5, 0xa0]))),
    extension(oid(2, 5, 29, 14), false, der(0x04, own.keyId)),
    extension(oid(2, 5, 29, 35), false, sequence(der(0x80, issuer.keyId))),
    ...(altNames.length === 0 ? [] : [extension(oid(2, 5, 29, 17), false, sequence(...altNames.map(altName)))]),
  ]
}

function altName(text: string): Buffer {
  if (isIP(text) === 0) return der(0x82, Buffer.from(text))
  if (isIP(text) === 4) return der(0x87, Buffer.from(text.split('.').map(Number)))
  return der(0x87, Buffer.from(expanded(text), 'hex'))
}

/** The 32 hex digits of an IPv6 address. */
function expanded(address: string): string {
  const [left = '', right = ''] = address.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const zeros = Array.from({ length: 8 - groups(left).length - groups(right).length }, () => '0')
  return [...groups(left), ...zeros, ...groups(right)].map((group) => group.padStart(4, '0')).join('')
}

function distinguishedName(commonName: string): Buffer {
  return sequence(set(sequence(oid(2, 5, 4, 3), der(0x0c, Buffer.from(commonName)))))
}

function daysFromNow(days: number): Date {
  return new Date(Date.now() + days * 86_400_000)
}

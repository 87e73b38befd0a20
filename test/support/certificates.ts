/**
 * Certificates for tests, made on the spot: authorities, leaves that they signed, client certificates, expired ones. X.509 in DER (RFC 5280) with what OpenSSL
 * looks at and nothing else.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

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
  const algorithm = ALGORITHMS[issuer.keyType]
  const body = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    issuer.name,
    sequence(time(validDays[0]), time(validDays[1])),
    own.name,
    publicKey,
    tagged(3, sequence(...extensions(own, issuer, altNames, ca))),
  )
  const signature = sign('sha256', body, issuer.key)
  const cert = pem('CERTIFICATE', sequence(body, algorithm, element(0x03, Buffer.concat([Buffer.from([0]), signature]))))
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
    extension('551d13', true, ca ? sequence(element(0x01, Buffer.from([0xff]))) : sequence()),
    // keyCertSign and cRLSign, or digitalSignature and keyEncipherment.
    extension('551d0f', true, element(0x03, ca ? Buffer.from([1, 0x06]) : Buffer.from([5, 0xa0]))),
    extension('551d0e', false, element(0x04, own.keyId)),
    extension('551d23', false, sequence(element(0x80, issuer.keyId))),
    ...(altNames.length === 0 ? [] : [extension('551d11', false, sequence(...altNames.map(altName)))]),
  ]
}

function altName(text: string): Buffer {
  if (isIP(text) === 0) return element(0x82, Buffer.from(text))
  if (isIP(text) === 4) return element(0x87, Buffer.from(text.split('.').map(Number)))
  return element(0x87, Buffer.from(expanded(text), 'hex'))
}

/** The 32 hex digits of an IPv6 address. */
function expanded(address: string): string {
  const [left = '', right = ''] = address.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const zeros = Array.from({ length: 8 - groups(left).length - groups(right).length }, () => '0')
  return [...groups(left), ...zeros, ...groups(right)].map((group) => group.padStart(4, '0')).join('')
}

// ----------------------------------------------------------------------------------------------------------------------------------------- DER

/** ecdsa-with-SHA256 and sha256WithRSAEncryption, each as an AlgorithmIdentifier. */
const ALGORITHMS: Readonly<Record<KeyType, Buffer>> = {
  ec: sequence(element(0x06, Buffer.from('2a8648ce3d040302', 'hex'))),
  rsa: sequence(element(0x06, Buffer.from('2a864886f70d01010b', 'hex')), element(0x05, Buffer.alloc(0))),
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function sequence(...items: readonly Buffer[]): Buffer {
  return element(0x30, Buffer.concat(items))
}

function tagged(number: number, content: Buffer): Buffer {
  return element(0xa0 + number, content)
}

function integer(bytes: Buffer): Buffer {
  return element(0x02, bytes)
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [element(0x01, Buffer.from([0xff]))] : []
  return sequence(element(0x06, Buffer.from(oid, 'hex')), ...flag, element(0x04, value))
}

function distinguishedName(commonName: string): Buffer {
  return sequence(element(0x31, sequence(element(0x06, Buffer.from('550403', 'hex')), element(0x0c, Buffer.from(commonName)))))
}

/** GeneralizedTime. */
function time(daysFromNow: number): Buffer {
  const at = new Date(Date.now() + daysFromNow * 86_400_000).toISOString()
  return element(0x18, Buffer.from(`${at.replace(/[-:T]/g, '').slice(0, 14)}Z`))
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

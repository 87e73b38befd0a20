/** Which certificate a TLS handshake is answered with. */

import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { errorCode } from '../util/errors.ts'
import type { CertificateEntity, SniEntity } from './snapshot.ts'

/** A certificate, its chain after it, and its key: PEM texts. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
}

/** What a server shows in a handshake: one certificate, or two of different kinds between which OpenSSL chooses. OpenSSL has accepted them. */
export interface ServerIdentity {
  readonly options: SecureContextOptions
  /** 32 characters that differ where certificates or keys do: a session is resumed only where it began. */
  readonly digest: string
}

/** Chooses certificates by the names that clients ask for. */
export interface CertificateStore {
  /** @param serverName SNI in any case, or null when the client sent none */
  choose(serverName: string | null): ServerIdentity
}

export interface CertificateSource {
  readonly certificates: readonly CertificateEntity[]
  readonly snis: readonly SniEntity[]
  /** The node's own, for everybody else. */
  readonly fallback: ServerIdentity
  /** Options that all have in common: versions, ciphers. */
  readonly shared: SecureContextOptions
  /** A certificate that OpenSSL refuses: the fallback serves. Called once per certificate. `reason` is OpenSSL's code, never a text of the certificate. */
  readonly onUnusable: (certificateId: string, reason: string) => void
  /** The store before: identities of certificates that are the same are kept. */
  readonly previous?: CertificateStore | null
}

/** A store for one configuration. A certificate is looked at when the first handshake needs it. */
export function createCertificateStore(source: CertificateSource): CertificateStore {
  return new SniStore(source)
}

/** Loads certificates with their keys. @throws OpenSSL's error; a RangeError for a key of another certificate */
export function createIdentity(pairs: readonly CertificatePair[], shared: SecureContextOptions): ServerIdentity {
  // OpenSSL notices this only where the two are of one kind.
  if (!pairs.every(belongTogether)) throw new RangeError('certificate does not match key')
  const options = { ...shared, cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) }
  createSecureContext(options)
  return { options, digest: digestOf(pairs) }
}

/** Whether the key is that of the (first) certificate. @throws OpenSSL's error for what cannot be read */
export function belongTogether({ cert, key }: CertificatePair): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
}

function digestOf(pairs: readonly CertificatePair[]): string {
  return createHash('sha256').update(JSON.stringify(pairs)).digest('hex').slice(0, 32)
}

/** A certificate of the configuration, and its identity once a handshake has asked for it; null when it cannot be used. */
interface Entry {
  readonly id: string
  readonly pairs: readonly CertificatePair[]
  readonly digest: string
  identity?: ServerIdentity | null
}

/** Kong answers a client without SNI with the node's own certificate, even where there is an SNI `*`. */
class SniStore implements CertificateStore {
  readonly #source: CertificateSource
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #names: ReadonlyMap<string, Entry>

  constructor(source: CertificateSource) {
    this.#source = source
    const before = source.previous instanceof SniStore ? source.previous.#entries : new Map<string, Entry>()
    this.#entries = new Map(source.certificates.map((certificate) => [certificate.id, this.#enter(certificate, before)]))
    this.#names = new Map(
      source.snis.flatMap(({ name, certificate }) => {
        const entry = this.#entries.get(certificate.id)
        return entry === undefined ? [] : [[name.toLowerCase(), entry] as const]
      }),
    )
  }

  #enter(certificate: CertificateEntity, before: ReadonlyMap<string, Entry>): Entry {
    const pairs = pairsOf(certificate)
    const digest = digestOf(pairs)
    const known = before.get(certificate.id)
    return known?.digest === digest ? known : { id: certificate.id, pairs, digest }
  }

  choose(serverName: string | null): ServerIdentity {
    const entry = serverName === null || serverName === '' ? undefined : this.#find(plainName(serverName))
    return (entry === undefined ? null : this.#identityOf(entry)) ?? this.#source.fallback
  }

  #find(name: string): Entry | undefined {
    for (const candidate of candidatesFor(name)) {
      const entry = this.#names.get(candidate)
      if (entry !== undefined) return entry
    }
    return undefined
  }

  #identityOf(entry: Entry): ServerIdentity | null {
    if (entry.identity !== undefined) return entry.identity
    try {
      entry.identity = createIdentity(entry.pairs, this.#source.shared)
    } catch (error) {
      entry.identity = null
      this.#source.onUnusable(entry.id, error instanceof RangeError ? error.message : String(errorCode(error) ?? 'not readable'))
    }
    return entry.identity
  }
}

function pairsOf({ cert, key, cert_alt, key_alt }: CertificateEntity): CertificatePair[] {
  return cert_alt != null && key_alt != null
    ? [
        { cert, key },
        { cert: cert_alt, key: key_alt },
      ]
    : [{ cert, key }]
}

/** A name as SNIs are compared: lower case, without the dot of an absolute name. */
export function plainName(serverName: string): string {
  return serverName.toLowerCase().replace(/\.$/, '')
}

/** Names to look up, best first: the name, `*` for its first label where three or more labels are there, `*` for its last label, `*`. */
function candidatesFor(name: string): string[] {
  const [first, last] = [name.indexOf('.'), name.lastIndexOf('.')]
  return [
    name,
    ...(first !== -1 && first !== last ? [`*${name.slice(first)}`] : []),
    ...(last !== -1 ? [`${name.slice(0, last)}.*`] : []),
    '*',
  ]
}

/** Which certificate a TLS handshake is answered with. */
import { createHash } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { isVaultReference } from '../schema/field.ts'
import { errorCode } from '../util/errors.ts'

/** A certificate, its chain after it, and its key: PEM texts. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
}

/** The entity `certificate`, as far as a handshake needs it. Its texts may be vault references. */
export interface CertificateEntity {
  readonly id: string
  readonly cert: string
  readonly key: string
  /** A second certificate with a key of the other kind (RSA, ECDSA). */
  readonly cert_alt: string | null
  readonly key_alt: string | null
}

/** The entity `sni`: a name, `*.name`, `name.*`, or `*` for every name. */
export interface SniEntity {
  readonly id: string
  readonly name: string
  readonly certificate: { readonly id: string }
}

/** Chooses certificates by the names that clients ask for. */
export interface CertificateStore {
  /** @param serverName SNI in any case, or null when the client sent none */
  choose(serverName: string | null): SecureContext
}

export interface CertificateSource {
  readonly certificates: readonly CertificateEntity[]
  readonly snis: readonly SniEntity[]
  /** The node's own, for everybody else. */
  readonly fallback: SecureContext
  /** Makes the context of some pairs. @throws OpenSSL's error */
  readonly createContext: (pairs: readonly CertificatePair[]) => SecureContext
  /** Text behind a vault reference. */
  readonly resolve: (reference: string) => string
  /** A certificate that OpenSSL refuses: the fallback serves. Called once per certificate. `reason` is OpenSSL's code, never a text of the certificate. */
  readonly onUnusable: (certificateId: string, reason: string) => void
  /** The store before: contexts of certificates that are the same are kept. */
  readonly previous?: CertificateStore | null
}

/** A store for one configuration. Contexts are made at the first handshake that needs them. */
export function createCertificateStore(source: CertificateSource): CertificateStore {
  return new SniStore(source)
}

/**
 * Makes the function that makes contexts with what all of them share.
 *
 * @param shared options of `tls.createSecureContext` other than certificates
 */
export function contextFactory(
  shared: Readonly<Parameters<typeof createSecureContext>[0]>,
): (pairs: readonly CertificatePair[]) => SecureContext {
  return (pairs) => createSecureContext({ ...shared, cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) })
}

/** A certificate of the configuration, and its context once a handshake has asked for it; null when it cannot be used. */
interface Entry {
  readonly id: string
  readonly pairs: readonly CertificatePair[]
  readonly digest: string
  context?: SecureContext | null
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
    const pairs = this.#pairsOf(certificate)
    const digest = createHash('sha256').update(JSON.stringify(pairs)).digest('base64')
    const known = before.get(certificate.id)
    return known?.digest === digest ? known : { id: certificate.id, pairs, digest }
  }

  #pairsOf({ cert, key, cert_alt, key_alt }: CertificateEntity): CertificatePair[] {
    const read = (text: string): string => (isVaultReference(text) ? this.#source.resolve(text) : text)
    const pairs = [{ cert: read(cert), key: read(key) }]
    if (cert_alt != null && key_alt != null) pairs.push({ cert: read(cert_alt), key: read(key_alt) })
    return pairs
  }

  choose(serverName: string | null): SecureContext {
    const entry = serverName === null || serverName === '' ? undefined : this.#find(plainName(serverName))
    return (entry === undefined ? null : this.#contextOf(entry)) ?? this.#source.fallback
  }

  #find(name: string): Entry | undefined {
    for (const candidate of candidatesFor(name)) {
      const entry = this.#names.get(candidate)
      if (entry !== undefined) return entry
    }
    return undefined
  }

  #contextOf(entry: Entry): SecureContext | null {
    if (entry.context !== undefined) return entry.context
    try {
      entry.context = this.#source.createContext(entry.pairs)
    } catch (error) {
      entry.context = null
      this.#source.onUnusable(entry.id, String(errorCode(error) ?? 'not readable'))
    }
    return entry.context
  }
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

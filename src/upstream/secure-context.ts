import type { X509Certificate } from 'node:crypto'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { UpstreamTls } from '../http/exchange.ts'
import { certificatesIn } from '../util/pem.ts'

/** Distinct sets of authorities and client certificate that are kept ready; one that was pushed out is made again. */
const MAX_CONTEXTS = 256
/** Longest chain that is looked at: what OpenSSL accepts at all. */
const MAX_CHAIN = 100

/** Contexts of upstream connections, one for each set of authorities and client certificate. */
export class SecureContexts {
  readonly #trusted: readonly string[] | undefined
  readonly #contexts = new LRUCache<string, SecureContext>({ max: MAX_CONTEXTS })
  readonly #anchors = new LRUCache<string, readonly X509Certificate[]>({ max: MAX_CONTEXTS })

  /** @param trustedCertificates PEM texts that are trusted where a connection has no authorities of its own; undefined for the system's */
  constructor(trustedCertificates: readonly string[] | undefined) {
    this.#trusted = trustedCertificates
  }

  /** @throws OpenSSL's error when certificate and key cannot be used */
  get(tls: UpstreamTls): SecureContext {
    const known = this.#contexts.get(tls.contextKey)
    if (known !== undefined) return known
    const made = this.#make(tls)
    this.#contexts.set(tls.contextKey, made)
    return made
  }

  #make({ authorities, clientCertificate }: UpstreamTls): SecureContext {
    // Empty texts would mean no client certificate at all, without a word.
    if (clientCertificate !== null && (clientCertificate.cert === '' || clientCertificate.key === '')) {
      throw Object.assign(new Error('the client certificate has no value'), { code: 'ERR_TLS_CLIENT_CERTIFICATE' })
    }
    const ca = authorities ?? this.#trusted
    return createSecureContext({
      ...(ca === undefined ? {} : { ca: [...ca] }),
      ...(clientCertificate === null ? {} : { cert: clientCertificate.cert, key: clientCertificate.key }),
    })
  }

  /**
   * The number of certificates between the peer's and the authority, in the chain that OpenSSL builds: it prefers what is trusted to what was presented, so
   * a cross-signed root at the end of what was presented does not count. Infinite where no authority is found.
   */
  intermediates(tls: UpstreamTls, leaf: X509Certificate): number {
    const anchors = this.#anchorsOf(tls)
    const presented = presentedWith(leaf)
    let current = leaf
    for (let position = 0; position < MAX_CHAIN; position++) {
      if (isSelfSigned(current)) return Math.max(position - 1, 0)
      const trusted = anchors.filter((anchor) => current.checkIssued(anchor))
      if (trusted.some(isSelfSigned)) return position
      const next = trusted[0] ?? presented.find((other) => current.checkIssued(other))
      if (next === undefined) break
      current = next
    }
    return Number.POSITIVE_INFINITY
  }

  #anchorsOf({ authorities, contextKey }: UpstreamTls): readonly X509Certificate[] {
    const key = authorities === null ? '' : contextKey
    const known = this.#anchors.get(key)
    if (known !== undefined) return known
    const anchors = (authorities ?? this.#trusted ?? getCACertificates('default')).flatMap(certificatesIn)
    this.#anchors.set(key, anchors)
    return anchors
  }
}

function presentedWith(leaf: X509Certificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  for (let next = leaf.issuerCertificate; next !== undefined && chain.length < MAX_CHAIN; next = next.issuerCertificate) {
    if (next === chain.at(-1)) break
    chain.push(next)
  }
  return chain
}

/** Not `checkIssued`, which wants a key usage that a self-signed leaf need not have. */
function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey)
}

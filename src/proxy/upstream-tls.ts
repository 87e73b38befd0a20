/** From the entities to what a TLS connection to an upstream needs: made once per Service and snapshot, never per request. */
import { createHash } from 'node:crypto'
import type { ClientCertificate, UpstreamTls } from '../http/exchange.ts'
import type { CaCertificateEntity, CertificateEntity, ServiceEntity } from './snapshot.ts'

/** What holds where a Service does not say. */
export interface UpstreamTlsDefaults {
  readonly verify: boolean
  readonly clientCertificate: ClientCertificate | null
}

/** nginx's default of `proxy_ssl_verify_depth`. */
const DEFAULT_DEPTH = 1

/** The entities that Services refer to, by id. */
export class UpstreamTlsSource {
  readonly #certificates: ReadonlyMap<string, CertificateEntity>
  readonly #authorities: ReadonlyMap<string, CaCertificateEntity>
  readonly #defaults: UpstreamTlsDefaults

  constructor(certificates: readonly CertificateEntity[], authorities: readonly CaCertificateEntity[], defaults: UpstreamTlsDefaults) {
    this.#certificates = new Map(certificates.map((entity) => [entity.id, entity]))
    this.#authorities = new Map(authorities.map((entity) => [entity.id, entity]))
    this.#defaults = defaults
  }

  /** How the upstream of a Service is met; null for one in clear. */
  of(service: ServiceEntity): UpstreamTls | null {
    if (service.protocol !== 'https') return null
    const verify = service.tls_verify ?? this.#defaults.verify
    const verifyDepth = service.tls_verify_depth ?? DEFAULT_DEPTH
    const authorities = this.#authoritiesOf(service)
    const clientCertificate = this.#clientCertificateOf(service)
    const contextKey = digestOf([authorities, clientCertificate?.cert ?? null, clientCertificate?.key ?? null])
    return { verify, verifyDepth, authorities, clientCertificate, contextKey, key: `${verify}|${verifyDepth}|${contextKey}` }
  }

  /** An id that names nothing adds nothing, and an empty set trusts nobody: a list that was given never widens to the default. */
  #authoritiesOf({ ca_certificates: ids }: ServiceEntity): readonly string[] | null {
    return ids === null || ids.length === 0 ? null : ids.flatMap((id) => this.#authorities.get(id.toLowerCase())?.cert ?? [])
  }

  #clientCertificateOf({ client_certificate: reference }: ServiceEntity): ClientCertificate | null {
    const own = reference === null ? undefined : this.#certificates.get(reference.id)
    return own === undefined ? this.#defaults.clientCertificate : { cert: own.cert, key: own.key }
  }
}

function digestOf(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

import { createSecureContext, type SecureContext } from 'node:tls'

/**
 * What TLS connections need to know about trusted authorities: made at the first of them and then kept, as reading a bundle takes milliseconds.
 *
 * @param trustedCertificates PEM texts; undefined for the system's
 */
export function createTrustedContext(trustedCertificates: readonly string[] | undefined): () => SecureContext {
  let made: SecureContext | undefined
  return () => {
    made ??= createSecureContext(trustedCertificates === undefined ? {} : { ca: [...trustedCertificates] })
    return made
  }
}

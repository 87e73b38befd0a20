import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { isUuid } from '../schema/validate.ts'
import { pairViolation, privateKeyViolation } from '../util/pem.ts'
import { isLoopback, type Listener } from './listeners.ts'
import { isPem, readCertificate } from './setting.ts'
import { SETTINGS, type Settings } from './settings.ts'
import { checkTlsProfile } from './tls-profile.ts'

type ListenerSetting = 'proxy_listen' | 'admin_listen' | 'status_listen'

const LISTENER_SETTINGS: readonly ListenerSetting[] = ['proxy_listen', 'admin_listen', 'status_listen']

/**
 * Finds what is wrong with settings that are each well-formed: combinations, files that are missing, values that are not available yet.
 *
 * @returns one text per error, in Kong's words where Kong has the check; empty if all is well
 */
export function checkSettings(settings: Settings): string[] {
  return [
    ...checkAvailability(settings),
    ...LISTENER_SETTINGS.flatMap((name) => checkListeners(name, settings[name])),
    ...checkRealIp(settings),
    ...checkAdminExposure(settings),
    ...checkTlsProfile(settings),
    ...OWN_CERTIFICATES.flatMap((names) => checkOwnCertificate(names, settings)),
    ...checkTrustedCertificates(settings),
    ...checkClientCertificate(settings),
    ...checkHostsFile(settings),
    ...(settings.node_id === null || isUuid(settings.node_id) ? [] : ['node_id must be a valid UUID']),
  ]
}

/** A value that Kong knows and that would silently do something else here is refused. */
function checkAvailability(settings: Settings): string[] {
  const errors: string[] = []
  if (settings.database === 'postgres') errors.push('database = postgres is not available yet; use sqlite or off')
  if (settings.role !== 'traditional') errors.push(`role = ${settings.role} is not available yet; use traditional`)
  if (settings.router_flavor !== 'traditional_compatible') {
    errors.push(`router_flavor = ${settings.router_flavor} is not available; use traditional_compatible`)
  }
  if (settings.stream_listen !== 'off') errors.push('stream_listen: TCP and UDP proxying is not available; use off')
  return errors
}

function checkListeners(name: ListenerSetting, listeners: readonly Listener[]): string[] {
  return listeners.flatMap((listener) => [
    ...(listener.http2 && !listener.ssl && name !== 'proxy_listen'
      ? [`${name}: HTTP/2 without TLS is for proxy_listen alone, remove http2 from '${listener.listener}'`]
      : []),
  ])
}

/** What Kong's manual asks for: else no connection could have such an address. A node without a proxy has nothing to ask. */
function checkRealIp({ real_ip_header: header, proxy_listen: listeners }: Settings): string[] {
  if (header !== 'proxy_protocol' || listeners.length === 0 || listeners.some((listener) => listener.proxy_protocol)) return []
  return ['real_ip_header = proxy_protocol: at least one of the proxy_listen entries must have the flag proxy_protocol']
}

/** Whoever reaches the Admin API owns the gateway, so reaching it from elsewhere takes a decision of the operator. */
function checkAdminExposure(settings: Settings): string[] {
  if (settings.admin_token !== null || settings.admin_insecure) return []
  return settings.admin_listen
    .filter((listener) => !isLoopback(listener))
    .map(
      ({ listener }) =>
        `admin_listen: other machines could reach the Admin API at ${listener.split(' ')[0]}; set admin_token to a secret that clients must send, ` +
        'or admin_insecure = on if something else protects it, or listen on 127.0.0.1',
    )
}

/** The settings of one kind of listener and of its certificates. */
const OWN_CERTIFICATES = [
  { listen: 'proxy_listen', cert: 'ssl_cert', key: 'ssl_cert_key' },
  { listen: 'admin_listen', cert: 'admin_ssl_cert', key: 'admin_ssl_cert_key' },
  { listen: 'status_listen', cert: 'status_ssl_cert', key: 'status_ssl_cert_key' },
] as const

/** Looked at where a listener uses them, as Kong does; nothing of a key is in a text. */
function checkOwnCertificate({ listen, cert, key }: (typeof OWN_CERTIFICATES)[number], settings: Settings): string[] {
  const [certificates, keys] = [settings[cert], settings[key]]
  if (!settings[listen].some(({ ssl }) => ssl)) return []
  if (certificates.length > 0 && keys.length === 0) return [`${key} must be specified`]
  if (keys.length > 0 && certificates.length === 0) return [`${cert} must be specified`]
  if (certificates.length !== keys.length) {
    return [`${cert} was specified ${certificates.length} times while ${key} was specified ${keys.length} times`]
  }
  return certificates.flatMap((certificate, index) => {
    const secret = keys[index]?.reveal() ?? ''
    if (!isCertificate(certificate)) return [`${cert}: failed loading certificate from ${nameOf(certificate)}`]
    if (!isPrivateKey(secret)) return [`${key}: failed loading key from ${nameOfKey(secret)}`]
    const belongs = new X509Certificate(readCertificate(certificate)).checkPrivateKey(createPrivateKey(readCertificate(secret)))
    return belongs ? [] : [`${key}: ${nameOfKey(secret)} is not the key of ${nameOf(certificate)}`]
  })
}

function checkTrustedCertificates(settings: Settings): string[] {
  return settings.lua_ssl_trusted_certificate
    .filter((source) => source !== 'system' && !isCertificate(source))
    .map((source) => `lua_ssl_trusted_certificate: failed loading certificate from ${nameOf(source)}`)
}

function checkClientCertificate(settings: Settings): string[] {
  if (!settings.client_ssl) return []
  const { client_ssl_cert: cert, client_ssl_cert_key: key } = settings
  const missing = [
    ...(cert === null ? ['client_ssl_cert must be specified'] : []),
    ...(key === null ? ['client_ssl_cert_key must be specified'] : []),
  ]
  if (cert === null || key === null) return missing
  const faults = [
    ...(isCertificate(cert) ? [] : [`client_ssl_cert: failed loading certificate from ${nameOf(cert)}`]),
    ...(isPrivateKey(key.reveal()) ? [] : [`client_ssl_cert_key: failed loading key from ${nameOf(key.reveal())}`]),
  ]
  if (faults.length > 0) return faults
  const violation = pairViolation(readCertificate(cert), readCertificate(key.reveal()), 'certificate does not match key')
  return violation === undefined ? [] : [`client_ssl_cert: ${violation}`]
}

function isPrivateKey(source: string): boolean {
  try {
    return privateKeyViolation(readCertificate(source)) === undefined
  } catch {
    return false
  }
}

/** The default may be missing, as in a container made from nothing; a file that was named may not. */
function checkHostsFile(settings: Settings): string[] {
  if (settings.dns_hostsfile === SETTINGS.dns_hostsfile.default) return []
  return statSync(settings.dns_hostsfile, { throwIfNoEntry: false })?.isFile() === true ? [] : ['dns_hostsfile: file does not exist']
}

function isCertificate(source: string): boolean {
  try {
    new X509Certificate(readCertificate(source))
    return true
  } catch {
    return false
  }
}

function nameOf(source: string): string {
  return isPem(source) ? 'the given text' : source
}

/** A broken text of a key is taken for a path, and must not be echoed as one. */
function nameOfKey(source: string): string {
  const looksLikeKey = /[A-Za-z0-9+/=]{64}$/.test(source) && !existsSync(source)
  return looksLikeKey ? 'the given text' : nameOf(source)
}

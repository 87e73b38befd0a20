import { X509Certificate } from 'node:crypto'
import { statSync } from 'node:fs'
import { isUuid } from '../schema/validate.ts'
import { isLoopback, type Listener } from './listeners.ts'
import { isPem, readCertificate } from './setting.ts'
import { SETTINGS, type Settings } from './settings.ts'

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
    ...checkAdminExposure(settings),
    ...checkTrustedCertificates(settings),
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
    ...(listener.ssl ? [`${name}: TLS listeners are not available yet, remove '${listener.listener}'`] : []),
    ...(listener.http2 && name !== 'proxy_listen'
      ? [`${name}: HTTP/2 is for proxy_listen alone, remove http2 from '${listener.listener}'`]
      : []),
    ...(listener.proxy_protocol
      ? [`${name}: the PROXY protocol is not available yet, remove proxy_protocol from '${listener.listener}'`]
      : []),
  ])
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

function checkTrustedCertificates(settings: Settings): string[] {
  return settings.lua_ssl_trusted_certificate
    .filter((source) => source !== 'system' && !isCertificate(source))
    .map((source) => `lua_ssl_trusted_certificate: failed loading certificate from ${nameOf(source)}`)
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

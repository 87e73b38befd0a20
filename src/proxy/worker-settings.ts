import { readCertificate } from '../config/setting.ts'
import type { Settings } from '../config/settings.ts'
import type { ClientCertificate } from '../http/exchange.ts'
import type { CertificatePair } from './certificates.ts'

/** The settings that workers read. None is a secret: they travel in a message. */
const NAMES = [
  'log_level',
  'proxy_access_log',
  'proxy_error_log',
  'proxy_listen',
  'port_maps',
  'ssl_cipher_suite',
  'ssl_ciphers',
  'ssl_protocols',
  'ssl_prefer_server_ciphers',
  'ssl_session_tickets',
  'ssl_session_timeout',
  'headers',
  'headers_upstream',
  'trusted_ips',
  'real_ip_header',
  'real_ip_recursive',
  'trusted_identity_headers',
  'error_default_type',
  'client_max_body_size',
  'large_client_header_buffers',
  'client_header_timeout',
  'client_body_timeout',
  'send_timeout',
  'keepalive_timeout',
  'keepalive_requests',
  'nginx_events_worker_connections',
  'http2_max_concurrent_streams',
  'lingering_timeout',
  'upstream_keepalive_pool_size',
  'upstream_keepalive_max_requests',
  'upstream_keepalive_idle_timeout',
  'nginx_proxy_proxy_ssl_verify',
  'lua_ssl_trusted_certificate',
  'dns_hostsfile',
  'dns_valid_ttl',
  'dns_stale_ttl',
  'dns_error_ttl',
  'dns_not_found_ttl',
  'client_body_buffer_size',
  'vault_env_prefix',
  'route_match_calculation',
  'strict_paths',
  'nginx_proxy_early_hints',
  'plugins_dir',
  'introspection_cache_max_entries',
  'introspection_cache_negative_max_entries',
  'introspection_cache_max_bytes',
  'introspection_cache_ttl_without_exp',
  'tracing_instrumentations',
  'tracing_sampling_rate',
] as const

export type WorkerSettings = Pick<Settings, (typeof NAMES)[number]> & {
  readonly node_id: string
}

/** What of the settings goes to workers, and which node they are part of. */
export function workerSettings(settings: Settings, nodeId: string): WorkerSettings {
  return { ...Object.fromEntries(NAMES.map((name) => [name, settings[name]])), node_id: nodeId } as WorkerSettings
}

/** What of the settings is secret and goes to workers all the same, apart from what plugins see. */
export interface WorkerSecrets {
  /** What upstreams are shown where their service has none of its own; null for nothing. */
  readonly clientCertificate: ClientCertificate | null
  /** The node's own, for TLS listeners; empty when there are none. */
  readonly certificates: readonly CertificatePair[]
}

/** @throws when a file cannot be read */
export function workerSecrets(settings: Settings, certificates: readonly CertificatePair[]): WorkerSecrets {
  return { clientCertificate: clientCertificateOf(settings), certificates }
}

function clientCertificateOf({ client_ssl: on, client_ssl_cert: cert, client_ssl_cert_key: key }: Settings): ClientCertificate | null {
  return !on || cert === null || key === null ? null : { cert: readCertificate(cert), key: readCertificate(key.reveal()) }
}

/** Settings that a reload puts in force: those of the workers, what says how many there are, certificates, and what a declarative start loads. */
export const RELOADED: ReadonlySet<string> = new Set([
  ...NAMES,
  'client_ssl',
  'client_ssl_cert',
  'client_ssl_cert_key',
  'nginx_worker_processes',
  'ssl_cert',
  'ssl_cert_key',
  'admin_ssl_cert',
  'admin_ssl_cert_key',
  'status_ssl_cert',
  'status_ssl_cert_key',
  'declarative_config',
  'declarative_config_string',
])

import type { Settings } from '../config/settings.ts'

/** The settings that workers read. None is a secret: they travel in a message. */
const NAMES = [
  'log_level',
  'proxy_access_log',
  'proxy_error_log',
  'proxy_listen',
  'port_maps',
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
  'plugins_dir',
  'introspection_cache_max_entries',
  'introspection_cache_negative_max_entries',
  'introspection_cache_max_bytes',
  'introspection_cache_ttl_without_exp',
] as const

export type WorkerSettings = Pick<Settings, (typeof NAMES)[number]>

/** What of the settings goes to workers. */
export function workerSettings(settings: Settings): WorkerSettings {
  return Object.fromEntries(NAMES.map((name) => [name, settings[name]])) as WorkerSettings
}

/** Settings that a reload puts in force: those of the workers, and what says how many there are and what a declarative start loads. */
export const RELOADED: ReadonlySet<string> = new Set([
  ...NAMES,
  'nginx_worker_processes',
  'declarative_config',
  'declarative_config_string',
])

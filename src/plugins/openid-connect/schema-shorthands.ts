/** The older names of openid-connect's own fields; those inside its Redis records are in schema-redis.ts. */
import { field } from '../../schema/field.ts'
import type { Alias } from './schema-alias.ts'
import { ignored, moved, shorthandsOf, silent } from './schema-alias.ts'
import { node } from './schema-redis.ts'

/** Write: the one path becomes the only element. Read: the first path. */
const consumerClaim: Alias = {
  field: field.array({ elements: field.string() }),
  to: [['consumer_claims']],
  kind: 'renamed',
  write: (path) => (Array.isArray(path) && path.length > 0 ? [path] : path),
  read: (paths) => (Array.isArray(paths) ? (paths[0] ?? null) : null),
}

/** Name → type and replacement, in Kong's order. */
export const shorthands = shorthandsOf('config', {
  // Replaced in 3.2
  authorization_cookie_lifetime: silent(field.number(), ['authorization_rolling_timeout']),
  authorization_cookie_samesite: silent(field.string(), ['authorization_cookie_same_site'], offMeansLax),
  authorization_cookie_httponly: silent(field.boolean(), ['authorization_cookie_http_only']),
  session_cookie_lifetime: silent(field.number(), ['session_rolling_timeout']),
  session_cookie_idletime: silent(field.number(), ['session_idling_timeout'], (seconds) => seconds ?? 0),
  session_cookie_samesite: silent(field.string(), ['session_cookie_same_site'], offMeansLax),
  session_cookie_httponly: silent(field.boolean(), ['session_cookie_http_only']),
  session_memcache_prefix: silent(field.string(), ['session_memcached_prefix']),
  session_memcache_socket: silent(field.string(), ['session_memcached_socket']),
  session_memcache_host: silent(field.string(), ['session_memcached_host']),
  session_memcache_port: silent(field.integer(), ['session_memcached_port']),

  // Without a successor since 3.2
  session_cookie_renew: ignored(field.number()),
  session_cookie_maxsize: ignored(field.integer()),
  session_strategy: ignored(field.string()),
  session_compressor: ignored(field.string()),

  // Moved into `redis` in 3.8
  session_redis_prefix: moved(field.string(), ['redis', 'prefix']),
  session_redis_socket: moved(field.string(), ['redis', 'socket']),
  session_redis_host: moved(field.string(), ['redis', 'host']),
  session_redis_port: moved(field.integer(), ['redis', 'port']),
  session_redis_username: moved(field.string({ referenceable: true }), ['redis', 'username']),
  session_redis_password: moved(field.string({ referenceable: true, encrypted: true }), ['redis', 'password']),
  session_redis_connect_timeout: moved(field.integer(), ['redis', 'connect_timeout']),
  session_redis_read_timeout: moved(field.integer(), ['redis', 'read_timeout']),
  session_redis_send_timeout: moved(field.integer(), ['redis', 'send_timeout']),
  session_redis_ssl: moved(field.boolean(), ['redis', 'ssl']),
  session_redis_ssl_verify: moved(field.boolean(), ['redis', 'ssl_verify']),
  session_redis_server_name: moved(field.string(), ['redis', 'server_name']),
  session_redis_cluster_nodes: moved(field.array({ elements: node('ip', 'Node') }), ['redis', 'cluster_nodes']),
  session_redis_cluster_max_redirections: moved(field.integer(), ['redis', 'cluster_max_redirections']),

  // Gone from Kong, kept so that old files load
  session_redis_cluster_maxredirections: silent(field.integer(), ['redis', 'cluster_max_redirections']),
  session_redis_auth: silent(field.string({ referenceable: true, encrypted: true }), ['redis', 'password']),

  // Replaced in 3.14
  consumer_claim: consumerClaim,
})

function offMeansLax(value: unknown): unknown {
  return value === 'off' ? 'Lax' : value
}

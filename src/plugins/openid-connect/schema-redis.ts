/** The Redis connection that session storage and the shared cache have in common, with its older spellings and its own rules. */
import type { Check } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import { addresses, moved, shorthandsOf } from './schema-alias.ts'

const MAX_INT = 2_147_483_646

/** Address, limits, Sentinel, Cluster and TLS. */
export const redisConnection = {
  host: field.string({
    default: '127.0.0.1',
    referenceable: true,
    validator: hostViolation,
    description: "Redis host (or the proxy's host).",
  }),
  port: field.integer({ default: 6379, between: [0, 65_535], referenceable: true, description: "Redis port (or the proxy's port)." }),
  connect_timeout: field.integer({ default: 2000, between: [0, MAX_INT], unit: 'ms', description: 'Connection timeout.' }),
  send_timeout: field.integer({ default: 2000, between: [0, MAX_INT], unit: 'ms', description: 'Write timeout.' }),
  read_timeout: field.integer({ default: 2000, between: [0, MAX_INT], unit: 'ms', description: 'Read timeout.' }),
  username: field.string({ referenceable: true, description: 'ACL user for AUTH (Redis 6 or later); absent uses password-only AUTH.' }),
  password: field.string({ referenceable: true, encrypted: true, description: 'AUTH password; absent sends no AUTH.' }),
  sentinel_username: field.string({ referenceable: true, description: 'ACL user for the Sentinel nodes.' }),
  sentinel_password: field.string({ referenceable: true, encrypted: true, description: 'Password for the Sentinel nodes.' }),
  database: field.integer({ default: 0, description: 'Database number selected after connecting (standalone and Sentinel).' }),
  keepalive_pool_size: field.integer({
    default: 256,
    between: [1, MAX_INT],
    description: 'Maximum idle connections kept per server and worker.',
  }),
  keepalive_backlog: field.integer({ between: [0, MAX_INT], description: 'Maximum operations queued for a full pool.' }),
  sentinel_master: field.string({ description: 'Monitored master name; enables Sentinel mode together with role and nodes.' }),
  sentinel_role: field.string({ oneOf: ['master', 'slave', 'any'], description: 'Which instance Sentinel shall yield.' }),
  sentinel_nodes: field.array({ lenMin: 1, elements: node('host', 'Sentinel'), description: 'Sentinel addresses.' }),
  cluster_nodes: field.array({ lenMin: 1, elements: node('ip', 'Node'), description: 'Seed nodes; enables Redis Cluster mode.' }),
  ssl: field.boolean({ default: false, description: 'Connects over TLS.' }),
  ssl_verify: field.boolean({ default: true, description: 'Verifies the server certificate.' }),
  server_name: field.string({ referenceable: true, validator: hostViolation, description: 'SNI and certificate name for TLS.' }),
  cluster_max_redirections: field.integer({ default: 5, description: 'Maximum MOVED/ASK redirections followed.' }),
  connection_is_proxied: field.boolean({
    default: false,
    description: 'The address is a proxy in front of Redis (host required; excludes non-zero database, Sentinel and Cluster).',
  }),
}

/** Where sessions lie in Redis. */
export const redisSessionKeys = {
  prefix: field.string({ description: 'Prefix of session keys in Redis.' }),
  socket: field.string({ description: 'Unix socket of Redis; wins over host and port.' }),
}

/** Credentials from a cloud's identity service. */
export const redisCloudAuthentication = {
  cloud_authentication: field.record({
    fields: {
      auth_provider: field.string({
        oneOf: ['aws', 'azure', 'gcp'],
        referenceable: true,
        description: 'Cloud whose identity service issues the credential.',
      }),
      aws_cache_name: field.string({ referenceable: true, description: 'ElastiCache cluster name.' }),
      aws_region: field.string({ referenceable: true, description: 'ElastiCache region.' }),
      aws_is_serverless: field.boolean({ default: true, description: 'Whether the ElastiCache is serverless.' }),
      aws_access_key_id: field.string({ referenceable: true, encrypted: true, description: 'Static AWS key id.' }),
      aws_secret_access_key: field.string({ referenceable: true, encrypted: true, description: 'Static AWS secret key.' }),
      aws_assume_role_arn: field.string({
        referenceable: true,
        encrypted: true,
        description: 'Role to assume before generating the IAM token.',
      }),
      aws_role_session_name: field.string({ referenceable: true, encrypted: true, description: 'Session name for the assumed role.' }),
      gcp_service_account_json: field.string({ referenceable: true, encrypted: true, description: 'Service-account key document.' }),
      azure_client_id: field.string({ referenceable: true, encrypted: true, description: 'Azure application id.' }),
      azure_client_secret: field.string({ referenceable: true, encrypted: true, description: 'Azure application secret.' }),
      azure_tenant_id: field.string({
        referenceable: true,
        encrypted: true,
        description: 'Directory (tenant) the Azure application belongs to.',
      }),
    },
    description: 'Cloud-provider identity authentication for managed Redis; null disables it.',
  }),
}

/** Older names inside the record, which the configuration calls `record`. */
export function redisShorthands(record: string) {
  return shorthandsOf(`config.${record}`, {
    timeout: moved(field.integer({ between: [0, MAX_INT] }), ['connect_timeout'], ['send_timeout'], ['read_timeout']),
    sentinel_addresses: addresses('sentinel_nodes', 'host'),
    cluster_addresses: addresses('cluster_nodes', 'ip'),
  })
}

/** Rules of the record, in Kong's order. */
export const redisChecks: readonly Check[] = [
  { kind: 'mutually_required', fields: ['host', 'port'] },
  { kind: 'mutually_required', fields: ['sentinel_master', 'sentinel_role', 'sentinel_nodes'] },
  { kind: 'mutually_required', fields: ['connect_timeout', 'send_timeout', 'read_timeout'] },
  { kind: 'conditional', ifField: 'connection_is_proxied', ifMatch: { eq: true }, thenField: 'host', thenMatch: { required: true } },
  unproxied('database', (database) => typeof database === 'number' && database !== 0, 'a proxied connection has only database 0'),
  unproxied('cluster_nodes', isSet, 'cluster_nodes cannot be used with a proxied connection'),
  unproxied('sentinel_role', isSet, 'sentinel_role cannot be used with a proxied connection'),
]

function unproxied(name: string, clashes: (value: unknown) => boolean, text: string): Check {
  return {
    kind: 'custom',
    fields: [name, 'connection_is_proxied'],
    run: (redis) => (redis['connection_is_proxied'] === true && clashes(redis[name]) ? { '@entity': [text] } : undefined),
  }
}

function isSet(value: unknown): boolean {
  return value !== null && value !== undefined
}

/** One address of a Sentinel or Cluster list; `name` is the member for the host. */
export function node<const Name extends 'host' | 'ip'>(name: Name, subject: string) {
  const address = field.string({
    required: true,
    default: '127.0.0.1',
    validator: hostViolation,
    description: `${subject} host or address.`,
  })
  const port = field.integer({ default: 6379, between: [0, 65_535], description: `${subject} port.` })
  return field.record({ fields: { [name]: address, port } as Record<Name, typeof address> & { port: typeof port } })
}

/** A host name or an IP address, without port (Kong's `host` type). */
export function hostViolation(value: string): string | undefined {
  const host = value.includes(':') && !value.startsWith('[') ? `[${value}]` : value
  if (/^[^:]+:\d+$/.test(value) || /^\[.*\]:\d+$/.test(value)) return 'must not have a port'
  const plain = /^[A-Za-z0-9._*-]+$/.test(host) || /^\[[0-9A-Fa-f:.]+\]$/.test(host)
  return plain && URL.canParse(`http://${host.replaceAll('*', 'x')}/`) ? undefined : `invalid value: ${value}`
}

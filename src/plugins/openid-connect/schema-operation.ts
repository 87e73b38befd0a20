import { field } from '../../schema/field.ts'
import { hostViolation, redisChecks, redisCloudAuthentication, redisConnection, redisShorthands } from './schema-redis.ts'
import { BINDING_MODES, later } from './schema-terms.ts'

/** Caches, connections, errors, and tokens that are bound to a key. */
export const operationFields = {
  // Caches
  cache_ttl: field.number({
    default: 3600,
    unit: 's',
    description: 'Cache lifetime in seconds for objects that carry no expiry of their own.',
  }),
  cache_ttl_max: field.number({ unit: 's', description: 'Upper bound in seconds applied to every computed lifetime.' }),
  cache_ttl_min: field.number({ unit: 's', description: 'Lower bound in seconds applied to every computed lifetime.' }),
  cache_ttl_neg: field.number({
    unit: 's',
    description: 'Lifetime in seconds of cached misses and failures; null uses the gateway default.',
  }),
  cache_ttl_resurrect: field.number({
    unit: 's',
    description:
      'Seconds for which an expired introspection answer or discovery document may be used while the provider fails; never beyond the `exp` of a token. Null: not at all.',
  }),
  cache_tokens: field.boolean({
    default: true,
    description: 'Caches token-endpoint results of password, client_credentials and refresh_token grants.',
  }),
  cache_tokens_salt: field.string({
    auto: true,
    description:
      'Salt of the token cache key; generated per plugin instance so that instances do not share cached tokens unless the value is equal.',
  }),
  cache_introspection: field.boolean({ default: true, description: 'Caches introspection results.' }),
  cache_token_exchange: field.boolean({
    default: true,
    notBuilt: later.tokenExchange,
    description: 'Caches results of the legacy `token_exchange_endpoint`.',
  }),
  cache_user_info: field.boolean({ default: true, notBuilt: later.userInfo, description: 'Caches user-info results.' }),
  search_user_info: field.boolean({
    default: false,
    notBuilt: later.userInfo,
    description: 'Also consults the user-info endpoint for consumer, credential, group and header claims.',
  }),

  // Connections to the provider
  hide_credentials: field.boolean({
    default: true,
    description: 'Removes the credentials that authenticated the request before it is proxied.',
  }),
  http_version: field.number({
    default: 1.1,
    oneOf: [1, 1.1],
    notBuilt: later.http10,
    description: 'HTTP version of requests to the provider; 1.0 and 1.1 are the only values.',
  }),
  http_proxy: field.url({ notBuilt: later.forwardProxies, description: 'Proxy for plain-HTTP provider addresses.' }),
  http_proxy_authorization: field.string({
    referenceable: true,
    notBuilt: later.forwardProxies,
    description: 'Proxy-Authorization value for `http_proxy`.',
  }),
  https_proxy: field.url({ notBuilt: later.forwardProxies, description: 'Proxy for HTTPS provider addresses.' }),
  https_proxy_authorization: field.string({
    referenceable: true,
    notBuilt: later.forwardProxies,
    description: 'Proxy-Authorization value for `https_proxy`.',
  }),
  no_proxy: field.string({ notBuilt: later.forwardProxies, description: 'Comma-separated hosts that are contacted without a proxy.' }),
  keepalive: field.boolean({ default: true, description: 'Reuses provider connections.' }),
  ssl_verify: field.boolean({ default: true, description: "Verifies provider certificates against the gateway's trusted CA set." }),
  timeout: field.number({ default: 10_000, unit: 'ms', description: 'Network timeout in milliseconds for provider calls.' }),

  // Errors and odds
  display_errors: field.boolean({ default: false, description: 'Adds the failure reason to error responses.' }),
  by_username_ignore_case: field.boolean({ default: false, description: 'Compares usernames case-insensitively during consumer mapping.' }),
  resolve_distributed_claims: field.boolean({
    default: false,
    notBuilt: later.distributedClaims,
    description: 'Fetches distributed claims referenced by `_claim_names`/`_claim_sources` and merges them into the payload.',
  }),
  expose_error_code: field.boolean({
    default: true,
    description: 'Adds the RFC 6750 error code to the WWW-Authenticate header of failures.',
  }),
  token_cache_key_include_scope: field.boolean({ default: false, description: 'Makes requested scopes part of the token cache key.' }),
  introspection_token_param_name: field.string({
    default: 'token',
    description: 'Form parameter name that carries the token in introspection requests.',
  }),
  revocation_token_param_name: field.string({
    default: 'token',
    notBuilt: later.revocation,
    description: 'Form parameter name that carries the token in revocation requests.',
  }),

  // Certificate-bound tokens
  proof_of_possession_mtls: field.string({
    default: 'off',
    oneOf: BINDING_MODES,
    notBuilt: later.proofOfPossession,
    description:
      'Certificate-bound token check (RFC 8705): off, strict (every token must carry and match `cnf.x5t#S256`) or optional (only tokens that carry it).',
  }),
  proof_of_possession_mtls_from_header: field.record({
    fields: {
      certificate_header_name: field.string({ required: true, description: 'Header that holds the certificate.' }),
      certificate_header_format: field.string({
        default: 'url_encoded',
        oneOf: ['base64_encoded', 'url_encoded'],
        description: 'Encoding of that header: URL-encoded PEM or base64 body.',
      }),
      ca_certificates: field.array({
        required: true,
        elements: field.string(),
        description: "Ids of CA Certificate entities that must anchor the certificate's chain.",
      }),
      allow_partial_chain: field.boolean({ default: false, description: 'Accepts an intermediate as trust anchor.' }),
      secure_source: field.boolean({
        default: true,
        description: "Honours the header only from addresses in the gateway's `trusted_ips`.",
      }),
      revocation_check_mode: field.string({
        default: 'IGNORE_CA_ERROR',
        oneOf: ['IGNORE_CA_ERROR', 'SKIP', 'STRICT'],
        description:
          'Revocation policy: SKIP never checks, IGNORE_CA_ERROR ignores unreachable responders, STRICT requires a definite answer.',
      }),
      cert_cache_ttl: field.number({ default: 60_000, unit: 'ms', description: 'Milliseconds for which a revocation result is reused.' }),
      http_timeout: field.number({ default: 30_000, unit: 'ms', description: 'Milliseconds allowed for OCSP and CRL requests.' }),
      http_proxy_host: field.string({ validator: hostViolation, description: 'Proxy host for plain-HTTP OCSP and CRL requests.' }),
      http_proxy_port: field.integer({ between: [0, 65_535], description: 'Port of that proxy.' }),
      https_proxy_host: field.string({ validator: hostViolation, description: 'Proxy host for HTTPS OCSP and CRL requests.' }),
      https_proxy_port: field.integer({ between: [0, 65_535], description: 'Port of that proxy.' }),
      ssl_verify: field.boolean({ default: true, description: 'Verifies the certificate of OCSP and CRL servers.' }),
    },
    notBuilt: later.proofOfPossession,
    description: 'Takes the client certificate from a header set by a TLS-terminating proxy instead of, or besides, the connection.',
  }),
  proof_of_possession_auth_methods_validation: field.boolean({
    default: true,
    notBuilt: later.proofOfPossession,
    description:
      'Rejects a configuration in which PoP is on and an auth method that cannot support it is enabled; false skips PoP silently for such methods.',
  }),

  // Mutual TLS towards the provider
  tls_client_auth_cert_id: field.uuid({
    notBuilt: later.mutualTls,
    description: 'Id of the Certificate entity presented to the provider for mutual-TLS client authentication.',
  }),
  tls_client_auth_ssl_verify: field.boolean({
    default: true,
    notBuilt: later.mutualTls,
    description: "Verifies the provider's certificate on those mutual-TLS connections.",
  }),
  mtls_token_endpoint: field.url({
    notBuilt: later.mutualTls,
    description: 'Token endpoint used with mutual-TLS client authentication; wins over the discovered alias.',
  }),
  mtls_introspection_endpoint: field.url({
    notBuilt: later.mutualTls,
    description: 'Introspection endpoint used with mutual-TLS client authentication; wins over the discovered alias.',
  }),
  mtls_revocation_endpoint: field.url({
    notBuilt: later.mutualTls,
    description: 'Revocation endpoint used with mutual-TLS client authentication; wins over the discovered alias.',
  }),

  // DPoP
  proof_of_possession_dpop: field.string({
    default: 'off',
    oneOf: BINDING_MODES,
    notBuilt: later.dpop,
    description: 'DPoP check (RFC 9449): off, strict (every token needs a valid proof) or optional (only tokens that carry `cnf.jkt`).',
  }),
  dpop_use_nonce: field.boolean({
    default: false,
    notBuilt: later.dpop,
    description: 'Challenges callers with a DPoP-Nonce and bases proof freshness on it.',
  }),
  dpop_proof_lifetime: field.number({
    default: 300,
    unit: 's',
    notBuilt: later.dpop,
    description: 'Seconds for which a proof is fresh, counted from nonce creation or from `iat` without nonces.',
  }),

  // Forbidden claims
  claims_forbidden: field.array({
    elements: field.string(),
    description: 'Claims whose mere presence in the token or introspection payload makes the request fail with 403.',
  }),

  // Shared cache
  cluster_cache_strategy: field.string({
    default: 'off',
    oneOf: ['off', 'redis'],
    notBuilt: later.sharedCache,
    description: 'Shares cached items between nodes: off, or through `cluster_cache_redis`.',
  }),
  cluster_cache_items: field.array({
    default: ['introspection'],
    elements: field.string({ oneOf: ['introspection', 'tokens'] }),
    notBuilt: later.sharedCache,
    description: 'Which items go to the cluster cache; tokens are encrypted before they are written; an empty list turns it off.',
  }),
  cluster_cache_redis: field.record({
    required: true,
    notBuilt: later.sharedCache,
    fields: { ...redisConnection, ...redisCloudAuthentication },
    shorthands: redisShorthands('cluster_cache_redis'),
    checks: redisChecks,
    description: 'Redis connection of the cluster cache.',
  }),
}

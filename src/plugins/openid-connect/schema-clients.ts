import { field } from '../../schema/field.ts'
import { AUTH_METHODS, CLIENT_AUTH_METHODS, later, mutualTlsViolation, SIGNATURE_ALGORITHMS } from './schema-terms.ts'

/** The provider, the clients that the gateway is there, and what a token must bring. */
export const clientFields = {
  // Issuer, discovery and keys
  issuer: field.string({
    required: true,
    referenceable: true,
    description:
      'Identity-provider identifier. Any well-known discovery suffix is stripped, the discovery document is fetched below it, and the value (or the discovered issuer) is what token `iss` claims are compared with.',
  }),
  using_pseudo_issuer: field.boolean({
    default: false,
    description:
      'Turns discovery off for this plugin: `issuer` becomes a plain label and default expected `iss`, so every endpoint and key source that is used must be configured explicitly.',
  }),
  discovery_headers_names: field.array({
    elements: field.string(),
    description: 'Names of static request headers added to discovery and JWKS requests; paired by index with `discovery_headers_values`.',
  }),
  discovery_headers_values: field.array({
    elements: field.string(),
    description: 'Values for `discovery_headers_names`, paired by index.',
  }),
  extra_jwks_uris: field.set({
    elements: field.url({ referenceable: true }),
    description:
      'Additional JWKS documents whose public keys are trusted after the primary key set; used for multi-provider setups together with `issuers_allowed`.',
  }),
  jwks_endpoint: field.url({
    description: 'Key-set address used in place of the discovered `jwks_uri`; also gives a key source when `using_pseudo_issuer` is true.',
  }),
  rediscovery_lifetime: field.number({
    default: 30,
    unit: 's',
    description:
      'Minimum number of seconds between two successful discovery or key fetches for one issuer (a failed attempt may be retried after 5 s); 0 removes the throttle.',
  }),

  // Methods and clients
  auth_methods: field.array({
    default: [...AUTH_METHODS],
    elements: field.string({ oneOf: AUTH_METHODS }),
    description:
      'Credential types and grants that are accepted; the order of evaluation is fixed and does not follow the list. Available now: `bearer`, `introspection`, `password`. The default list is accepted as it is, its other members never match; a list of your own may hold only the available ones.',
  }),
  client_id: field.array({
    encrypted: true,
    elements: field.string({ referenceable: true }),
    description:
      'Client identifiers the gateway uses at the provider. Several entries define several clients; the entry picked through `client_arg` supplies the index into all per-client arrays.',
  }),
  client_secret: field.array({
    encrypted: true,
    elements: field.string({ referenceable: true }),
    description:
      'Secrets of the clients in `client_id`, by index; used for Basic, body and HMAC client authentication and as HS* verification key when HS signatures are enabled.',
  }),
  client_auth: field.array({
    elements: field.string({ oneOf: CLIENT_AUTH_METHODS, validator: mutualTlsViolation }),
    description:
      'Per-client default token-endpoint authentication method, by index; endpoint-specific `*_auth_method` fields take precedence. The two that present a certificate are not available yet.',
  }),
  client_jwk: field.array({
    elements: field.record({
      fields: {
        issuer: field.string({ description: 'Issuer label of the key (Kong-specific member).' }),
        kty: field.string({ description: 'Key type (RFC 7517 §4.1).' }),
        use: field.string({ description: 'Intended use.' }),
        key_ops: field.array({ elements: field.string(), description: 'Permitted operations.' }),
        alg: field.string({ description: 'Algorithm the key is for.' }),
        kid: field.string({ description: 'Key id; sent in the assertion header.' }),
        x5u: field.string({ description: 'URL of the certificate chain.' }),
        x5c: field.array({ elements: field.string(), description: 'Certificate chain, base64 DER.' }),
        x5t: field.string({ description: 'SHA-1 thumbprint of the certificate.' }),
        'x5t#S256': field.string({ description: 'SHA-256 thumbprint of the certificate.' }),
        k: field.string({ referenceable: true, encrypted: true, description: 'Symmetric key value.' }),
        x: field.string({ description: 'EC/OKP x coordinate or public key.' }),
        y: field.string({ description: 'EC y coordinate.' }),
        crv: field.string({ description: 'Curve name.' }),
        n: field.string({ description: 'RSA modulus.' }),
        e: field.string({ description: 'RSA public exponent.' }),
        d: field.string({ referenceable: true, encrypted: true, description: 'Private exponent or private key.' }),
        p: field.string({ referenceable: true, encrypted: true, description: 'First RSA prime.' }),
        q: field.string({ referenceable: true, encrypted: true, description: 'Second RSA prime.' }),
        dp: field.string({ referenceable: true, encrypted: true, description: 'First RSA factor exponent.' }),
        dq: field.string({ referenceable: true, encrypted: true, description: 'Second RSA factor exponent.' }),
        qi: field.string({ referenceable: true, encrypted: true, description: 'First RSA CRT coefficient.' }),
        oth: field.string({ referenceable: true, encrypted: true, description: 'Further RSA primes (string here, not an array).' }),
        r: field.string({ referenceable: true, encrypted: true, description: 'Prime of a further RSA factor.' }),
        t: field.string({ referenceable: true, encrypted: true, description: 'CRT coefficient of a further RSA factor.' }),
      },
    }),
    description:
      'Per-client private (or symmetric) JWK, by index, for signing client assertions and request objects and for decrypting encrypted responses.',
  }),
  client_alg: field.array({
    elements: field.string({ oneOf: SIGNATURE_ALGORITHMS }),
    description:
      'Per-client signature algorithm for client assertions, by index (HS* only for client_secret_jwt, asymmetric only for private_key_jwt).',
  }),
  client_arg: field.string({
    default: 'client_id',
    description:
      'Name of the request parameter (header, query, body) by which a caller chooses among configured clients, by client id or by 1-based index.',
  }),

  // Where a browser is sent, and what an answer says
  redirect_uri: field.array({
    elements: field.url(),
    notBuilt: later.codeFlow,
    description:
      "Per-client callback address sent as `redirect_uri` in the authorization-code flow; when absent the current request's forwarded URL is used.",
  }),
  login_redirect_uri: field.array({
    elements: field.url({ referenceable: true }),
    notBuilt: later.login,
    description:
      'Per-client destination after a successful login when `login_action` is `redirect`; when absent the originally requested URL is used.',
  }),
  logout_redirect_uri: field.array({
    elements: field.url({ referenceable: true }),
    notBuilt: later.logout,
    description:
      'Per-client destination after logout; also sent as `post_logout_redirect_uri` when the provider has an end-session endpoint.',
  }),
  forbidden_redirect_uri: field.array({ elements: field.url(), description: 'Per-client destination that replaces the 403 response.' }),
  forbidden_error_message: field.string({ default: 'Forbidden', description: 'Text of the `message` member of the 403 body.' }),
  forbidden_destroy_session: field.boolean({
    default: true,
    notBuilt: later.sessions,
    description: 'Whether a 403 outcome also destroys the current session (and clears its cookie).',
  }),
  unauthorized_destroy_session: field.boolean({
    default: true,
    notBuilt: later.sessions,
    description: 'Whether a 401 outcome also destroys the current session (and clears its cookie).',
  }),
  unauthorized_redirect_uri: field.array({ elements: field.url(), description: 'Per-client destination that replaces the 401 response.' }),
  unauthorized_error_message: field.string({ default: 'Unauthorized', description: 'Text of the `message` member of the 401 body.' }),
  unexpected_redirect_uri: field.array({ elements: field.url(), description: 'Per-client destination that replaces the 500 response.' }),

  // What is asked for
  response_mode: field.string({
    default: 'query',
    oneOf: ['query', 'form_post', 'fragment', 'query.jwt', 'form_post.jwt', 'fragment.jwt', 'jwt'],
    notBuilt: later.codeFlow,
    description:
      'Value of the `response_mode` parameter of authorization requests; the `*.jwt` and `jwt` modes require the callback to be a signed response (JARM).',
  }),
  response_type: field.array({
    default: ['code'],
    elements: field.string(),
    notBuilt: later.codeFlow,
    description:
      'Value of the `response_type` parameter of authorization requests, elements joined with spaces; only `code` suits a server-side flow.',
  }),
  scopes: field.array({
    default: ['openid'],
    elements: field.string({ referenceable: true }),
    description: 'Scopes requested from the authorization and token endpoints, joined with spaces; null sends no `scope` parameter.',
  }),
  audience: field.array({
    elements: field.string(),
    description:
      'Values of the `audience` parameter sent with the authorization request and token requests. It is a request parameter, not an access check (use `audience_required`).',
  }),

  // What a token must bring
  issuers_allowed: field.array({
    elements: field.string({ referenceable: true }),
    description:
      'Accepted values of the `iss` claim. When absent only the configured or discovered issuer is accepted; the check stays active when `verify_claims` is false.',
  }),
  scopes_required: field.array({
    elements: field.string(),
    description: 'Scope requirement: any one list element suffices; a space-separated element demands all of its words.',
  }),
  scopes_claim: field.array({
    default: ['scope'],
    elements: field.string(),
    description: 'Path (one array element per nesting level) of the claim compared with `scopes_required`.',
  }),
  audience_required: field.array({
    elements: field.string(),
    description: 'Audience requirement with the same OR-of-AND semantics as `scopes_required`.',
  }),
  audience_claim: field.array({
    default: ['aud'],
    elements: field.string(),
    description: 'Path of the claim compared with `audience_required`.',
  }),
  groups_required: field.array({
    elements: field.string(),
    description: 'Group requirement with the same OR-of-AND semantics as `scopes_required`.',
  }),
  groups_claim: field.array({
    default: ['groups'],
    elements: field.string(),
    description: 'Path of the claim compared with `groups_required`.',
  }),
  roles_required: field.array({
    elements: field.string(),
    description: 'Role requirement with the same OR-of-AND semantics as `scopes_required`.',
  }),
  roles_claim: field.array({
    default: ['roles'],
    elements: field.string(),
    description: 'Path of the claim compared with `roles_required`.',
  }),
  domains: field.array({ elements: field.string(), description: 'Accepted values of the `hd` (hosted domain) claim.' }),
  max_age: field.number({
    unit: 's',
    description: 'Maximum seconds since `auth_time`; also sent as `max_age` in the authorization request.',
  }),
  authenticated_groups_claim: field.array({
    elements: field.string(),
    description:
      "Path of the claim whose values become the request's authenticated groups (consumed by the acl plugin when no consumer is mapped).",
  }),
}

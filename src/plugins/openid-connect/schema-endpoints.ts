import { field } from '../../schema/field.ts'
import { exchangeRequestChecks, subjectIssuerChecks } from './schema-checks.ts'
import { clientAuthentication, later, laterClientAuthentication, NO_EMPTY_SEGMENTS, SAME_SITE } from './schema-terms.ts'

/** The provider's endpoints, and what requests to them carry. */
export const endpointFields = {
  // Authorization endpoint
  pushed_authorization_request_endpoint: field.url({
    notBuilt: later.codeFlow,
    description: 'Overrides the discovered PAR endpoint (RFC 9126).',
  }),
  pushed_authorization_request_endpoint_auth_method: laterClientAuthentication(
    'Client authentication at the PAR endpoint; falls back to `client_auth`, then discovery, then client_secret_basic.',
    later.codeFlow,
  ),
  require_pushed_authorization_requests: field.boolean({
    notBuilt: later.codeFlow,
    description: 'Forces PAR on or off; null follows the discovery flag of the same name.',
  }),
  require_proof_key_for_code_exchange: field.boolean({
    notBuilt: later.codeFlow,
    description: 'Forces PKCE (S256) on or off; null enables it when discovery lists code challenge methods.',
  }),
  require_signed_request_object: field.boolean({
    notBuilt: later.codeFlow,
    description: 'Forces signed request objects (JAR, RFC 9101) on or off; null follows the discovery flag of the same name.',
  }),
  authorization_endpoint: field.url({ notBuilt: later.codeFlow, description: 'Overrides the discovered authorization endpoint.' }),
  authorization_query_args_names: field.array({
    elements: field.string(),
    notBuilt: later.codeFlow,
    description: 'Names of static parameters added to authorization requests; paired by index with `authorization_query_args_values`.',
  }),
  authorization_query_args_values: field.array({
    elements: field.string(),
    notBuilt: later.codeFlow,
    description: 'Values for `authorization_query_args_names`, paired by index.',
  }),
  authorization_query_args_client: field.array({
    elements: field.string(),
    notBuilt: later.codeFlow,
    description: 'Names of caller-supplied query parameters copied into the authorization request (for example login_hint).',
  }),
  authorization_rolling_timeout: field.number({
    default: 600,
    unit: 's',
    notBuilt: later.codeFlow,
    description:
      'Lifetime in seconds of the temporary authorization cookie that carries state, nonce and PKCE verifier; 0 disables the time check.',
  }),
  authorization_cookie_name: field.string({
    default: 'authorization',
    notBuilt: later.codeFlow,
    description: 'Name of that authorization cookie.',
  }),
  authorization_cookie_path: field.string({
    default: '/',
    startsWith: '/',
    matchNone: NO_EMPTY_SEGMENTS,
    notBuilt: later.codeFlow,
    description: 'Path attribute of the authorization cookie.',
  }),
  authorization_cookie_domain: field.string({ notBuilt: later.codeFlow, description: 'Domain attribute of the authorization cookie.' }),
  authorization_cookie_same_site: field.string({
    default: 'Default',
    oneOf: SAME_SITE,
    notBuilt: later.codeFlow,
    description: 'SameSite attribute of the authorization cookie; `Default` omits the attribute.',
  }),
  authorization_cookie_http_only: field.boolean({
    default: true,
    notBuilt: later.codeFlow,
    description: 'Whether the authorization cookie carries HttpOnly.',
  }),
  authorization_cookie_secure: field.boolean({
    notBuilt: later.codeFlow,
    description: 'Whether the authorization cookie carries Secure; null derives it from the request scheme.',
  }),
  preserve_query_args: field.boolean({
    default: false,
    notBuilt: later.codeFlow,
    description: "Keeps the original request's query arguments across the authorization-code round trip and restores them after login.",
  }),

  // Token endpoint
  token_endpoint: field.url({ description: 'Overrides the discovered token endpoint.' }),
  token_endpoint_auth_method: clientAuthentication(
    'Client authentication at the token endpoint for every client; wins over `client_auth`.',
  ),
  token_headers_names: field.array({
    elements: field.string(),
    description: 'Names of static headers sent to the token endpoint; paired by index with `token_headers_values`.',
  }),
  token_headers_values: field.array({ elements: field.string(), description: 'Values for `token_headers_names`, paired by index.' }),
  token_headers_client: field.array({
    elements: field.string(),
    description: 'Names of caller request headers copied into token requests.',
  }),
  token_headers_replay: field.array({
    elements: field.string(),
    notBuilt: later.headerReplay,
    description: 'Names of token-endpoint response headers returned to the caller.',
  }),
  token_headers_prefix: field.string({
    notBuilt: later.headerReplay,
    description: 'Prefix put before the names of replayed token-endpoint headers.',
  }),
  token_headers_grants: field.array({
    elements: field.string({ oneOf: ['password', 'client_credentials', 'authorization_code', 'refresh_token'] }),
    notBuilt: later.headerReplay,
    description: 'Restricts header replay to these grants; absent means all.',
  }),
  token_post_args_names: field.array({
    elements: field.string(),
    description: 'Names of static form parameters added to token requests; paired by index with `token_post_args_values`.',
  }),
  token_post_args_values: field.array({ elements: field.string(), description: 'Values for `token_post_args_names`, paired by index.' }),
  token_post_args_client: field.array({
    elements: field.string(),
    description: 'Names of caller parameters (query, body or header) copied into token requests; a value is part of the token cache key.',
  }),

  // Introspection endpoint
  introspection_endpoint: field.url({ referenceable: true, description: 'Overrides the discovered introspection endpoint.' }),
  introspection_endpoint_auth_method: clientAuthentication(
    'Client authentication at the introspection endpoint; falls back to `client_auth`, then discovery, then client_secret_basic.',
  ),
  introspection_hint: field.string({
    default: 'access_token',
    description: 'Value of `token_type_hint` sent with introspection requests; null omits the parameter.',
  }),
  introspection_check_active: field.boolean({
    default: true,
    description:
      'Whether the introspection response must contain `active: true`; turning it off is meant for providers that do not return the member.',
  }),
  introspection_accept: field.string({
    default: 'application/json',
    oneOf: ['application/json', 'application/token-introspection+jwt', 'application/jwt'],
    description:
      '`Accept` header of introspection requests; the two JWT values ask for a signed response (RFC 9701 or its draft predecessor).',
  }),
  introspection_headers_names: field.array({
    elements: field.string(),
    description: 'Names of static headers sent to the introspection endpoint; may replace the Authorization header.',
  }),
  introspection_headers_values: field.array({
    encrypted: true,
    elements: field.string({ referenceable: true }),
    description: 'Values for `introspection_headers_names`, paired by index.',
  }),
  introspection_headers_client: field.array({
    elements: field.string(),
    description: 'Names of caller request headers copied into introspection requests.',
  }),
  introspection_post_args_names: field.array({
    elements: field.string(),
    description: 'Names of static form parameters added to introspection requests.',
  }),
  introspection_post_args_values: field.array({
    elements: field.string(),
    description: 'Values for `introspection_post_args_names`, paired by index.',
  }),
  introspection_post_args_client: field.array({
    elements: field.string(),
    description: 'Names of caller query or body parameters copied into introspection requests.',
  }),
  introspection_post_args_client_headers: field.array({
    elements: field.string(),
    description: 'Names of caller headers whose values are sent as form parameters of introspection requests.',
  }),
  introspect_jwt_tokens: field.boolean({
    default: false,
    description: 'Also introspects bearer tokens that are JWTs and passed local verification, so that revocation is noticed.',
  }),

  // Revocation and end-session endpoints
  revocation_endpoint: field.url({ notBuilt: later.revocation, description: 'Overrides the discovered revocation endpoint (RFC 7009).' }),
  revocation_endpoint_auth_method: laterClientAuthentication(
    'Client authentication at the revocation endpoint; falls back to `client_auth`, then discovery, then client_secret_basic.',
    later.revocation,
  ),
  end_session_endpoint: field.url({
    notBuilt: later.logout,
    description: 'Overrides the discovered end-session endpoint used for RP-initiated logout.',
  }),

  // User-info endpoint
  userinfo_endpoint: field.url({ notBuilt: later.userInfo, description: 'Overrides the discovered user-info endpoint.' }),
  userinfo_accept: field.string({
    default: 'application/json',
    oneOf: ['application/json', 'application/jwt'],
    notBuilt: later.userInfo,
    description: '`Accept` header of user-info requests; application/jwt asks for a signed response.',
  }),
  userinfo_headers_names: field.array({
    elements: field.string(),
    notBuilt: later.userInfo,
    description: 'Names of static headers sent to the user-info endpoint; paired by index with `userinfo_headers_values`.',
  }),
  userinfo_headers_values: field.array({
    elements: field.string(),
    notBuilt: later.userInfo,
    description: 'Values for `userinfo_headers_names`, paired by index.',
  }),
  userinfo_headers_client: field.array({
    elements: field.string(),
    notBuilt: later.userInfo,
    description: 'Names of caller headers copied into user-info requests.',
  }),
  userinfo_query_args_names: field.array({
    elements: field.string(),
    notBuilt: later.userInfo,
    description: 'Names of static query arguments added to user-info requests; paired by index with `userinfo_query_args_values`.',
  }),
  userinfo_query_args_values: field.array({
    elements: field.string(),
    notBuilt: later.userInfo,
    description: 'Values for `userinfo_query_args_names`, paired by index.',
  }),
  userinfo_query_args_client: field.array({
    elements: field.string(),
    notBuilt: later.userInfo,
    description: "Names of caller parameters copied into the user-info request's query.",
  }),

  // Token exchange
  token_exchange_endpoint: field.url({
    notBuilt: later.tokenExchange,
    description: 'Legacy exchange: an access token is posted here as Bearer and a 200 body replaces it as the access token.',
  }),
  token_exchange: field.record({
    fields: {
      subject_token_issuers: field.array({
        required: true,
        lenMin: 1,
        elements: field.record({
          checks: subjectIssuerChecks,
          fields: {
            issuer: field.string({ required: true, description: '`iss` value that selects this entry.' }),
            conditions: field.record({
              fields: {
                has_audience: field.array({
                  elements: field.string(),
                  description: "Matches when the token's `aud` contains the listed audiences.",
                }),
                has_scopes: field.array({
                  elements: field.string(),
                  description: "Matches when the token's scope contains the listed scopes.",
                }),
                missing_audience: field.array({
                  elements: field.string(),
                  description: "Matches when listed audiences are absent from the token's `aud`.",
                }),
                missing_scopes: field.array({
                  elements: field.string(),
                  description: "Matches when listed scopes are absent from the token's scope.",
                }),
              },
              description:
                'Criteria that must all hold. Must be absent when this issuer differs from `config.issuer` and present when it equals it.',
            }),
            verify_signature: field.boolean({
              default: false,
              description:
                "Whether the subject token's signature is checked locally before the exchange; must be false or empty for the target issuer itself.",
            }),
            jwks_uri: field.url({
              description:
                'Key set for that local check instead of discovery of the subject issuer; only with `verify_signature`, and empty for the target issuer itself.',
            }),
          },
        }),
        description:
          'Trusted subject-token issuers; a bearer JWT that matches an entry (issuer and conditions) is exchanged before it is authenticated.',
      }),
      request: field.record({
        checks: exchangeRequestChecks,
        fields: {
          scopes: field.array({ elements: field.string(), description: 'Scopes of the exchange request; replaces `config.scopes`.' }),
          empty_scopes: field.boolean({ default: false, description: 'Sends no scope although `config.scopes` is set.' }),
          audience: field.array({
            elements: field.string(),
            description: 'Audiences of the exchange request; replaces `config.audience`.',
          }),
          empty_audience: field.boolean({ default: false, description: 'Sends no audience although `config.audience` is set.' }),
        },
        description: 'Overrides for the scope and audience parameters of the exchange request.',
      }),
      cache: field.record({
        fields: {
          enabled: field.boolean({ default: true, description: 'Whether an exchanged token is reused for the same subject token.' }),
          ttl: field.integer({
            unit: 's',
            description:
              "Upper bound in seconds for that reuse in place of `cache_ttl`; the exchanged token's own expiry wins when shorter.",
          }),
        },
        description: 'Caching of exchanged tokens.',
      }),
    },
    notBuilt: later.tokenExchange,
    description: 'RFC 8693 exchange of bearer JWTs that come from listed issuers; null disables it.',
  }),
}

import { field } from '../../schema/field.ts'
import { AUTH_METHODS, later, PARAMETER_PLACES } from './schema-terms.ts'

/** The request and the answer: where credentials are looked for, which headers are written, what begins and ends a login. */
export const requestFields = {
  // Where credentials are looked for
  bearer_token_param_type: field.array({
    default: [...PARAMETER_PLACES],
    elements: field.string({ oneOf: ['header', 'cookie', 'query', 'body'] }),
    description:
      'Where bearer tokens are searched (Authorization, Access-Token and X-Access-Token headers; `access_token` in query or body; the named cookie).',
  }),
  bearer_token_cookie_name: field.string({
    description: 'Cookie that holds the bearer token when `cookie` is among `bearer_token_param_type`.',
  }),
  bearer_token_header_name: field.string({ lenMin: 1, description: 'When set, the only header that is searched for a bearer token.' }),
  client_credentials_param_type: field.array({
    default: [...PARAMETER_PLACES],
    elements: field.string({ oneOf: PARAMETER_PLACES }),
    notBuilt: later.clientCredentials,
    description: 'Where client credentials are searched (Basic header, or `client_id`/`client_secret` in query or body).',
  }),
  password_param_type: field.array({
    default: [...PARAMETER_PLACES],
    elements: field.string({ oneOf: PARAMETER_PLACES }),
    description: 'Where user credentials are searched (Basic header, or `username`/`password` in query or body).',
  }),
  id_token_param_type: field.array({
    default: [...PARAMETER_PLACES],
    elements: field.string({ oneOf: PARAMETER_PLACES }),
    notBuilt: later.idTokenParameter,
    description: 'Where an ID token that accompanies an access token is searched.',
  }),
  id_token_param_name: field.string({
    notBuilt: later.idTokenParameter,
    description: 'Parameter or header name of that ID token; null disables the search.',
  }),
  refresh_token_param_type: field.array({
    default: [...PARAMETER_PLACES],
    elements: field.string({ oneOf: PARAMETER_PLACES }),
    notBuilt: later.refresh,
    description: 'Where a refresh token is searched.',
  }),
  refresh_token_param_name: field.string({
    notBuilt: later.refresh,
    description: 'Parameter or header name of the refresh token; null disables the search.',
  }),
  refresh_tokens: field.boolean({
    default: true,
    description: 'Refreshes access tokens that expired or soon expire when a refresh token is at hand.',
  }),

  // Headers for the upstream
  upstream_headers_claims: field.array({
    elements: field.string(),
    description:
      'Top-level claims sent upstream in the headers named at the same index of `upstream_headers_names`. Kong prefers `upstream_headers` since 3.14.',
  }),
  upstream_headers_names: field.array({
    elements: field.string(),
    description: 'Header names for `upstream_headers_claims`, paired by index.',
  }),
  upstream_headers: field.array({
    elements: field.record({
      fields: {
        header: field.string({ required: true, description: 'Request header that receives the claim.' }),
        path: field.array({
          required: true,
          lenMin: 1,
          elements: field.string(),
          description: 'Claim path, one element per nesting level.',
        }),
      },
    }),
    description: 'Claim-to-header mappings (nested claim paths allowed) for the upstream request.',
  }),
  upstream_access_token_header: field.string({
    default: 'authorization:bearer',
    description:
      'Name of the request header that carries the access token upstream; the `name:bearer` form prefixes the scheme; null sends none.',
  }),
  upstream_access_token_jwk_header: field.string({
    description: 'Name of the request header sent upstream that carries, base64-encoded, the JWK that verified the access token.',
  }),
  upstream_id_token_header: field.string({ description: 'Name of the request header sent upstream that carries the ID token.' }),
  upstream_id_token_jwk_header: field.string({
    description: 'Name of the request header sent upstream that carries, base64-encoded, the JWK that verified the ID token.',
  }),
  upstream_refresh_token_header: field.string({ description: 'Name of the request header sent upstream that carries the refresh token.' }),
  upstream_user_info_header: field.string({
    notBuilt: later.userInfo,
    description: 'Name of the request header sent upstream that carries the user-info object as base64 JSON.',
  }),
  upstream_user_info_jwt_header: field.string({
    notBuilt: later.userInfo,
    description: 'Name of the request header sent upstream that carries the user-info response in its original JWT form.',
  }),
  upstream_introspection_header: field.string({
    description: 'Name of the request header sent upstream that carries the introspection object as base64 JSON.',
  }),
  upstream_introspection_jwt_header: field.string({
    description: 'Name of the request header sent upstream that carries the introspection response in its original JWT form.',
  }),
  upstream_session_id_header: field.string({
    notBuilt: later.sessions,
    description: 'Name of the request header sent upstream that carries the session id.',
  }),

  // Headers for the caller
  downstream_headers_claims: field.array({
    elements: field.string(),
    description:
      'Top-level claims returned in the headers named at the same index of `downstream_headers_names`. Kong prefers `downstream_headers` since 3.14.',
  }),
  downstream_headers_names: field.array({
    elements: field.string(),
    description: 'Header names for `downstream_headers_claims`, paired by index.',
  }),
  downstream_headers: field.array({
    elements: field.record({
      fields: {
        header: field.string({ required: true, description: 'Response header that receives the claim.' }),
        path: field.array({
          required: true,
          lenMin: 1,
          elements: field.string(),
          description: 'Claim path, one element per nesting level.',
        }),
      },
    }),
    description: 'Claim-to-header mappings (nested claim paths allowed) for the response.',
  }),
  downstream_access_token_header: field.string({
    description: 'Name of the response header that returns the access token to the caller; the `name:bearer` form prefixes the scheme.',
  }),
  downstream_access_token_jwk_header: field.string({
    description: 'Name of the response header returned to the caller that carries, base64-encoded, the JWK that verified the access token.',
  }),
  downstream_id_token_header: field.string({
    description: 'Name of the response header returned to the caller that carries the ID token.',
  }),
  downstream_id_token_jwk_header: field.string({
    description: 'Name of the response header returned to the caller that carries, base64-encoded, the JWK that verified the ID token.',
  }),
  downstream_refresh_token_header: field.string({
    description: 'Name of the response header returned to the caller that carries the refresh token.',
  }),
  downstream_user_info_header: field.string({
    notBuilt: later.userInfo,
    description: 'Name of the response header returned to the caller that carries the user-info object as base64 JSON.',
  }),
  downstream_user_info_jwt_header: field.string({
    notBuilt: later.userInfo,
    description: 'Name of the response header returned to the caller that carries the user-info response in its original JWT form.',
  }),
  downstream_introspection_header: field.string({
    description: 'Name of the response header returned to the caller that carries the introspection object as base64 JSON.',
  }),
  downstream_introspection_jwt_header: field.string({
    description: 'Name of the response header returned to the caller that carries the introspection response in its original JWT form.',
  }),
  downstream_session_id_header: field.string({
    notBuilt: later.sessions,
    description: 'Name of the response header returned to the caller that carries the session id.',
  }),

  // Login
  login_methods: field.array({
    default: ['authorization_code'],
    elements: field.string({ oneOf: AUTH_METHODS }),
    notBuilt: later.login,
    description: 'Authentication methods after which `login_action` and the session login apply.',
  }),
  login_action: field.string({
    default: 'upstream',
    oneOf: ['upstream', 'response', 'redirect'],
    notBuilt: later.login,
    description: 'What follows a successful login: proxy the request, answer with tokens, or redirect.',
  }),
  login_tokens: field.array({
    default: ['id_token'],
    elements: field.string({ oneOf: ['id_token', 'access_token', 'refresh_token', 'tokens', 'introspection'] }),
    notBuilt: later.login,
    description: 'Token material returned by the `response` and `redirect` login actions.',
  }),
  login_redirect_mode: field.string({
    default: 'fragment',
    oneOf: ['query', 'fragment'],
    notBuilt: later.login,
    description: 'Whether redirected token material goes into the query or the fragment.',
  }),

  // Logout
  logout_query_arg: field.string({ notBuilt: later.logout, description: 'Query argument whose presence triggers logout.' }),
  logout_post_arg: field.string({ notBuilt: later.logout, description: 'Body argument whose presence triggers logout.' }),
  logout_uri_suffix: field.string({ notBuilt: later.logout, description: 'Path suffix that triggers logout.' }),
  logout_methods: field.array({
    default: ['POST', 'DELETE'],
    elements: field.string({ oneOf: ['POST', 'GET', 'DELETE'] }),
    notBuilt: later.logout,
    description: 'HTTP methods on which logout triggers are honoured.',
  }),
  logout_revoke: field.boolean({
    default: false,
    notBuilt: later.revocation,
    description: 'Revokes tokens at the provider during logout.',
  }),
  logout_revoke_access_token: field.boolean({
    default: true,
    notBuilt: later.revocation,
    description: 'Includes the access token in revocation (needs `logout_revoke`).',
  }),
  logout_revoke_refresh_token: field.boolean({
    default: true,
    notBuilt: later.revocation,
    description: 'Includes the refresh token in revocation (needs `logout_revoke`).',
  }),
}

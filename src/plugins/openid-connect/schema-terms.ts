/** Words that several parts of the schema share: closed lists of values, small rules, and the texts for what is not built. */
import type { PatternRule } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'

/** Credential types and grants, in the order in which Kong lists them. */
export const AUTH_METHODS = [
  'password',
  'client_credentials',
  'authorization_code',
  'bearer',
  'introspection',
  'userinfo',
  'kong_oauth2',
  'refresh_token',
  'session',
] as const

/** The methods of {@link AUTH_METHODS} whose behaviour exists. */
export const BUILT_AUTH_METHODS: readonly string[] = ['bearer', 'introspection', 'password']

/** Client authentication methods (OpenID Connect Core section 9, RFC 8705 section 2). */
export const CLIENT_AUTH_METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
] as const

/** The methods of {@link CLIENT_AUTH_METHODS} that present a certificate (RFC 8705 section 2). */
export const MUTUAL_TLS_METHODS: readonly string[] = ['tls_client_auth', 'self_signed_tls_client_auth']

/** Signature algorithms of client assertions (RFC 7518 section 3.1, RFC 8037). */
export const SIGNATURE_ALGORITHMS = [
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const

/** Where a caller may put a parameter. */
export const PARAMETER_PLACES = ['header', 'query', 'body'] as const

/** Values of a cookie's SameSite attribute; `Default` leaves the attribute out. */
export const SAME_SITE = ['Strict', 'Lax', 'None', 'Default'] as const

/** Properties of a session that may travel in headers. */
export const SESSION_PROPERTIES = ['id', 'audience', 'subject', 'timeout', 'idling-timeout', 'rolling-timeout', 'absolute-timeout'] as const

/** How strictly a token's binding to a key is asked for. */
export const BINDING_MODES = ['off', 'strict', 'optional'] as const

/** Kong's rule for paths: no `//`. */
export const NO_EMPTY_SEGMENTS: readonly PatternRule[] = [{ pattern: /\/\//, err: 'must not have empty segments' }]

function notYet(what: string): string {
  return `${what} not available yet: only the default is accepted`
}

/** What a later version brings. A field that only steers one of these is refused with its text unless it holds its default. */
export const later = {
  capabilities: notYet('the check against discovered capabilities is'),
  clientCredentials: notYet('the client credentials grant is'),
  codeFlow: notYet('the authorization code flow is'),
  consumerGroups: notYet('consumer groups are'),
  distributedClaims: notYet('distributed claims are'),
  dpop: notYet('DPoP is'),
  forwardProxies: notYet('forward proxies are'),
  headerReplay: notYet('the replay of token endpoint headers is'),
  http10: notYet('HTTP/1.0 is'),
  idTokenParameter: notYet('an ID token beside the access token is'),
  login: notYet('login actions are'),
  logout: notYet('logout is'),
  mutualTls: notYet('mutual TLS client authentication is'),
  principals: notYet('Kong Identity principals are'),
  proofOfPossession: notYet('certificate-bound tokens are'),
  refresh: notYet('the refresh token grant is'),
  revocation: notYet('token revocation is'),
  sessions: notYet('sessions are'),
  sharedCache: notYet('the shared cache is'),
  tokenExchange: notYet('token exchange is'),
  userInfo: notYet('user info is'),
} as const

/** Refuses the client authentication methods that present a certificate. Returns the text of the violation, or undefined. */
export function mutualTlsViolation(method: string): string | undefined {
  return MUTUAL_TLS_METHODS.includes(method) ? `${method} is not available yet` : undefined
}

/** The field that chooses the client authentication at one endpoint of the provider. */
export function clientAuthentication(description: string) {
  return field.string({ oneOf: CLIENT_AUTH_METHODS, validator: mutualTlsViolation, description })
}

/** The same for an endpoint that is not called yet. */
export function laterClientAuthentication(description: string, notBuilt: string) {
  return field.string({ oneOf: CLIENT_AUTH_METHODS, notBuilt, description })
}

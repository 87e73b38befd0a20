/**
 * Base of the failures of this folder. `code` is stable and is what callers compare; `message` is for people and never holds a token, a secret or
 * text of a peer. `cause` carries what happened below.
 */
export abstract class OAuthError extends Error {
  abstract readonly code: `OAUTH_${string}`
  override readonly name: string = this.constructor.name
}

/** The client authentication method that was asked for cannot be carried out with what is configured, or nothing fits. */
export class ClientAuthenticationError extends OAuthError {
  readonly code = 'OAUTH_CLIENT_AUTHENTICATION'
}

/** No usable metadata document: transport failure, not 200, or not a JSON object. */
export class DiscoveryError extends OAuthError {
  readonly code = 'OAUTH_DISCOVERY'
}

/** No usable JWK set: transport failure, not 200, or not a JSON object with a `keys` array. */
export class JwksError extends OAuthError {
  readonly code = 'OAUTH_JWKS'
}

/** A JWK cannot be used: unknown kind, member missing or malformed, or a size outside the bounds. */
export class JwkError extends OAuthError {
  readonly code = 'OAUTH_JWK'
}

/** Names of the keys that the gateway makes for itself, among the objects that this plugin keeps. Their value is `{ keys: [private JWK, …] }`. */

/** Kind of the objects. */
export const JWKS = 'jwks'
/** The set that new assertions are signed with. */
export const CURRENT = 'current'
/** The one before it: still published, so that assertions under way can be verified. */
export const PREVIOUS = 'previous'

import { pluginSchema } from '../../plugin/define.ts'
import type { Infer } from '../../schema/field.ts'
import { configChecks } from './schema-checks.ts'
import { clientFields } from './schema-clients.ts'
import { endpointFields } from './schema-endpoints.ts'
import { identityFields } from './schema-identity.ts'
import { operationFields } from './schema-operation.ts'
import { requestFields } from './schema-requests.ts'
import { sessionFields } from './schema-session.ts'
import { shorthands } from './schema-shorthands.ts'

/**
 * The configuration of openid-connect, field for field Kong's (3.15), in Kong's order. A field whose behaviour does not exist yet is declared, so that Kong's
 * files load, and refuses everything but its default, so that nothing is ever silently ignored.
 */
export const schema = pluginSchema({
  name: 'openid-connect',
  description:
    'Authenticates requests by access tokens or user credentials of an OpenID Connect provider: JWTs are verified with the keys that the provider publishes, ' +
    'opaque tokens by introspection (RFC 7662), and a user name with its password by the password grant. Scopes, audiences, groups, roles and the consumer ' +
    'are then taken from the claims.',
  scopes: ['service', 'route'],
  protocols: ['grpc', 'grpcs', 'http', 'https', 'ws', 'wss'],
  config: {
    ...clientFields,
    ...endpointFields,
    ...sessionFields,
    ...requestFields,
    ...identityFields,
    ...operationFields,
  },
  shorthands,
  checks: configChecks,
})

/** A stored configuration. */
export type Config = Infer<typeof schema>

/** What a token must bring and whom it stands for, from the configuration to the terms of the shared steps. */
import { type AuthorizationRules, requirement } from '../../introspection/authorization.ts'
import type { ConsumerKey, ConsumerMapping } from '../../introspection/consumer-mapping.ts'
import type { Config } from './schema.ts'

/** The four lists of requirements with their claims, and the claims that must not be there. */
export function authorizationRules(config: Config): AuthorizationRules {
  const requirements = [
    requirement('scope', config.scopes_claim, config.scopes_required),
    requirement('audience', config.audience_claim, config.audience_required),
    requirement('groups', config.groups_claim, config.groups_required),
    requirement('roles', config.roles_claim, config.roles_required),
  ]
  return { requirements: requirements.filter((one) => one !== null), forbidden: config.claims_forbidden ?? [] }
}

/** The order in which Kong compares, whatever the order in the configuration. */
const CONSUMER_KEYS: readonly ConsumerKey[] = ['id', 'username', 'custom_id']

/** How claims name a Consumer; without `consumer_claims` nobody is looked up and nobody missing. */
export function consumerMapping(config: Config): ConsumerMapping {
  return {
    claims: config.consumer_claims ?? [],
    by: CONSUMER_KEYS.filter((key) => (config.consumer_by ?? []).includes(key)),
    ignoreUsernameCase: config.by_username_ignore_case === true,
    accepts: new Set(['string', 'number', 'boolean']),
    optional: config.consumer_optional === true || (config.consumer_claims ?? []).length === 0,
  }
}

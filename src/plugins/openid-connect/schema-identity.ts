import { field } from '../../schema/field.ts'
import { principalChecks } from './schema-checks.ts'
import { AUTH_METHODS, later } from './schema-terms.ts'

/** Whom a token stands for, and how it is verified. */
export const identityFields = {
  // Consumer
  consumer_claims: field.array({
    elements: field.array({ elements: field.string() }),
    description: 'Ordered claim paths for consumer mapping; the first path that yields a match decides.',
  }),
  consumer_by: field.array({
    default: ['username', 'custom_id'],
    elements: field.string({ oneOf: ['id', 'username', 'custom_id'] }),
    description: 'Consumer fields the claim value is compared with.',
  }),
  consumer_optional: field.boolean({ default: false, description: 'Lets the request through without a consumer when mapping fails.' }),
  consumer_groups_claim: field.array({
    elements: field.string(),
    notBuilt: later.consumerGroups,
    description: 'Path of the claim whose values name consumer groups to attach to the request.',
  }),
  consumer_groups_optional: field.boolean({
    default: false,
    notBuilt: later.consumerGroups,
    description: 'Lets the request through when consumer-group mapping fails.',
  }),

  // Kong Identity
  principals: field.record({
    required: true,
    fields: {
      enabled: field.boolean({ default: false, description: 'Turns the principal lookup on.' }),
      directory: field.string({ default: 'default', description: 'Directory instance that is queried.' }),
      error_on_miss: field.boolean({ default: true, description: 'Answers 401 when no principal is found; false continues without one.' }),
      match_consumer: field.boolean({
        default: true,
        description: 'Uses the consumer linked to the principal instead of `consumer_by` mapping.',
      }),
      match_consumer_groups: field.boolean({
        default: true,
        description: 'Uses the consumer groups linked to the principal instead of `consumer_groups_claim`.',
      }),
      principal_by: field.string({ lenMin: 1, description: 'Name of a custom identity for the lookup; needs `principal_claim`.' }),
      principal_claim: field.array({
        lenMin: 1,
        elements: field.string({ lenMin: 1 }),
        description: 'Path of the claim whose value is looked up; alone it replaces `sub` in the OIDC lookup.',
      }),
    },
    checks: principalChecks,
    notBuilt: later.principals,
    description:
      'Lookup of Kong Identity principals after token verification (a Konnect service; not available to a self-contained gateway).',
  }),

  // Without a consumer
  credential_claim: field.array({
    default: ['sub'],
    elements: field.string(),
    description: 'Path of the claim that becomes the virtual credential id when no consumer is mapped.',
  }),
  anonymous: field.string({
    description: 'Id or username of the consumer used when authentication fails; absent means that failures are rejected.',
  }),
  run_on_preflight: field.boolean({
    default: true,
    description: 'Whether OPTIONS requests are authenticated; false lets all OPTIONS requests through.',
  }),

  // Verification
  leeway: field.number({ default: 0, unit: 's', description: 'Clock tolerance in seconds for auth_time, exp, iat and nbf.' }),
  verify_parameters: field.boolean({
    default: false,
    notBuilt: later.capabilities,
    description: 'Checks the configuration against capabilities announced by discovery.',
  }),
  verify_nonce: field.boolean({
    default: true,
    notBuilt: later.codeFlow,
    description: 'Checks the ID token nonce in the authorization-code flow.',
  }),
  verify_claims: field.boolean({
    default: true,
    description: 'Checks the standard claims of tokens; false skips these but not issuers_allowed or the `*_required` checks.',
  }),
  verify_signature: field.boolean({
    default: true,
    description: 'Checks token signatures; false accepts unsigned or wrongly signed tokens on every method.',
  }),
  ignore_signature: field.array({
    default: [],
    elements: field.string({
      oneOf: ['password', 'client_credentials', 'authorization_code', 'refresh_token', 'session', 'introspection', 'userinfo'],
    }),
    description: 'Grants for which token signatures are not checked; bearer cannot be listed.',
  }),
  enable_hs_signatures: field.boolean({
    default: false,
    description: 'Accepts HS256/384/512 signatures, verified with the client secret.',
  }),
  disable_session: field.array({
    elements: field.string({ oneOf: AUTH_METHODS }),
    notBuilt: later.sessions,
    description: 'Methods that never create a session cookie; `session` in the list also stops renewal.',
  }),
}

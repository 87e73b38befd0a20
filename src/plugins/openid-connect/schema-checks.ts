/** Rules of the configuration that look at several fields, in Kong's order where Kong has them. */
import { isDeepStrictEqual } from 'node:util'
import type { Check, Violation, Violations } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { checkField, isObject } from '../../schema/validate.ts'
import { AUTH_METHODS, BUILT_AUTH_METHODS, MUTUAL_TLS_METHODS } from './schema-terms.ts'

/** Methods whose tokens can be bound to a key. */
const BINDABLE_METHODS: readonly string[] = ['bearer', 'introspection', 'session']

const ENDPOINT_AUTH_METHODS = [
  'pushed_authorization_request_endpoint_auth_method',
  'token_endpoint_auth_method',
  'introspection_endpoint_auth_method',
  'revocation_endpoint_auth_method',
] as const

/** The rules of the whole configuration. */
export const configChecks: readonly Check[] = [
  { kind: 'mutually_exclusive', fields: ['consumer_claims', 'consumer_groups_claim'] },
  {
    kind: 'custom',
    fields: ['proof_of_possession_mtls', 'proof_of_possession_dpop', 'proof_of_possession_auth_methods_validation', 'auth_methods'],
    run: checkBoundMethods,
  },
  { kind: 'custom', fields: ['issuer', 'token_exchange'], run: checkSubjectIssuers },
  { kind: 'mutually_required', fields: ['upstream_headers_claims', 'upstream_headers_names'] },
  { kind: 'mutually_required', fields: ['downstream_headers_claims', 'downstream_headers_names'] },
  sameLength('upstream_headers_claims', 'upstream_headers_names', 'when both are set'),
  sameLength('downstream_headers_claims', 'downstream_headers_names', 'when both are set'),
  sameLength('discovery_headers_names', 'discovery_headers_values'),
  sameLength('authorization_query_args_names', 'authorization_query_args_values'),
  sameLength('token_headers_names', 'token_headers_values'),
  sameLength('token_post_args_names', 'token_post_args_values'),
  sameLength('introspection_headers_names', 'introspection_headers_values'),
  sameLength('introspection_post_args_names', 'introspection_post_args_values'),
  sameLength('userinfo_headers_names', 'userinfo_headers_values'),
  sameLength('userinfo_query_args_names', 'userinfo_query_args_values'),
  { kind: 'custom', fields: ['client_auth', ...ENDPOINT_AUTH_METHODS, 'tls_client_auth_cert_id'], run: checkClientCertificate },
  { kind: 'custom', fields: ['bearer_token_param_type', 'bearer_token_cookie_name'], run: checkBearerCookie },

  // Ours
  { kind: 'custom', fields: ['issuer', 'using_pseudo_issuer'], run: checkIssuerUrl },
  { kind: 'custom', fields: ['auth_methods'], run: checkBuiltMethods },
]

/** The rules of one entry of `token_exchange.subject_token_issuers` that need nothing beyond the entry. */
export const subjectIssuerChecks: readonly Check[] = [
  {
    kind: 'custom',
    fields: ['jwks_uri', 'verify_signature'],
    run: ({ jwks_uri, verify_signature }) =>
      isSet(jwks_uri) && verify_signature !== true ? { jwks_uri: 'is used only when verify_signature is true' } : undefined,
  },
]

/** The rules of `token_exchange.request`. */
export const exchangeRequestChecks: readonly Check[] = [emptied('empty_scopes', 'scopes'), emptied('empty_audience', 'audience')]

/** The rules of `principals`. */
export const principalChecks: readonly Check[] = [
  {
    kind: 'custom',
    fields: ['principal_by', 'principal_claim'],
    run: ({ principal_by, principal_claim }) =>
      isSet(principal_by) && !isSet(principal_claim) ? { principal_claim: 'required field missing' } : undefined,
  },
  {
    kind: 'custom',
    fields: ['enabled'],
    run: ({ enabled }) =>
      enabled === true ? { enabled: 'needs the Konnect service Kong Identity, which this gateway cannot reach' } : undefined,
  },
]

function checkBoundMethods(config: JsonObject): Violations | undefined {
  const isBound = isOn(config['proof_of_possession_mtls']) || isOn(config['proof_of_possession_dpop'])
  const methods = texts(config['auth_methods'])
  if (!isBound || config['proof_of_possession_auth_methods_validation'] !== true || methods.length === 0) return undefined
  if (!methods.every((method) => BINDABLE_METHODS.includes(method))) {
    return { '@entity': ['proof of possession supports only these auth_methods: bearer, introspection, session'] }
  }
  return methods.every((method) => method === 'session')
    ? { '@entity': ['proof of possession needs bearer or introspection beside session in auth_methods'] }
    : undefined
}

/** Tokens of the target issuer itself are exchanged only under conditions, and are verified by its own keys; others unconditionally. */
function checkSubjectIssuers(config: JsonObject): Violations | undefined {
  const exchange = config['token_exchange']
  const entries = isObject(exchange) && Array.isArray(exchange['subject_token_issuers']) ? exchange['subject_token_issuers'] : []
  const found = entries.map((entry: unknown) => (isObject(entry) ? checkSubjectIssuer(entry, config['issuer']) : null))
  return found.every((violation) => violation === null) ? undefined : { token_exchange: { subject_token_issuers: found } }
}

function checkSubjectIssuer(entry: JsonObject, target: unknown): Violations | null {
  const hasConditions = isObject(entry['conditions']) && Object.values(entry['conditions']).some(isSet)
  if (entry['issuer'] !== target) return hasConditions ? { conditions: 'must be absent for an issuer other than config.issuer' } : null
  if (!hasConditions) return { conditions: 'must be present for config.issuer' }
  if (isSet(entry['jwks_uri'])) return { jwks_uri: 'must be empty for config.issuer' }
  return entry['verify_signature'] === true ? { verify_signature: 'must be empty or false for config.issuer' } : null
}

function sameLength(one: string, other: string, when: 'always' | 'when both are set' = 'always'): Check {
  return {
    kind: 'custom',
    fields: [one, other],
    run: (config) => {
      const [length, otherLength] = [texts(config[one]).length, texts(config[other]).length]
      if (length === otherLength || (when !== 'always' && (length === 0 || otherLength === 0))) return undefined
      return { '@entity': [`these fields must have the same number of elements: '${one}', '${other}'`] }
    },
  }
}

function checkClientCertificate(config: JsonObject): Violations | undefined {
  const methods = [...texts(config['client_auth']), ...ENDPOINT_AUTH_METHODS.map((name) => config[name])]
  const needsCertificate = methods.some((method) => typeof method === 'string' && MUTUAL_TLS_METHODS.includes(method))
  return needsCertificate && !isSet(config['tls_client_auth_cert_id']) ? { tls_client_auth_cert_id: 'required field missing' } : undefined
}

function checkBearerCookie(config: JsonObject): Violations | undefined {
  const needsName = texts(config['bearer_token_param_type']).includes('cookie')
  return needsName && !isSet(config['bearer_token_cookie_name']) ? { bearer_token_cookie_name: 'required field missing' } : undefined
}

/** A pseudo issuer is a mere label; any other is where discovery begins. */
function checkIssuerUrl(config: JsonObject): Violations | undefined {
  const violation = config['using_pseudo_issuer'] === true ? undefined : checkField(field.url(), config['issuer'])
  return violation === undefined ? undefined : { issuer: violation }
}

/** Kong's whole list is what everybody starts from, so it is accepted; a list of one's own holds only what works. */
function checkBuiltMethods(config: JsonObject): Violations | undefined {
  const methods = texts(config['auth_methods'])
  if (isDeepStrictEqual(methods, [...AUTH_METHODS])) return undefined
  const found = methods.map((method): Violation | null => (BUILT_AUTH_METHODS.includes(method) ? null : `${method} is not available yet`))
  const last = found.findLastIndex((violation) => violation !== null)
  return last === -1 ? undefined : { auth_methods: found.slice(0, last + 1) }
}

function emptied(flag: string, list: string): Check {
  return {
    kind: 'custom',
    fields: [flag, list],
    run: (request) => (request[flag] === true && texts(request[list]).length > 0 ? { [list]: `cannot be used with ${flag}` } : undefined),
  }
}

function isOn(mode: unknown): boolean {
  return mode === 'strict' || mode === 'optional'
}

function isSet(value: unknown): boolean {
  return value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0)
}

function texts(list: unknown): readonly string[] {
  return Array.isArray(list) ? list : []
}

import { headerValue, notNegative } from '../../entities/validators.ts'
import { consistsOf, TOKEN } from '../../http/octets.ts'
import { pluginSchema } from '../../plugin/define.ts'
import type { Infer, Violations } from '../../schema/field.ts'
import { field } from '../../schema/field.ts'
import type { JsonObject } from '../../schema/validate.ts'

/** The configuration of oauth2-introspection: field for field Kong's (3.15), in Kong's order. */
export const schema = pluginSchema({
  name: 'oauth2-introspection',
  description:
    'Asks an authorization server whether the access token of a request is active (RFC 7662), refuses the request when it is not, and tells the upstream whom ' +
    'the token stands for. Answers are reused for a while, never beyond the end of the token.',
  scopes: ['service', 'route'],
  config: {
    introspection_url: field.url({
      required: true,
      rfc: 'RFC 7662 section 2',
      description: 'Absolute http(s) address of the introspection endpoint; tokens are posted there.',
    }),
    ttl: field.number({
      default: 30,
      unit: 's',
      validator: notNegative,
      description: 'Time for which a positive answer may be reused; 0: no limit of our own. The end of the token is a limit in any case.',
    }),
    token_type_hint: field.string({
      rfc: 'RFC 7662 section 2.1',
      description: 'Value of the `token_type_hint` parameter. Absent: the parameter is not sent.',
    }),
    authorization_value: field.string({
      required: true,
      referenceable: true,
      encrypted: true,
      description: 'Value of the Authorization header of calls to the endpoint, scheme included.',
    }),
    timeout: field.integer({
      default: 10_000,
      unit: 'ms',
      gt: 0,
      description: 'Time for connecting to the endpoint, for sending to it and for reading from it (each).',
    }),
    keepalive: field.integer({
      default: 60_000,
      unit: 'ms',
      validator: notNegative,
      description: 'Time for which an idle connection to the endpoint stays open; 0 closes it after use.',
    }),
    introspect_request: field.boolean({
      required: true,
      default: false,
      description: 'Adds `X-Request-Path` and `X-Request-Http-Method`, which describe the request, to calls to the endpoint.',
    }),
    hide_credentials: field.boolean({
      default: true,
      description: 'Removes the access token from what the upstream receives, wherever it stood.',
    }),
    run_on_preflight: field.boolean({
      default: true,
      description: 'Whether OPTIONS requests are authenticated; false lets all of them through.',
    }),
    anonymous: field.string({
      default: '',
      lenMin: 0,
      description: 'Id or username of the Consumer that stands in when authentication fails. Empty or null: such requests are refused.',
    }),
    consumer_by: field.string({
      required: true,
      default: 'username',
      oneOf: ['username', 'client_id'],
      description: 'Member of the answer that names the Consumer: `username` is looked up among usernames, `client_id` among custom ids.',
    }),
    custom_introspection_headers: field.map({
      required: true,
      default: {},
      keys: field.string({ validator: fieldNameViolation }),
      values: field.string({ validator: headerValue }),
      description:
        'Headers added to calls to the endpoint, by name. Those that frame the message (Content-Type, Content-Length, Transfer-Encoding, Connection) are passed over.',
    }),
    custom_claims_forward: field.set({
      required: true,
      default: [],
      elements: field.string(),
      description: 'Names of further members of the answer that the upstream receives as `X-Credential-<name>`.',
    }),
  },
  checks: [{ kind: 'custom', fields: ['introspection_url'], run: checkEndpoint }],
})

/** A stored configuration. */
export type Config = Infer<typeof schema>

/** Tokens leave by http or https only, and credentials stand in `authorization_value`, not in an address that is shown and logged. */
function checkEndpoint({ introspection_url }: JsonObject): Violations | undefined {
  const url = URL.parse(String(introspection_url))
  if (url === null) return undefined
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { introspection_url: 'scheme must be http or https' }
  return url.username === '' && url.password === '' ? undefined : { introspection_url: 'must not contain a user name or password' }
}

/** RFC 9110 section 5.1: a field name is a token. */
function fieldNameViolation(name: string): string | undefined {
  return name !== '' && consistsOf(TOKEN, name) ? undefined : `invalid header name: ${JSON.stringify(name)}`
}

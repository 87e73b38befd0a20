import { headerValueViolation } from '../http/route-regex.ts'
import type { Check, Field } from '../schema/field.ts'
import { field } from '../schema/field.ts'
import type { EntitySchema, Subschema } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { createdAtField, idField, nameField, PROTOCOLS, spokenProtocol, tagsField, updatedAtField } from './fields.ts'
import { headerName, ipOrCidr, routeHost, routerPath, wildcardHost } from './validators.ts'

/** One end of a stream connection. */
const endpoint = field.record({
  fields: { ip: field.string({ validator: ipOrCidr }), port: field.integer({ between: [0, 65_535] }) },
  checks: [{ kind: 'at_least_one_of', fields: ['ip', 'port'] }],
})

/** An HTTP route matches requests, not connections. */
function closedToHttp(name: string): Field {
  return field.set({ elements: endpoint, eq: null, err: `cannot set '${name}' when 'protocols' is 'http' or 'https'` })
}

const httpSubschema: Subschema = {
  fields: { sources: closedToHttp('sources'), destinations: closedToHttp('destinations') },
  checks: [{ kind: 'custom', fields: ['protocols', 'methods', 'hosts', 'headers', 'paths', 'snis'], run: matcherMissing }],
}

const snisNeedTls: Check = {
  kind: 'custom',
  fields: ['protocols', 'snis'],
  run: (route) =>
    isNonEmpty(route['snis']) && !protocolsOf(route).includes('https')
      ? {
          '@entity': ["'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"],
          snis: 'length must be 0',
        }
      : undefined,
}

/** A Route: which requests go to a Service. Its rules depend on its protocols, of which the first that is known decides. */
export const routes = {
  name: 'routes',
  apiPath: 'routes',
  endpointKey: 'name',
  cacheKey: null,
  fields: {
    id: idField,
    created_at: createdAtField,
    updated_at: updatedAtField,
    name: nameField,
    protocols: field.set({
      required: true,
      lenMin: 1,
      default: ['http', 'https'],
      elements: field.string({ oneOf: PROTOCOLS, validator: spokenProtocol }),
      mutuallyExclusiveSubsets: [['http', 'https'], ['tcp', 'tls', 'udp'], ['tls_passthrough'], ['grpc', 'grpcs']],
    }),
    https_redirect_status_code: field.integer({ required: true, default: 426, oneOf: [426, 301, 302, 307, 308] }),
    strip_path: field.boolean({ required: true, default: true }),
    preserve_host: field.boolean({ required: true, default: false }),
    request_buffering: field.boolean({ required: true, default: true }),
    response_buffering: field.boolean({ required: true, default: true }),
    tags: tagsField,
    service: field.foreign('services'),
    snis: field.set({ elements: field.string({ validator: wildcardHost }) }),
    sources: field.set({ elements: endpoint }),
    destinations: field.set({ elements: endpoint }),
    methods: field.set({ elements: field.string({ match: /^[A-Z]+$/ }) }),
    hosts: field.array({ elements: field.string({ validator: routeHost }) }),
    paths: field.array({ elements: field.string({ validator: routerPath }) }),
    headers: field.map({
      keys: field.string({
        matchNone: [{ pattern: /^host$/i, err: "cannot contain 'host' header, which must be specified in the 'hosts' attribute" }],
        validator: headerName,
      }),
      values: field.array({ elements: field.string({ validator: headerValueViolation }) }),
    }),
    regex_priority: field.integer({ default: 0 }),
    path_handling: field.string({ default: 'v0', oneOf: ['v0', 'v1'] }),
  },
  checks: [snisNeedTls],
  subschema: {
    key: 'protocols',
    pick: (protocols) => (protocols === undefined || namesHttp(protocols) ? httpSubschema : undefined),
    unknown: (protocols) => `unknown type: ${String(protocols)}`,
  },
} satisfies EntitySchema

function namesHttp(protocols: unknown): boolean {
  return Array.isArray(protocols) && protocols.some((protocol) => protocol === 'http' || protocol === 'https')
}

function protocolsOf(route: JsonObject): readonly unknown[] {
  const protocols = route['protocols']
  return Array.isArray(protocols) ? protocols : []
}

/** A route that matches everything is a mistake: one of the matchers has to say something. Empty lists say nothing. */
function matcherMissing(route: JsonObject): { '@entity': string[] } | undefined {
  const secure = protocolsOf(route).includes('https')
  const matchers = ['methods', 'hosts', 'headers', 'paths', ...(secure ? ['snis'] : [])]
  if (matchers.some((name) => isNonEmpty(route[name]))) return undefined
  const names = matchers.map((name) => `'${name}'`).join(', ')
  return { '@entity': [`must set one of ${names} when 'protocols' is '${secure ? 'https' : 'http'}'`] }
}

function isNonEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0
}

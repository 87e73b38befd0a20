import type { Check, ShorthandResult } from '../schema/field.ts'
import { field } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { createdAtField, idField, nameField, PROTOCOLS, spokenProtocol, tagsField, updatedAtField } from './fields.ts'
import { host, path } from './validators.ts'

/** Longest time-out, in milliseconds: what nginx's timers hold, as in Kong. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 2

const timeout = field.integer({ default: 60_000, between: [1, LONGEST_TIMEOUT_MS], unit: 'ms' })

const TLS_ONLY = ['client_certificate', 'tls_verify', 'tls_verify_depth', 'ca_certificates'] as const

const checks: readonly Check[] = [
  {
    kind: 'conditional',
    ifField: 'protocol',
    ifMatch: { oneOf: ['tcp', 'tls', 'udp', 'grpc', 'grpcs'] },
    thenField: 'path',
    thenMatch: { eq: null },
  },
  ...TLS_ONLY.map(
    (thenField): Check => ({
      kind: 'conditional',
      ifField: 'protocol',
      ifMatch: { notOneOf: ['https', 'tls'] },
      thenField,
      thenMatch: { eq: null },
    }),
  ),
]

/** A Service: where requests go. */
export const services = {
  name: 'services',
  apiPath: 'services',
  endpointKey: 'name',
  cacheKey: null,
  fields: {
    id: idField,
    created_at: createdAtField,
    updated_at: updatedAtField,
    name: nameField,
    retries: field.integer({ default: 5, between: [0, 32_767] }),
    protocol: field.string({ required: true, default: 'http', oneOf: PROTOCOLS, validator: spokenProtocol }),
    host: field.string({ required: true, validator: host }),
    port: field.integer({ required: true, default: 80, between: [0, 65_535] }),
    path: field.string({ startsWith: '/', matchNone: [{ pattern: /\/\//, err: 'must not have empty segments' }], validator: path }),
    connect_timeout: timeout,
    write_timeout: timeout,
    read_timeout: timeout,
    tags: tagsField,
    client_certificate: field.foreign('certificates'),
    tls_verify: field.boolean(),
    tls_verify_depth: field.integer({ between: [0, 64] }),
    ca_certificates: field.array({ elements: field.uuid(), idsOf: 'ca_certificates' }),
    enabled: field.boolean({ required: true, default: true }),
  },
  shorthands: { url: { field: field.string(), expand: expandUrl } },
  checks,
} satisfies EntitySchema

const STANDARD_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 }

/**
 * `scheme://host[:port][/path]` written as the four fields that it stands for. What the URL does not name is reset, so that a changed `url` leaves nothing
 * of the former one; whatever is wrong shows at the field it became. Kong: user-info, query and fragment are dropped.
 */
function expandUrl(value: unknown): ShorthandResult {
  if (typeof value !== 'string') return { values: { protocol: null, host: null, port: null, path: null } }
  const [, scheme, authority = '', rest = ''] = /^(?:([A-Za-z0-9][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)/.exec(value) ?? []
  const [, name = '', port] = /^(.*?)(?::([^:\]]*))?$/s.exec(authority.slice(authority.lastIndexOf('@') + 1)) ?? []
  const givenPort = port === undefined || port === '' ? undefined : /^\d+$/.test(port) ? Number(port) : port
  const protocol = scheme?.toLowerCase() ?? (givenPort === 443 ? 'https' : 'http')
  const bare = /^\[(.*)\]$/.exec(name)?.[1] ?? name
  return {
    values: {
      protocol,
      host: bare === '' ? null : bare,
      port: givenPort ?? STANDARD_PORTS[protocol] ?? 80,
      path: rest === '' ? null : rest,
    },
  }
}

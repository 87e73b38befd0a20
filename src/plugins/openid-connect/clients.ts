/** The clients that the gateway is at the provider, and which of them serves a request. */
import type { IntrospectedRequest } from '../../introspection/request.ts'
import type { JsonObject, JsonValue } from '../../oauth/json.ts'
import { firstValues, headerValues } from './caller-arguments.ts'
import type { Config } from './schema.ts'
import { andThen, type Soon } from './soon.ts'

/** One client. What belongs to it is used throughout a request, never mixed with another's. */
export interface Client {
  /** Place in `client_id`, and so in all lists for each client. */
  readonly index: number
  /** Null: no client is configured. */
  readonly id: string | null
  readonly secret: string | null
  /** Method of client authentication that the operator names for it. */
  readonly auth: string | null
  /** Private or symmetric key; never logged. */
  readonly jwk: JsonObject | null
  readonly alg: string | null
}

/** The configured clients; one without an identifier where none is. */
export function createClients(config: Config): readonly Client[] {
  const ids = config.client_id ?? []
  return Array.from({ length: Math.max(1, ids.length) }, (_, index) => ({
    index,
    id: ids[index] ?? null,
    secret: textOrNull(ofClient(config.client_secret, index)),
    auth: ofClient(config.client_auth, index),
    jwk: keyOf(ofClient(config.client_jwk, index)),
    alg: ofClient(config.client_alg, index),
  }))
}

/** The entry of a list for each client; a list that is too short stands for its first entry (Kong). */
export function ofClient<T>(list: readonly T[] | null | undefined, index: number): T | null {
  return list?.[index] ?? list?.[0] ?? null
}

/**
 * Chooses by the caller's argument: its headers (`X-` in front first), query, body. An identifier wins over a number from 1 on; whatever else it says, and
 * without it, the first client serves.
 */
export function selectClient(request: IntrospectedRequest, clients: readonly Client[], argument: string): Soon<Client> {
  const [first] = clients as readonly [Client, ...Client[]]
  if (clients.length === 1) return first
  const names = argument === DEFAULT_ARGUMENT ? [argument] : [argument, DEFAULT_ARGUMENT]
  return andThen(firstArgument(request, names), (value) => clientNamed(clients, value) ?? first)
}

const DEFAULT_ARGUMENT = 'client_id'

function firstArgument(request: IntrospectedRequest, names: readonly string[]): Soon<string | undefined> {
  let value: Soon<string | undefined>
  for (const name of names) {
    value = andThen(value, (found) => {
      const known = found ?? headerValues(request.headers, `x-${name}`)[0] ?? headerValues(request.headers, name)[0]
      return known ?? andThen(firstValues(request, name, ['query', 'body']), (values) => values[0])
    })
  }
  return value
}

function clientNamed(clients: readonly Client[], value: string | undefined): Client | undefined {
  if (value === undefined) return undefined
  return clients.find(({ id }) => id === value) ?? (/^[1-9]\d{0,5}$/.test(value) ? clients[Number(value) - 1] : undefined)
}

function textOrNull(text: string | null): string | null {
  return text === '' ? null : text
}

/** A key without the members that are not set. */
function keyOf(record: Readonly<Record<string, JsonValue>> | null): JsonObject | null {
  return record === null ? null : Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null))
}

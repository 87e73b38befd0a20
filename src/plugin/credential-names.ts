/** Under which names credentials travel, so that loggers leave the values out. */

import { comparableName } from '../http/query.ts'

/** Names in any case. */
export interface CredentialNames {
  /** Headers of requests and of answers. */
  readonly headers?: readonly string[]
  /** Query arguments, and members of bodies. */
  readonly arguments?: readonly string[]
}

/** The names of all configurations of a snapshot together, in the form in which they are compared. */
export interface CredentialNameSets {
  /** Lower case; also the spellings with `_` for `-`. */
  readonly headers: ReadonlySet<string>
  /** As `comparableName` of http/query.ts makes them. */
  readonly arguments: ReadonlySet<string>
}

/** Headers that are credentials, or hold some, whatever the configuration. */
const USUAL_HEADERS = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'dpop',
  'access-token',
  'x-access-token',
  'id-token',
  'refresh-token',
  'apikey',
  'api-key',
  'x-api-key',
  'x-auth-token',
  'x-csrf-token',
  'x-amz-security-token',
  // Where browsers put tokens, since they can set no other header of a WebSocket.
  'sec-websocket-protocol',
]

/** What counts as a credential under `all` configurations; usual names are among them. Names of arguments beyond those that http/query.ts knows. */
export function gatherCredentialNames(all: readonly CredentialNames[]): CredentialNameSets {
  const names = [...USUAL_HEADERS, ...all.flatMap(({ headers = [] }) => headers.map((name) => name.toLowerCase()))]
  return {
    headers: new Set(names.flatMap((name) => [name, name.replaceAll('-', '_')])),
    arguments: new Set(all.flatMap(({ arguments: names = [] }) => names.map(comparableName))),
  }
}

/** Where no configuration names any. */
export const USUAL_CREDENTIAL_NAMES = gatherCredentialNames([])

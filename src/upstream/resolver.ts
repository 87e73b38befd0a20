/**
 * Names to addresses, for upstreams and authorization servers alike: literals, then the hosts file, then the system's resolver. Answers are kept for
 * `validTtlMs`; an expired one is served while a new query runs and while queries fail, for at most `staleTtlMs`. One query per name at a time.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { currentSpan } from '../telemetry/trace.ts'

export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

export interface Resolver {
  /** Addresses of a name, at least one. Rejects with the system's error, `code` included (`ENOTFOUND`, …). */
  resolve(name: string): Promise<readonly Address[]>
  /** The same in the form that `net.connect` takes. */
  readonly lookup: LookupFunction
}

export interface ResolverOptions {
  /** In the format of `/etc/hosts`; a missing file is an empty one. */
  readonly hostsFile?: string | null
  readonly validTtlMs?: number
  readonly staleTtlMs?: number
  readonly errorTtlMs?: number
  /** Life of the answer that a name does not exist. */
  readonly notFoundTtlMs?: number
  readonly now?: () => number
  /** Stands in for the system's resolver in tests. */
  readonly query?: (name: string) => Promise<readonly Address[]>
}

interface Entry {
  addresses: readonly Address[]
  /** Epoch milliseconds. */
  freshUntil: number
  staleUntil: number
  pending: Promise<readonly Address[]> | null
  failure: { readonly error: unknown; readonly until: number } | null
}

/** The system gives no lifetimes, so answers are asked for again after this time unless `dns_valid_ttl` says otherwise. */
const DEFAULT_VALID_TTL_MS = 10_000
const MAX_NAMES = 10_000

export function createResolver(options: ResolverOptions = {}): Resolver {
  const {
    validTtlMs = DEFAULT_VALID_TTL_MS,
    staleTtlMs = 3_600_000,
    errorTtlMs = 1_000,
    notFoundTtlMs = 30_000,
    now = Date.now,
    query = querySystem,
  } = options
  const hosts = readHostsFile(options.hostsFile)
  const entries = new LRUCache<string, Entry>({ max: MAX_NAMES })

  function ask(name: string, entry: Entry): Promise<readonly Address[]> {
    entry.pending ??= query(name).then(
      (addresses) => {
        Object.assign(entry, {
          addresses,
          freshUntil: now() + validTtlMs,
          staleUntil: now() + validTtlMs + staleTtlMs,
          pending: null,
          failure: null,
        })
        return addresses
      },
      (error: unknown) => {
        entry.pending = null
        entry.failure = { error, until: now() + (isNotFound(error) ? notFoundTtlMs : errorTtlMs) }
        throw error
      },
    )
    return entry.pending
  }

  async function resolve(name: string): Promise<readonly Address[]> {
    const family = isIP(name)
    if (family !== 0) return [{ address: name, family: family === 6 ? 6 : 4 }]
    const key = name.toLowerCase()
    const fixed = hosts.get(key)
    if (fixed !== undefined) return fixed
    const entry = entries.get(key) ?? { addresses: [], freshUntil: 0, staleUntil: 0, pending: null, failure: null }
    entries.set(key, entry)
    const time = now()
    if (time < entry.freshUntil) return entry.addresses
    const stale = entry.addresses.length > 0 && time < entry.staleUntil
    if (entry.failure !== null && time < entry.failure.until) {
      if (stale) return entry.addresses
      throw entry.failure.error
    }
    const asked = ask(key, entry)
    if (!stale) return asked
    asked.catch(() => {})
    return entry.addresses
  }

  let turn = 0
  const lookup: LookupFunction = (name, lookupOptions, callback) => {
    const parent = currentSpan()
    const span = parent?.trace.start('dns_query', 'kong.dns', 'client', parent)
    span?.set('dns.record.domain', name)
    resolve(name).then(
      (addresses) => {
        span?.set('dns.record.ip', addresses[0]?.address)
        span?.end()
        const wanted =
          lookupOptions.family === 4 || lookupOptions.family === 6
            ? addresses.filter((item) => item.family === lookupOptions.family)
            : addresses
        if (wanted.length === 0) callback(Object.assign(new Error(`no address for ${name}`), { code: 'ENOTFOUND' }), '', 4)
        else if (lookupOptions.all === true) callback(null, rotate(wanted, turn++) as Address[])
        else {
          const chosen = rotate(wanted, turn++)[0] as Address
          callback(null, chosen.address, chosen.family)
        }
      },
      (error: NodeJS.ErrnoException) => {
        span?.fail(error.code)
        span?.end()
        callback(error, '', 4)
      },
    )
  }
  return { resolve, lookup }
}

function isNotFound(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code === 'ENOTFOUND' || code === 'ENODATA'
}

/** Round robin over the addresses of a name. */
function rotate(addresses: readonly Address[], turn: number): readonly Address[] {
  const start = turn % addresses.length
  return start === 0 ? addresses : [...addresses.slice(start), ...addresses.slice(0, start)]
}

async function querySystem(name: string): Promise<readonly Address[]> {
  const found = await systemLookup(name, { all: true, verbatim: true })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}

function readHostsFile(file: string | null | undefined): ReadonlyMap<string, readonly Address[]> {
  const hosts = new Map<string, Address[]>()
  let text: string
  try {
    text = file ? readFileSync(file, 'utf8') : ''
  } catch {
    return hosts
  }
  for (const line of text.split('\n')) {
    const [address, ...names] = (line.split('#', 1)[0] as string).trim().split(/\s+/)
    const family = isIP(address ?? '')
    if (address === undefined || family === 0) continue
    for (const name of names) {
      const key = name.toLowerCase()
      const known = hosts.get(key) ?? []
      hosts.set(key, [...known, { address, family: family === 6 ? 6 : 4 }])
    }
  }
  return hosts
}

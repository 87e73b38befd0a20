/**
 * Which of two routes wins when both match, in the flavour `traditional_compatible`.
 *
 * A route takes part as one or more *groups*: one per distinct length of its plain paths, one for all its regular expressions (or one without
 * paths). Each group has a 64-bit priority; the higher one wins, among equals the group with the greater UUID. `created_at` plays no part.
 *
 * ```
 * bits    strict: what Kong documents             original: what open-source Kong computes
 * 63..61  number of attributes that are set       the words for count, header names and regex_priority are shifted by 61, 52 and 19 as
 * 60      hosts are set and none has a wildcard   32-bit numbers: modulo 32, then sign-extended. So the count lands on bits 31..29, the
 * 59..52  number of header names, at most 255     header names on 27..20, regex_priority on 31..19 (all overlapping, OR), and whatever
 * 51      this is the group of expressions        reaches bit 31 (four attributes; regex_priority ≥ 4096 or negative) also fills 63..32.
 * 50..19  regex_priority of that group            Bits 60 and 51 are as in strict.
 * 18..0   length of the plain paths in bytes      as in strict
 * ```
 *
 * `original` is the default because configurations written for Kong were tested against it. Kong Enterprise calls the two by the same names in its
 * setting `route_match_calculation`.
 */

import { isRegexPath } from '../http/route-regex.ts'
import { toByteString } from '../util/bytes.ts'
import { uuidV5 } from '../util/uuid-v5.ts'
import type { RouteEntity } from './router.ts'

/** Value of the setting `route_match_calculation`. */
export type Calculation = 'original' | 'strict'

/** A part of a route that competes on its own. */
export interface PathGroup {
  /** The route's id, or for the parts of a split route an id derived from it; lower case. Decides ties. */
  readonly id: string
  /** Paths as configured, all of one length or all regular expressions; empty when the route has none. */
  readonly paths: readonly string[]
  readonly regex: boolean
}

/** Namespace of the ids that Kong derives for the parts of a split route; needed to break ties as Kong does. */
const SPLIT_NAMESPACE = '7f145bf9-0dce-4f91-98eb-debbce4b9f6b'

const MAX_HEADER_NAMES = 255
const MAX_PATH_LENGTH = 0x7ffff
const STREAM_PROTOCOLS = new Set(['tcp', 'tls', 'udp', 'tls_passthrough'])

const PLAIN_HOSTS_BIT = 1n << 60n
const REGEX_BIT = 1n << 51n

/** Whether a route belongs to the stream subsystem and so never sees an HTTP request. */
export function isStreamRoute(route: RouteEntity): boolean {
  return STREAM_PROTOCOLS.has(route.protocols[0] ?? '')
}

/** Splits a route into its groups, in the order in which its paths first mention them. */
export function splitRoute(route: RouteEntity): PathGroup[] {
  const byKind = Map.groupBy(route.paths ?? [], (path) => (isRegexPath(path) ? 0 : toByteString(path).length))
  if (byKind.size === 0) return [{ id: route.id.toLowerCase(), paths: [], regex: false }]
  return Array.from(byKind, ([kind, paths], index) => ({
    id: byKind.size === 1 ? route.id.toLowerCase() : uuidV5(SPLIT_NAMESPACE, `${route.id}#${index + 1}`),
    paths,
    regex: kind === 0,
  }))
}

/** The 64-bit priority of a group; greater wins. */
export function priorityOf(route: RouteEntity, group: PathGroup, calculation: Calculation): bigint {
  const headerNames = Math.min(Object.keys(route.headers ?? {}).length, MAX_HEADER_NAMES)
  const attributes = [route.methods, route.hosts, route.snis, group.paths].filter(isSet).length + (headerNames > 0 ? 1 : 0)
  const plainHosts = isSet(route.hosts) && !route.hosts.some((host) => host.includes('*'))
  const regexPriority = group.regex ? (route.regex_priority ?? 0) : 0
  const pathLength = group.regex ? 0 : toByteString(group.paths[0] ?? '').length & MAX_PATH_LENGTH
  const fixedBits = (plainHosts ? PLAIN_HOSTS_BIT : 0n) | (group.regex ? REGEX_BIT : 0n) | BigInt(pathLength)
  if (calculation === 'original') {
    // JavaScript's << has the very semantics that go wrong in Kong.
    return fixedBits | signExtended(attributes << 61) | signExtended(headerNames << 52) | signExtended(regexPriority << 19)
  }
  return (
    fixedBits | (BigInt(attributes) << 61n) | (BigInt(headerNames) << 52n) | (group.regex ? unsignedPriority(regexPriority) << 19n : 0n)
  )
}

function isSet(values: readonly string[] | null): values is readonly string[] {
  return values !== null && values.length > 0
}

function signExtended(word: number): bigint {
  return BigInt.asUintN(64, BigInt(word))
}

/** `regex_priority` on 32 bits such that the order is kept, also below zero. */
function unsignedPriority(regexPriority: number): bigint {
  return BigInt(Math.min(Math.max(Math.trunc(regexPriority), -(2 ** 31)), 2 ** 31 - 1) + 2 ** 31)
}

/** A group with its place in the order. */
export interface RankedGroup<R extends RouteEntity> {
  readonly route: R
  readonly group: PathGroup
  readonly priority: bigint
}

/** All groups of the HTTP routes, the one that wins over all others first. */
export function rankGroups<R extends RouteEntity>(routes: readonly R[], calculation: Calculation): RankedGroup<R>[] {
  const ranked: RankedGroup<R>[] = []
  for (const route of routes) {
    if (isStreamRoute(route)) continue
    for (const group of splitRoute(route)) ranked.push({ route, group, priority: priorityOf(route, group, calculation) })
  }
  return ranked.sort(firstWins)
}

function firstWins(a: RankedGroup<RouteEntity>, b: RankedGroup<RouteEntity>): number {
  if (a.priority !== b.priority) return a.priority > b.priority ? -1 : 1
  if (a.group.id === b.group.id) return 0
  return a.group.id > b.group.id ? -1 : 1
}

/** Two routes that the calculations order differently. Whether a request exists that both match is not considered. */
export interface OrderDifference<R extends RouteEntity = RouteEntity> {
  readonly winsInOriginal: R
  readonly winsInStrict: R
}

/**
 * Routes whose order depends on `route_match_calculation`, for a warning when a configuration is loaded. Empty exactly when the order does not
 * depend on it. Each route is compared with the one before it that suffers most, so of many pairs a sample is reported; O(n log n).
 *
 * @param limit most pairs to report
 */
export function differentlyOrdered<R extends RouteEntity>(routes: readonly R[], limit = 10): OrderDifference<R>[] {
  const strictRank = new Map(rankGroups(routes, 'strict').map(({ group }, rank) => [group.id, rank]))
  const differences = new Map<string, OrderDifference<R>>()
  // Of the groups passed so far, those that come last in strict; two, of different routes, since a route is not compared with itself.
  let last: { route: R; rank: number } | undefined
  let lastOfOther: { route: R; rank: number } | undefined
  for (const { route, group } of rankGroups(routes, 'original')) {
    const rank = strictRank.get(group.id) ?? 0
    const before = last?.route === route ? lastOfOther : last
    if (before !== undefined && before.rank > rank) {
      differences.set(`${before.route.id} ${route.id}`, { winsInOriginal: before.route, winsInStrict: route })
      if (differences.size >= limit) break
    }
    if (last === undefined || rank > last.rank) {
      if (last !== undefined && last.route !== route) lastOfOther = last
      last = { route, rank }
    } else if (last.route !== route && (lastOfOther === undefined || rank > lastOfOther.rank)) {
      lastOfOther = { route, rank }
    }
  }
  return [...differences.values()]
}

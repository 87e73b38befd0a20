/**
 * The router flavour `traditional_compatible`, Kong's default: every attribute of a route that is set must match, any value of it is enough, and of
 * the routes that match the one with the highest priority wins (`priority.ts`).
 *
 * How a request is matched. Each group of a route (`splitRoute`) is a *candidate* with a rank, 0 winning over all others. Candidates are filed by host
 * and, below that, by the literal start of their paths, so a request meets only those whose host and path start fit it:
 *
 * ```
 * exact host → ┐
 * suffix     → ├ HostGroup: tree of path prefixes → lists of candidates, each by rank
 * prefix     → │   ''      → no paths, expressions without literal start
 * any        → ┘   /users/ → path /users/, expression ~/users/\d+
 * ```
 *
 * Lists are read in the order of their best candidate, each until a candidate fits or cannot win any more. What filing has not decided (methods, ports,
 * SNI, headers, expressions) is tested on the candidate. Nothing is compiled or copied per request. There is no cache of matches: a lookup in one
 * would cost as much as the match.
 *
 * Invariant: a candidate is filed under a key of every way in which it can match; filing too widely costs time, too narrowly would lose matches.
 */

import type { Matcher } from 're2js'
import { isAscii, isValidUtf8 } from '../http/path.ts'
import { HeaderRegex, matchedText, PathRegex } from '../http/route-regex.ts'
import { fromByteString, toByteString } from '../util/bytes.ts'
import { errorText } from '../util/errors.ts'
import { comparableName, hostName, hostPattern, hostPort, type NamePattern, nameMatches, sniPattern } from './host.ts'
import { PrefixTree } from './prefix-tree.ts'
import { type Calculation, type PathGroup, rankGroups } from './priority.ts'
import { InvalidRouteError, type RoutableRequest, type RouteEntity, type RouteMatch, type Router } from './router.ts'

/** Candidates by rank. */
type CandidateList<R extends RouteEntity> = Candidate<R>[]

/** Candidates of one host, filed by path prefix. */
type HostGroup<R extends RouteEntity> = PrefixTree<CandidateList<R>>

interface HeaderTest {
  readonly lowerName: string
  /** Lower-case byte strings. */
  readonly values: readonly string[]
  readonly regexes: readonly HeaderRegex[]
}

interface RegexHit {
  readonly regex: PathRegex
  readonly matcher: Matcher
}

interface Candidate<R extends RouteEntity> {
  readonly rank: number
  readonly route: R
  readonly methods: readonly string[] | null
  /** Host entries, when one of them names a port; else the filing has decided. */
  readonly portedHosts: readonly NamePattern[] | null
  readonly snis: readonly NamePattern[] | null
  readonly headers: readonly HeaderTest[] | null
  /** Plain paths as byte strings, all of one length. */
  readonly prefixes: readonly string[]
  readonly regexes: readonly PathRegex[]
}

/**
 * Builds a router from routes; the order of `routes` does not matter. Stream routes are skipped.
 *
 * @param options.calculation setting `route_match_calculation`; default `original`, as in Kong
 * @throws {InvalidRouteError} a regular expression of a route does not compile
 */
export function createTraditionalRouter<R extends RouteEntity>(
  routes: readonly R[],
  options: { calculation?: Calculation } = {},
): Router<R> {
  return new TraditionalRouter(routes, options.calculation ?? 'original')
}

class TraditionalRouter<R extends RouteEntity> implements Router<R> {
  readonly #anyHost: HostGroup<R> = new PrefixTree()
  readonly #exactHosts = new Map<string, HostGroup<R>>()
  readonly #hostSuffixes = new PrefixTree<HostGroup<R>>(true)
  readonly #hostPrefixes = new PrefixTree<HostGroup<R>>()
  /** Whether any route names hosts. */
  readonly #hostsMatter: boolean
  /** Work space of `match`, which is synchronous and calls nothing that could come back. */
  readonly #groups: HostGroup<R>[] = []
  readonly #lists: CandidateList<R>[] = []

  constructor(routes: readonly R[], calculation: Calculation) {
    rankGroups(routes, calculation).forEach(({ route, group }, rank) => {
      this.#file(newCandidate(route, group, rank))
    })
    this.#hostsMatter = this.#exactHosts.size + this.#hostSuffixes.size + this.#hostPrefixes.size > 0
  }

  #file(candidate: Candidate<R>): void {
    const pathStarts = [...candidate.prefixes, ...candidate.regexes.map((regex) => regex.literalPrefix)]
    if (pathStarts.length === 0) pathStarts.push('')
    for (const hostGroup of this.#hostGroupsOf(candidate.route)) {
      for (const start of pathStarts) {
        const list = hostGroup.getOrInsert(start, () => [])
        if (list.at(-1) !== candidate) list.push(candidate)
      }
    }
  }

  #hostGroupsOf(route: R): HostGroup<R>[] {
    if (route.hosts === null || route.hosts.length === 0) return [this.#anyHost]
    return route.hosts.map((entry) => {
      const { kind, text } = hostPattern(entry)
      if (kind === 'suffix') return this.#hostSuffixes.getOrInsert(text, () => new PrefixTree())
      if (kind === 'prefix') return this.#hostPrefixes.getOrInsert(text, () => new PrefixTree())
      return this.#exactHost(text)
    })
  }

  #exactHost(name: string): HostGroup<R> {
    let group = this.#exactHosts.get(name)
    if (group === undefined) {
      group = new PrefixTree()
      this.#exactHosts.set(name, group)
    }
    return group
  }

  match(request: RoutableRequest): RouteMatch<R> | undefined {
    const path = request.path
    const ascii = isAscii(path)
    if (!ascii && !isValidUtf8(path)) return undefined
    const lists = this.#lists
    const count = this.#collectLists(request)
    let best: Candidate<R> | undefined
    let bestRegex: RegexHit | undefined
    let text: string | undefined
    for (let index = 0; index < count; index += 1) {
      for (const candidate of lists[index]!) {
        if (best !== undefined && candidate.rank >= best.rank) break
        if (!attributesMatch(candidate, request)) continue
        if (candidate.regexes.length > 0) {
          text ??= ascii ? path : fromByteString(path)
          const hit = firstMatching(candidate.regexes, path, text)
          if (hit === undefined) continue
          bestRegex = hit
        } else {
          bestRegex = undefined
        }
        best = candidate
        break
      }
    }
    if (best === undefined) return undefined
    if (bestRegex === undefined) return { route: best.route, matchedPath: matchedPrefix(best.prefixes, path), captures: null }
    return { route: best.route, matchedPath: matchedText(bestRegex.matcher), captures: bestRegex.regex.captures(bestRegex.matcher) }
  }

  /** Fills `#lists` with the lists that may hold the winner, the one with the best first candidate first. Returns their number. */
  #collectLists(request: RoutableRequest): number {
    const groups = this.#groups
    let groupCount = 0
    groups[groupCount++] = this.#anyHost
    if (this.#hostsMatter) {
      const name = hostName(request.host)
      const exact = this.#exactHosts.get(name)
      if (exact !== undefined) groups[groupCount++] = exact
      groupCount = this.#hostSuffixes.collect(name, groups, groupCount)
      groupCount = this.#hostPrefixes.collect(name, groups, groupCount)
    }
    let count = 0
    for (let index = 0; index < groupCount; index += 1) count = groups[index]!.collect(request.path, this.#lists, count)
    sortByBestRank(this.#lists, count)
    return count
  }
}

/** Insertion sort of the first `count` lists: there are few, and nothing is allocated. */
function sortByBestRank<R extends RouteEntity>(lists: CandidateList<R>[], count: number): void {
  for (let index = 1; index < count; index += 1) {
    const list = lists[index]!
    const rank = list[0]!.rank
    let place = index
    while (place > 0 && lists[place - 1]![0]!.rank > rank) {
      lists[place] = lists[place - 1]!
      place -= 1
    }
    lists[place] = list
  }
}

function attributesMatch<R extends RouteEntity>(candidate: Candidate<R>, request: RoutableRequest): boolean {
  return (
    (candidate.methods === null || candidate.methods.includes(request.method)) &&
    (candidate.portedHosts === null || portedHostMatches(candidate.portedHosts, request)) &&
    (candidate.snis === null || sniMatches(candidate.snis, request)) &&
    (candidate.headers === null || headersMatch(candidate.headers, request))
  )
}

function portedHostMatches(hosts: readonly NamePattern[], request: RoutableRequest): boolean {
  const name = hostName(request.host)
  const port = hostPort(request.host, request.port)
  return hosts.some((host) => (host.port === null || host.port === port) && nameMatches(host, name))
}

/** A request without TLS satisfies any SNI, as in Kong; one with TLS but without SNI satisfies none. */
function sniMatches(snis: readonly NamePattern[], request: RoutableRequest): boolean {
  if (request.scheme === 'http') return true
  if (request.sni === null) return false
  const name = comparableName(request.sni)
  return snis.some((pattern) => nameMatches(pattern, name))
}

function headersMatch(tests: readonly HeaderTest[], request: RoutableRequest): boolean {
  for (const test of tests) {
    if (!headerMatches(test, request.headers.all(test.lowerName))) return false
  }
  return true
}

function headerMatches(test: HeaderTest, values: readonly string[]): boolean {
  for (const value of values) {
    const lower = lowerAscii(value)
    if (test.values.includes(lower)) return true
    for (const regex of test.regexes) {
      if (regex.test(lower)) return true
    }
  }
  return false
}

/** Lower-cases ASCII letters only: in a byte string other units are parts of characters. */
function lowerAscii(bytes: string): string {
  return isAscii(bytes) ? bytes.toLowerCase() : bytes.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function firstMatching(regexes: readonly PathRegex[], path: string, text: string): RegexHit | undefined {
  for (const regex of regexes) {
    if (!path.startsWith(regex.literalPrefix)) continue
    const matcher = regex.find(text)
    if (matcher !== null) return { regex, matcher }
  }
  return undefined
}

function matchedPrefix(prefixes: readonly string[], path: string): string | null {
  for (const prefix of prefixes) {
    if (path.startsWith(prefix)) return prefix
  }
  return null
}

function newCandidate<R extends RouteEntity>(route: R, group: PathGroup, rank: number): Candidate<R> {
  const hosts = setOrNull(route.hosts)?.map(hostPattern) ?? null
  return {
    rank,
    route,
    methods: setOrNull(route.methods),
    portedHosts: hosts?.some((host) => host.port !== null) ? hosts : null,
    snis: setOrNull(route.snis)?.map(sniPattern) ?? null,
    headers: newHeaderTests(route),
    prefixes: group.regex ? [] : group.paths.map(toByteString),
    regexes: group.regex ? group.paths.map((path) => compiled(route, 'paths', () => new PathRegex(path))) : [],
  }
}

function setOrNull(values: readonly string[] | null): readonly string[] | null {
  return values === null || values.length === 0 ? null : values
}

function newHeaderTests(route: RouteEntity): HeaderTest[] | null {
  const tests = Object.entries(route.headers ?? {}).map(([name, values]) => ({
    lowerName: name.toLowerCase(),
    values: values.filter((value) => !value.startsWith('~*')).map((value) => lowerAscii(toByteString(value))),
    regexes: values.filter((value) => value.startsWith('~*')).map((value) => compiled(route, 'headers', () => new HeaderRegex(value))),
  }))
  return tests.length === 0 ? null : tests
}

function compiled<T>(route: RouteEntity, field: 'paths' | 'headers', compile: () => T): T {
  try {
    return compile()
  } catch (error) {
    throw new InvalidRouteError(route.id, field, errorText(error))
  }
}

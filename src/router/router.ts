/**
 * What every router flavour offers: entities in, an immutable router out, `match(request)` per request.
 *
 * A router knows nothing of plugins, upstreams or answers. It never throws for a request, keeps no state between requests that could be
 * noticed, and its time is bounded by the number of routes and linear in the length of the request's path and headers.
 */

import type { Captures } from '../http/route-regex.ts'
import { GatewayError } from '../util/errors.ts'

export type { Captures } from '../http/route-regex.ts'

/** A route as the Admin API shows it; only these members are read. Routes of disabled services are left out by the caller. */
export interface RouteEntity {
  id: string
  name: string | null
  /** Which subsystem the route belongs to. `http` against `https` does not take part in matching: the caller answers 426 or redirects. */
  protocols: string[]
  methods: string[] | null
  hosts: string[] | null
  paths: string[] | null
  headers: Record<string, string[]> | null
  snis: string[] | null
  strip_path: boolean
  preserve_host: boolean
  regex_priority: number | null
  path_handling: string | null
  https_redirect_status_code: number
  created_at: number
  service: { id: string } | null
}

/** What a router looks at. Strings are byte strings (one byte per unit), as they came off the wire. */
export interface RoutableRequest {
  readonly method: string
  /** `Host` as sent, may hold a port; '' when there is none. */
  readonly host: string
  /** Port of the listener after `port_maps`; counts when `host` names none. */
  readonly port: number
  /** As `normalizePath` gives it. */
  readonly path: string
  readonly scheme: 'http' | 'https'
  /** Server name that the client asked for in its TLS handshake, lower case. */
  readonly sni: string | null
  readonly headers: {
    /** Values of all header lines of that name, in order; empty when there is none. */
    all(lowerName: string): readonly string[]
  }
}

/** The winning route and how its path matched. */
export interface RouteMatch<R extends RouteEntity = RouteEntity> {
  readonly route: R
  /** The text that `strip_path` removes from the front of the path; null when the route has no paths. */
  readonly matchedPath: string | null
  /** Present only when at least one group besides the whole match took part. */
  readonly captures: Captures | null
}

/** An immutable set of routes. */
export interface Router<R extends RouteEntity = RouteEntity> {
  /** The route for this request, or undefined (404). A path that is not UTF-8 matches nothing, as in Kong. */
  match(request: RoutableRequest): RouteMatch<R> | undefined
}

/**
 * A route that no router can be built from, such as one with a regular expression that does not compile. It should have been refused when
 * it was written; a router is never built without it, since a weaker route could then take its requests.
 */
export class InvalidRouteError extends GatewayError {
  readonly code = 'GW_INVALID_ROUTE'
  readonly source = 'internal'
  readonly status = 500
  readonly routeId: string
  /** Member of the route at fault. */
  readonly field: 'paths' | 'headers'

  constructor(routeId: string, field: 'paths' | 'headers', reason: string) {
    super(`route ${routeId}, ${field}: ${reason}`)
    this.name = 'InvalidRouteError'
    this.routeId = routeId
    this.field = field
  }
}

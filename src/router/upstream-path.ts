/**
 * The path sent to the upstream, from the service's path, the request's path and what the route matched. Neither function escapes nor adds
 * the query: the caller sends `escapePath(upstreamPathV0(…)) + query`.
 *
 * Common terms: *base* is the service's `path` or `/`; *prefix* is the matched text when the route strips it, else `/`; *post* is the
 * rest of the request path after the prefix, made safe.
 */

/**
 * Kong's `path_handling` v0: base and rest joined with exactly one slash. The only rule of the flavours `traditional_compatible` and
 * `expressions`, whatever the route says.
 *
 * @param servicePath `path` of the service, null when absent
 * @param requestPath normalised path of the request
 * @param matchedPath what the route's path matched (`RouteMatch.matchedPath`), null when the route has no path
 * @param stripPath   `strip_path` of the route
 */
export function upstreamPathV0(servicePath: string | null, requestPath: string, matchedPath: string | null, stripPath: boolean): string {
  const base = servicePath ?? '/'
  const baseEndsWithSlash = base.endsWith('/')
  if (!stripPath) {
    if (baseEndsWithSlash) return base + requestPath.slice(1)
    return requestPath === '/' ? base : base + requestPath
  }
  const post = rest(requestPath, matchedPath, stripPath)
  if (baseEndsWithSlash) {
    if (post === '') return base === '/' || requestPath.endsWith('/') ? base : base.slice(0, -1)
    return post.startsWith('/') ? base.slice(0, -1) + post : base + post
  }
  if (post === '') return requestPath.length > 1 && requestPath.endsWith('/') ? `${base}/` : base
  return post.startsWith('/') ? base + post : `${base}/${post}`
}

/**
 * Kong's `path_handling` v1: base and rest put end to end; of two slashes that meet one is dropped. Honoured by the flavour `traditional` only.
 * Parameters as in `upstreamPathV0`.
 */
export function upstreamPathV1(servicePath: string | null, requestPath: string, matchedPath: string | null, stripPath: boolean): string {
  const base = servicePath ?? '/'
  if (!stripPath) return base + requestPath.slice(1)
  const post = rest(requestPath, matchedPath, stripPath)
  return base.endsWith('/') && post.startsWith('/') ? base.slice(0, -1) + post : base + post
}

/**
 * The request path after the prefix. A prefix need not end at a segment: with route `/route`, `/route../x` leaves `../x`, which would climb
 * out of the service's path, so one leading dot segment is cut. (More cannot follow: the path was normalised.)
 */
function rest(requestPath: string, matchedPath: string | null, stripPath: boolean): string {
  const prefix = stripPath && matchedPath !== null ? matchedPath : '/'
  const post = requestPath.slice(prefix.length)
  if (post === '.' || post === '..') return ''
  if (post.startsWith('./')) return post.slice(2)
  if (post.startsWith('../')) return post.slice(3)
  return post
}

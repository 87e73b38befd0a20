/** Why an introspection brought no answer. */
export type IntrospectionFailureKind =
  /** no connection, TLS, reset */
  | 'transport'
  | 'timeout'
  /** a status that is no answer */
  | 'status'
  /** not what the protocol says */
  | 'malformed'
  /** the endpoint refuses the gateway's own credentials */
  | 'refused'
  /** not asked: the server failed just before, or asked for a pause */
  | 'suspended'
  /** not asked: too many calls under way */
  | 'saturated'
  /** not asked: the gateway's own configuration does not allow it */
  | 'configuration'

/** What an introspection engine has done since it was made. Plain numbers, added to in place: free while nobody reads them. */
export interface IntrospectionCounters {
  /** decisions on a stored answer, positive or negative */
  hits: number
  /** of these, on a stored negative one */
  negatives: number
  misses: number
  /** misses that joined a call under way */
  coalesced: number
  /** background calls ahead of an entry's end */
  refreshes: number
  /** decisions on an answer past its end, because the server failed */
  stale: number
  /** requests sent to the endpoint */
  calls: number
  readonly failures: Record<IntrospectionFailureKind, number>
}

/** Counters at zero. */
export function createIntrospectionCounters(): IntrospectionCounters {
  return {
    hits: 0,
    negatives: 0,
    misses: 0,
    coalesced: 0,
    refreshes: 0,
    stale: 0,
    calls: 0,
    failures: { transport: 0, timeout: 0, status: 0, malformed: 0, refused: 0, suspended: 0, saturated: 0, configuration: 0 },
  }
}

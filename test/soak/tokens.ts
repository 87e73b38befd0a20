/** Tokens that say themselves what they are: an authorization server that is killed and started again forgets none. */

/** What the authorization server says: `active` always, `ending` until a moment, `inactive` never. */
export type TokenKind = 'active' | 'ending' | 'inactive'

const PREFIX = 'soaktoken'

/** @param expS epoch seconds at which an `ending` token ends */
export function tokenOf(kind: TokenKind, subject: string, expS = 0): string {
  return [PREFIX, kind, subject, expS, '0123456789abcdef'].join('.')
}

/** Whether a text holds a token of this run. */
export function holdsToken(text: string): boolean {
  return text.includes(`${PREFIX}.`)
}

/** The answer of the introspection endpoint (RFC 7662 section 2.2). @param nowS epoch seconds */
export function introspectionOf(token: string, nowS: number): Readonly<Record<string, unknown>> {
  const [prefix, kind, subject = '', expS = '0'] = token.split('.')
  if (prefix !== PREFIX) return { active: false }
  const claims = { active: true, username: subject, sub: `sub-of-${subject}`, client_id: `client-of-${subject}`, scope: 'read write' }
  if (kind === 'active') return claims
  return kind === 'ending' && nowS < Number(expS) ? { ...claims, exp: Number(expS) } : { active: false }
}

/** Whom the upstream saw behind a request, as the gateway told it. */
export interface Seen {
  /** The request's own number. */
  readonly number: string
  readonly identifier: string
  readonly subject: string
  readonly client: string
  readonly consumer: string
  /** Whether the token itself came through. */
  readonly credentials: boolean
}

/** Subjects that are consumers of the gateway. */
export const CONSUMERS: readonly string[] = Array.from({ length: 20 }, (_, index) => `consumer-${index}`)

/** What the upstream must have seen; without a subject, that of a route without authentication. */
export function expectedSeen(number: string, subject: string | null): Seen {
  if (subject === null) return { number, identifier: '', subject: '', client: '', consumer: '', credentials: false }
  const consumer = CONSUMERS.includes(subject) ? subject : ''
  return { number, identifier: subject, subject: `sub-of-${subject}`, client: `client-of-${subject}`, consumer, credentials: false }
}

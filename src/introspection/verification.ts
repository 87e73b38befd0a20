/** What is checked of an answer each time it is used, fresh or stored: time goes on. */
import type { InactiveReason } from '../oauth/introspection.ts'
import type { ActiveAnswer } from './answer.ts'
import { DEFECT } from './decision.ts'

export interface VerificationRules {
  /** False: `exp` and `nbf` have no say. */
  readonly verifyTimes: boolean
  /** Milliseconds by which clocks may differ. */
  readonly leewayMs: number
}

/** Why `answer` counts for nothing at this time; null when it holds (RFC 7662 section 4: not beyond `exp`). */
export function refuseByClock(answer: ActiveAnswer, rules: VerificationRules, nowMs: number): InactiveReason | null {
  if (!rules.verifyTimes) return null
  if (answer.expMs <= nowMs - rules.leewayMs) return 'expired'
  if (answer.nbfMs > nowMs + rules.leewayMs) return 'not_yet_valid'
  return null
}

/** The log's words for why a token is not active. */
export const INACTIVE_TEXTS: Readonly<Record<InactiveReason, string>> = {
  active_false: 'the token is not active',
  active_unreadable: DEFECT,
  expired: 'the token has expired',
  not_yet_valid: 'the token is not valid yet',
  wrong_issuer: 'the token is of another issuer',
  not_an_access_token: 'the token is no access token',
  no_content: 'the introspection endpoint does not know the token',
  error_response: 'the introspection endpoint cannot read the token',
}

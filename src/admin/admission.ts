/**
 * Who may speak to the Admin API.
 *
 * 1. With a token configured every request must bring it, as `Kong-Admin-Token` or as a bearer token (RFC 6750 section 2.1). Only a CORS preflight, which
 *    browsers send without credentials and which tells nothing, passes without.
 * 2. A page of another site must not steer an operator's browser to an API on the loopback interface. Browsers name the relation of page and target in
 *    `Sec-Fetch-Site` (W3C Fetch Metadata); no other client sends that header. Pages of `admin_gui_url`, and following a link, stay possible.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Answer } from './endpoint.ts'
import { message } from './endpoint.ts'

const UNAUTHORIZED: Answer = { ...message(401, 'Unauthorized'), headers: { 'www-authenticate': 'Bearer' } }
const FOREIGN_SITE = message(403, 'Requests from pages of other sites are refused; admin_gui_url names the pages that may send them')

export interface AdmissionRules {
  readonly token: string | null
  readonly guiOrigins: readonly string[]
}

/** The refusal of a request, or null when it may pass. */
export function refusalOf(rules: AdmissionRules, method: string, headers: IncomingHttpHeaders): Answer | null {
  if (isFromForeignSite(rules, method, headers)) return FOREIGN_SITE
  if (rules.token === null || isPreflight(method, headers)) return null
  return presentedTokens(headers).some((token) => equal(token, rules.token ?? '')) ? null : UNAUTHORIZED
}

function isFromForeignSite({ guiOrigins }: AdmissionRules, method: string, headers: IncomingHttpHeaders): boolean {
  if (headers['sec-fetch-site'] !== 'cross-site') return false
  if (headers.origin !== undefined && guiOrigins.includes(headers.origin)) return false
  return !(headers['sec-fetch-mode'] === 'navigate' && (method === 'GET' || method === 'HEAD'))
}

function isPreflight(method: string, headers: IncomingHttpHeaders): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined
}

function presentedTokens(headers: IncomingHttpHeaders): string[] {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const own = headers['kong-admin-token']
  return [bearer, ...(Array.isArray(own) ? own : [own])].filter((token) => token !== undefined)
}

/** Digests have one length whatever was sent, and the comparison takes one time whatever differs. */
function equal(presented: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(presented), digest(expected))
}

/**
 * One line per request, in the form that nginx and Kong write. Values of query arguments that carry credentials are replaced, so that no token reaches the file,
 * and nothing that a client sends can end the line or its quotes.
 */

/** What a line tells. Strings are as received, byte strings. */
export interface AccessFacts {
  readonly address: string
  /** Epoch milliseconds of the request's first byte. */
  readonly startedAtMs: number
  /** '' where there was no request to speak of. */
  readonly method: string
  /** Free of credentials: see `redactTarget` of http/query.ts. */
  readonly target: string
  readonly version: string
  readonly status: number
  readonly bytes: number
  /** Free of credentials. */
  readonly referer: string
  readonly agent: string
  /** Absent where requests have no id. */
  readonly requestId?: string
}

/** The line, with its newline. */
export function accessLine(facts: AccessFacts): string {
  const { address, startedAtMs, method, target, version, status, bytes, referer, agent, requestId } = facts
  const id = requestId === undefined ? '' : ` kong_request_id: "${requestId}"`
  const request = method === '' ? '-' : quote(`${method} ${target} HTTP/${version}`)
  return `${address} - - [${time(startedAtMs)}] "${request}" ${status} ${bytes} "${quote(referer)}" "${quote(agent)}"${id}\n`
}

/** What could break out of the quotes or the line is escaped, as nginx does. */
function quote(text: string): string {
  return text.replace(
    /[\x00-\x1f"\\\x7f-\xff]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** The text of a second, made once. */
const latest = { second: -1, text: '' }

/** Common log format's time, in UTC. */
function time(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== latest.second) {
    const d = new Date(second * 1000)
    const two = (n: number): string => String(n).padStart(2, '0')
    const day = `${two(d.getUTCDate())}/${MONTHS[d.getUTCMonth()]}/${d.getUTCFullYear()}`
    latest.second = second
    latest.text = `${day}:${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())} +0000`
  }
  return latest.text
}

/**
 * One line per request, in the form that nginx and Kong write, with the request id at its end. Values of query arguments that carry credentials are replaced,
 * so that no token reaches the file.
 */
import { redactQuery } from '../http/query.ts'
import type { Finished } from '../proxy/runtime.ts'
import type { LineWriter } from '../telemetry/line-writer.ts'

/** A request-target, or a URL, without the values of arguments that may be credentials. */
export function redactTarget(target: string): string {
  const question = target.indexOf('?')
  return question === -1 ? target : `${target.slice(0, question)}${redactQuery(target.slice(question))}`
}

/** An observer that writes one line per finished request. */
export function createAccessLog(writer: LineWriter): (finished: Finished) => void {
  if (!writer.isOpen) return () => {}
  return ({ context, status, bytesSent }) => {
    const { request, id } = context
    const agent = quote(request.headers.get('user-agent') ?? '-')
    const referer = quote(redactTarget(request.headers.get('referer') ?? '-'))
    const line = `${request.method} ${redactTarget(request.target)} HTTP/${request.version}`
    writer.write(
      `${request.clientAddress} - - [${clfTime(context.startedAtMs)}] "${quote(line)}" ${status} ${bytesSent} "${referer}" "${agent}" kong_request_id: "${id}"\n`,
    )
  }
}

/** What could break out of the quotes or the line is escaped, as nginx does. */
function quote(text: string): string {
  return text.replace(
    /[\x00-\x1f"\\\x7f-\xff]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
let lastSecond = -1
let lastText = ''

/** Common log format's time, in UTC; computed once a second. */
function clfTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== lastSecond) {
    const d = new Date(second * 1000)
    const two = (n: number): string => String(n).padStart(2, '0')
    lastSecond = second
    lastText = `${two(d.getUTCDate())}/${MONTHS[d.getUTCMonth()]}/${d.getUTCFullYear()}:${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())} +0000`
  }
  return lastText
}

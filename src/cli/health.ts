import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { request as requestTls } from 'node:https'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { PROXY_PROTOCOL_MARK } from '../util/authority.ts'
import { errorText } from '../util/errors.ts'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, PREFIX, PREFIX_USAGE } from './command.ts'
import { type Addresses, findRunning } from './process-files.ts'
import { existingPrefix } from './sources.ts'

const ANSWER_TIMEOUT_MS = 5000

/** `health`: does it run, and does it answer? */
export const health: Command = {
  name: 'health',
  summary: 'does the gateway run and answer?',
  usage: `Usage: sallyport health [OPTIONS]

Check that the gateway runs and that its Status API, or else its Admin API, answers.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  async run(invocation) {
    const { terminal } = invocation
    const prefix = existingPrefix(invocation)
    const running = findRunning(prefix)
    terminal.out(`${'sallyport'.padEnd(14, '.')}${running === null ? 'not running' : 'running'}`)
    terminal.out('')
    if (running === null) throw new CommandError(`Sallyport is not running at ${prefix}`)
    await expectAnswer(prefix, running.addresses)
    terminal.out(`Sallyport is healthy at ${prefix}`)
    return 0
  },
}

/** An Admin API that asks for its token answers too. Without any of the two APIs the living process has to do. */
async function expectAnswer(prefix: string, addresses: Addresses | null): Promise<void> {
  if (addresses === null) throw new CommandError(`Sallyport is starting at ${prefix}`)
  const [status, admin] = [easiest(addresses.status), easiest(addresses.admin)]
  const address = status ?? admin
  if (address === undefined) return
  const accepted = status === undefined ? [200, 401] : [200]
  const code = await requestStatus(address, '/status').catch((error: unknown) => {
    throw new CommandError(`Sallyport does not answer at ${prefix}: ${errorText(error)}`, { cause: error })
  })
  if (!accepted.includes(code)) throw new CommandError(`Sallyport is unhealthy at ${prefix}: GET /status answered ${code}`)
}

/** The address to ask of several: one in clear where there is one. */
export function easiest(addresses: readonly string[]): string | undefined {
  return addresses.find((address) => !address.startsWith('https:')) ?? addresses[0]
}

/**
 * Asks a listener of this machine, as `localUrl` names it. Its certificate, often one of its own making, is not verified: nothing secret is sent.
 *
 * @param form sent by POST; GET without
 * @returns the status of the answer
 * @throws when none comes within 5 s
 */
export async function requestStatus(address: string, path: string, form?: URLSearchParams): Promise<number> {
  const url = localUrl(address, path)
  const options = {
    ...(address.endsWith(PROXY_PROTOCOL_MARK) ? { createConnection: () => connectBehindHeader(url) } : {}),
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    ...(form === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }),
  }
  const sent = url.protocol === 'https:' ? requestTls(url, { rejectUnauthorized: false, ...options }) : request(url, options)
  sent.end(form?.toString())
  const [response]: IncomingMessage[] = await once(sent, 'response', { signal: options.signal })
  response?.destroy()
  return response?.statusCode ?? 0
}

/** A connection with a PROXY header that says nothing, as the command speaks for itself. */
function connectBehindHeader({ hostname, port, protocol }: URL): Socket {
  const secure = protocol === 'https:'
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (secure ? 443 : 80)) })
  socket.write('PROXY UNKNOWN\r\n')
  return secure ? connectTls({ socket, rejectUnauthorized: false }) : socket
}

/**
 * The URL under which a listener of this machine is reached.
 *
 * @param address `host:port` or a URL, with or without a mark behind it; the unspecified address is reached over loopback
 */
export function localUrl(address: string, path: string): URL {
  const bare = address.replace(PROXY_PROTOCOL_MARK, '')
  const url = new URL(path, /^https?:\/\//.test(bare) ? bare : `http://${bare}`)
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
  if (url.hostname === '[::]') url.hostname = '[::1]'
  return url
}

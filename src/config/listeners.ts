import { BlockList, isIP } from 'node:net'
import { formatAuthority } from '../util/authority.ts'
import { splitList } from './units.ts'

/** One address to listen on, in the members that Kong shows for it. */
export interface Listener {
  /** Address without brackets, or a host name. */
  readonly ip: string
  /** 0 lets the system choose. */
  readonly port: number
  readonly ssl: boolean
  readonly http2: boolean
  readonly proxy_protocol: boolean
  readonly deferred: boolean
  readonly bind: boolean
  readonly reuseport: boolean
  /** Length of the queue of connections not yet accepted; null is the system's default. */
  readonly backlog: number | null
  /** Whether an IPv6 listener refuses IPv4; null is the system's default. */
  readonly ipv6only: boolean | null
  /** nginx's text (`on`, `off`, `30m::10`), or null. */
  readonly so_keepalive: string | null
  /** The whole entry, address first and flags in a fixed order. */
  readonly listener: string
}

/** What a listener setting must look like: the second half of Kong's error text. */
export const LISTENER_USAGE =
  'must be of form: [off] | <ip>:<port> [ssl] [http2] [proxy_protocol] [deferred] [bind] [reuseport] [backlog=%d+] ' +
  '[ipv6only=on] [ipv6only=off] [so_keepalive=on] [so_keepalive=off] [so_keepalive=%w*:%w*:%d*], [... next entry ...]'

/** The text is not a listener setting; the message is `LISTENER_USAGE`. */
export class ListenerSyntaxError extends Error {
  constructor() {
    super(LISTENER_USAGE)
    this.name = 'ListenerSyntaxError'
  }
}

const SWITCHES = ['ssl', 'http2', 'proxy_protocol', 'deferred', 'bind', 'reuseport'] as const
const KEEPALIVE = /^(?:on|off|\w*:\w*:\d*)$/

/**
 * Reads a listener setting of kong.conf: `off`, or a comma list of `<ip>:<port> [flags]` with IPv6 addresses in brackets.
 *
 * @throws {ListenerSyntaxError} for anything else, an unknown flag and a port above 65535 included
 */
export function parseListeners(text: string): readonly Listener[] {
  if (text.trim().toLowerCase() === 'off') return []
  const entries = splitList(text)
  if (entries.length === 0) throw new ListenerSyntaxError()
  return entries.map(parseListener)
}

/** Whether only this machine can reach the listener. A host name counts as reachable from elsewhere, `localhost` excepted. */
export function isLoopback(listener: Listener): boolean {
  if (listener.ip === 'localhost') return true
  const version = isIP(listener.ip)
  return version !== 0 && LOOPBACK.check(listener.ip, version === 6 ? 'ipv6' : 'ipv4')
}

// A BlockList also finds IPv4 addresses that are written inside IPv6 ones (::ffff:127.0.0.1).
const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

function parseListener(entry: string): Listener {
  const [address, ...flags] = entry.split(/\s+/)
  const { ip, port } = parseAddress(address ?? '')
  const options = parseFlags(flags)
  return { ip, port, ...options, listener: [formatAuthority(ip, port), ...printFlags(options)].join(' ') }
}

function parseAddress(text: string): { ip: string; port: number } {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+)):(\d{1,5})$/i.exec(text)
  if (match === null) throw new ListenerSyntaxError()
  const ip = (match[1] ?? match[2] ?? '').toLowerCase()
  const port = Number(match[3])
  if (port > 65_535) throw new ListenerSyntaxError()
  if (match[1] !== undefined && isIP(ip) !== 6) throw new ListenerSyntaxError()
  // Only digits and dots is meant as an address: `127.0.0` or `300.0.0.1` is a mistake, not a host name.
  if (/^[\d.]+$/.test(ip) && isIP(ip) !== 4) throw new ListenerSyntaxError()
  return { ip, port }
}

type Flags = Omit<Listener, 'ip' | 'port' | 'listener'>

function parseFlags(flags: readonly string[]): Flags {
  const switches = new Set<string>()
  const values = new Map<string, string>()
  for (const flag of flags) {
    const equals = flag.indexOf('=')
    if (equals !== -1) values.set(flag.slice(0, equals), flag.slice(equals + 1))
    else if (SWITCHES.some((name) => name === flag)) switches.add(flag)
    else throw new ListenerSyntaxError()
  }
  const read = (name: string, pattern: RegExp): string | null => {
    const value = values.get(name)
    values.delete(name)
    if (value === undefined) return null
    if (!pattern.test(value)) throw new ListenerSyntaxError()
    return value
  }
  const backlog = read('backlog', /^\d{1,9}$/)
  const ipv6only = read('ipv6only', /^(?:on|off)$/)
  const so_keepalive = read('so_keepalive', KEEPALIVE)
  if (values.size > 0) throw new ListenerSyntaxError()
  return {
    ssl: switches.has('ssl'),
    http2: switches.has('http2'),
    proxy_protocol: switches.has('proxy_protocol'),
    deferred: switches.has('deferred'),
    bind: switches.has('bind'),
    reuseport: switches.has('reuseport'),
    backlog: backlog === null ? null : Number(backlog),
    ipv6only: ipv6only === null ? null : ipv6only === 'on',
    so_keepalive,
  }
}

function printFlags(flags: Flags): string[] {
  const printed: string[] = SWITCHES.filter((name) => flags[name])
  if (flags.backlog !== null) printed.push(`backlog=${flags.backlog}`)
  if (flags.ipv6only !== null) printed.push(`ipv6only=${flags.ipv6only ? 'on' : 'off'}`)
  if (flags.so_keepalive !== null) printed.push(`so_keepalive=${flags.so_keepalive}`)
  return printed
}

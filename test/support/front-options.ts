import { Capacity } from '../../src/proxy/capacity.ts'
import type { FrontDeadlines, FrontOptions } from '../../src/proxy/client-connection.ts'
import { readShownHeaders } from '../../src/proxy/runtime.ts'

type Changes = Partial<Omit<FrontOptions, 'handle' | 'deadlines'>> & { readonly deadlines?: Partial<FrontDeadlines> }

/** Options of a front of its own, without a gateway: generous where `changes` says nothing, and nothing is logged. */
export function frontOptions(handle: FrontOptions['handle'], { deadlines, ...changes }: Changes = {}): FrontOptions {
  return {
    limits: { lineBytes: 8192, headBytes: 32_768, lines: 1000 },
    deadlines: { headMs: 60_000, bodyMs: 60_000, sendMs: 60_000, keepaliveMs: 60_000, lingeringMs: 5000, ...deadlines },
    capacity: new Capacity(1000, () => {}),
    maxRequests: 100,
    handle,
    onBadRequest() {},
    onHandshakeFailed() {},
    onFlood() {},
    onProxyHeaderRefused() {},
    proxyProtocol: false,
    priorKnowledge: false,
    maxConcurrentStreams: 128,
    product: 'kong/3.9.1',
    shown: readShownHeaders([], []),
    errorDefaultType: 'text/plain',
    ...changes,
  }
}

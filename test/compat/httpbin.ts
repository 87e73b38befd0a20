import { spawn } from 'node:child_process'
import { once } from 'node:events'

const START_TIMEOUT_MS = 30_000
/** Ends with us: it watches the end of a pipe of which we hold the other side. */
const PROGRAM = `
import os, sys, threading
def watch():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
from httpbin import app
app.run(host='127.0.0.1', port=0)
`

export type Httpbin = AsyncDisposable & { readonly port: number }

/**
 * The real httpbin, as Debian packages it (`python3-httpbin`), on a free port of the loopback address.
 *
 * @throws when the package is not installed; with what Python printed
 */
export async function startHttpbin(): Promise<Httpbin> {
  const child = spawn('/usr/bin/python3', ['-c', PROGRAM], { stdio: ['pipe', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  const stop = async () => {
    child.stdin.end()
    await ended
  }
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-64 * 1024)))
  const signal = AbortSignal.timeout(START_TIMEOUT_MS)
  for (;;) {
    const printed = once(child.stderr, 'data', { signal }).then(
      () => true,
      () => false,
    )
    const goesOn = await Promise.race([printed, ended.then(() => false)])
    const port = /Running on http:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1]
    if (port !== undefined) return { port: Number(port), [Symbol.asyncDispose]: stop }
    if (!goesOn) {
      await stop()
      throw new Error(`httpbin did not start\n${output}`)
    }
  }
}

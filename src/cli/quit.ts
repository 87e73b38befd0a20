import { setTimeout as sleep } from 'node:timers/promises'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, type Invocation, PREFIX, PREFIX_USAGE } from './command.ts'
import { waitUntilGone } from './process-files.ts'
import { findGateway } from './stop.ts'

/** Time between a fast stop and the end by force, once the time for a graceful one is over. */
const STOP_TIMEOUT_MS = 5000

/** `quit`: when the requests under way are answered. */
export const quit: Command = {
  name: 'quit',
  summary: 'stop the gateway when the requests under way are answered',
  usage: `Usage: sallyport quit [OPTIONS]

Stop the running gateway gracefully (SIGQUIT): no new connections, requests under way are answered.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
  -t, --timeout S     seconds before it is stopped by force (default 10)
  -w, --wait S        seconds before it is asked to quit (default 0)
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX, timeout: { type: 'string', short: 't' }, wait: { type: 'string', short: 'w' } },
  async run(invocation) {
    const running = findGateway(invocation)
    const timeoutMs = seconds(invocation, 'timeout', 10)
    await sleep(seconds(invocation, 'wait', 0))
    process.kill(running.pid, 'SIGQUIT')
    if (await waitUntilGone(running, timeoutMs)) {
      invocation.terminal.out('Sallyport stopped (gracefully)')
      return 0
    }
    process.kill(running.pid, 'SIGTERM')
    if (!(await waitUntilGone(running, STOP_TIMEOUT_MS))) {
      process.kill(running.pid, 'SIGKILL')
      await waitUntilGone(running, STOP_TIMEOUT_MS)
    }
    invocation.terminal.out('Timeout, Sallyport stopped forcefully')
    return 0
  },
}

/** @returns milliseconds */
function seconds({ values }: Invocation, name: string, otherwise: number): number {
  const text = values[name] ?? String(otherwise)
  if (!/^\d{1,6}(?:\.\d+)?$/.test(text)) throw new CommandError(`--${name} is not a number of seconds: '${text}'`)
  return Number(text) * 1000
}

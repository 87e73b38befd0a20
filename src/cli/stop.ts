import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, type Invocation, PREFIX, PREFIX_USAGE } from './command.ts'
import { findRunning, type RunningProcess, waitUntilGone } from './process-files.ts'
import { existingPrefix } from './sources.ts'

/** A fast stop closes connections and the database; more than this is a hang. */
const STOP_TIMEOUT_MS = 30_000

/** `stop`: at once, requests under way included. */
export const stop: Command = {
  name: 'stop',
  summary: 'stop the gateway at once',
  usage: `Usage: sallyport stop [OPTIONS]

Stop the running gateway (SIGTERM) and wait until it has ended. Requests under way are cut off; see quit.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  async run(invocation) {
    await stopGateway(invocation)
    invocation.terminal.out('Sallyport stopped')
    return 0
  },
}

/**
 * Stops the gateway of this call's data directory.
 *
 * @throws {CommandError} there is none, or it does not end
 */
export async function stopGateway(invocation: Invocation): Promise<void> {
  const running = findGateway(invocation)
  invocation.terminal.verbose(`sending SIGTERM to process ${running.pid}`)
  process.kill(running.pid, 'SIGTERM')
  if (await waitUntilGone(running, STOP_TIMEOUT_MS)) return
  throw new CommandError(`process ${running.pid} did not end within ${STOP_TIMEOUT_MS / 1000} s`)
}

/**
 * Finds the gateway of this call's data directory.
 *
 * @throws {CommandError} no such directory, or nothing runs there
 */
export function findGateway(invocation: Invocation): RunningProcess & { readonly prefix: string } {
  const prefix = existingPrefix(invocation)
  const running = findRunning(prefix)
  if (running === null) throw new CommandError(`Sallyport not running in prefix: ${prefix}`)
  return { ...running, prefix }
}

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, PREFIX, PREFIX_USAGE } from './command.ts'
import { requestReload } from './reload-requests.ts'
import { findGateway } from './stop.ts'

/** A configuration with many thousands of entities takes seconds; more than this is a hang. */
const RELOAD_TIMEOUT_MS = 60_000

/** `reload`: the running gateway reads its configuration again; if that fails, the old one goes on serving. */
export const reload: Command = {
  name: 'reload',
  summary: 'read the configuration again, without a pause',
  usage: `Usage: sallyport reload [OPTIONS]

Let the running gateway read its configuration again (SIGHUP) and wait for the outcome. If the new
configuration is refused, the old one goes on serving and the reason is printed. Settings that only a
restart puts in force are named.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  async run(invocation) {
    const { terminal, values } = invocation
    const running = findGateway(invocation)
    const file = values['conf'] === undefined ? null : resolve(terminal.cwd, values['conf'])
    if (file !== null && !existsSync(file)) throw new CommandError(`no file at: ${values['conf']}`)
    const outcome = await requestReload(running.prefix, running, file, RELOAD_TIMEOUT_MS)
    if (outcome.error !== null) throw new CommandError(outcome.error)
    if (outcome.needRestart.length > 0) terminal.err(`Warning: a restart puts these in force: ${outcome.needRestart.join(', ')}`)
    terminal.out('Sallyport reloaded')
    return 0
  },
}

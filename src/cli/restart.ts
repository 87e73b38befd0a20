import { COMMON_USAGE, CONF_USAGE, type Command, CommandError, PREFIX_USAGE } from './command.ts'
import { start, startGateway } from './start.ts'
import { stopGateway } from './stop.ts'

/** `restart`: stop, whether something runs or not, then start. */
export const restart: Command = {
  name: 'restart',
  summary: 'stop the gateway, then start it',
  usage: `Usage: sallyport restart [OPTIONS]

Stop the running gateway, if there is one, and start it again.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: start.options,
  async run(invocation) {
    try {
      await stopGateway(invocation)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      invocation.terminal.verbose(error.message)
    }
    return await startGateway(invocation)
  },
}

import { errorText } from '../util/errors.ts'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, PREFIX, PREFIX_USAGE } from './command.ts'
import { easiest, requestStatus } from './health.ts'
import { findGateway } from './stop.ts'

/** `drain`: readiness turns 503, so that load balancers go elsewhere; requests are served as before. */
export const drain: Command = {
  name: 'drain',
  summary: 'let load balancers go elsewhere',
  usage: `Usage: sallyport drain [OPTIONS]

Make the Status API answer GET /status/ready with 503 until the next start. Requests are served as before.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  async run(invocation) {
    const { terminal } = invocation
    try {
      const address = easiest(findGateway(invocation).addresses?.status ?? [])
      if (address === undefined) throw new CommandError('no status listeners found in configuration.')
      await announceDraining(address)
      terminal.out("Sallyport's status successfully changed to 'draining'")
    } catch (error) {
      // A script that drains before it quits must not stop here (Kong).
      terminal.err(`Failed to change the status: ${errorText(error)}`)
    }
    return 0
  },
}

async function announceDraining(address: string): Promise<void> {
  const status = await requestStatus(address, '/status/ready', new URLSearchParams({ status: 'draining' }))
  if (status !== 204) throw new CommandError(`POST /status/ready answered ${status}`)
}

import { COMMON_USAGE, type Command, CommandError } from './command.ts'

/** `hybrid`: known, and refused. */
export const hybrid: Command = {
  name: 'hybrid',
  summary: 'not available yet',
  usage: `Usage: sallyport hybrid COMMAND [OPTIONS]

Control plane and data plane are not available yet.

Options:
${COMMON_USAGE}`,
  options: { days: { type: 'string', short: 'd' } },
  run() {
    throw new CommandError('control plane and data plane are not available yet, so there is nothing to make certificates for')
  },
}

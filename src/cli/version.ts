import { KONG_VERSION, SALLYPORT_VERSION } from '../config/version.ts'
import { COMMON_USAGE, type Command } from './command.ts'

/** `version`: ours; with `-a` also what we speak and what we run on. */
export const version: Command = {
  name: 'version',
  summary: 'print the version',
  usage: `Usage: sallyport version [OPTIONS]

Print the version.

Options:
  -a, --all           also the release of Kong that is spoken, and the versions of runtime and database
${COMMON_USAGE}`,
  options: { all: { type: 'boolean', short: 'a' } },
  run({ flags, terminal }) {
    if (!flags.has('all')) {
      terminal.out(SALLYPORT_VERSION)
      return 0
    }
    terminal.out(`Sallyport: ${SALLYPORT_VERSION}`)
    terminal.out(`Kong (compatible with): ${KONG_VERSION}`)
    terminal.out(`Node.js: ${process.versions.node}`)
    terminal.out(`SQLite: ${process.versions['sqlite'] ?? 'none'}`)
    return 0
  },
}

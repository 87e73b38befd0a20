import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, PREFIX, PREFIX_USAGE } from './command.ts'
import { loadFor } from './sources.ts'

/** What each sub-command says about a database that is up to date. */
const ANSWERS: Readonly<Record<string, string>> = {
  bootstrap: 'Database already bootstrapped',
  up: 'Database is already up-to-date',
  finish: 'No pending migrations to finish',
  list: 'Database is already up-to-date: it migrates itself when Sallyport starts',
  status: '{"needs_bootstrap":false,"pending_migrations":[],"new_migrations":[]}',
}

/** `migrations`: the embedded database migrates itself at start, so scripts that run these find it up to date. */
export const migrations: Command = {
  name: 'migrations',
  summary: 'for scripts: the database migrates itself',
  usage: `Usage: sallyport migrations COMMAND [OPTIONS]

The embedded database migrates itself when Sallyport starts. These commands check the settings and answer
as for a database that is up to date, so that scripts which run them go on working.

Commands:
  bootstrap, up, finish, list, status

Options:
${CONF_USAGE}
${PREFIX_USAGE}
  -q, --quiet         print nothing
  -f, --force, -y, --yes, --db-timeout, --lock-timeout
                      accepted without effect
${COMMON_USAGE}`,
  options: {
    ...CONF,
    ...PREFIX,
    quiet: { type: 'boolean', short: 'q' },
    force: { type: 'boolean', short: 'f' },
    yes: { type: 'boolean', short: 'y' },
    'db-timeout': { type: 'string' },
    'lock-timeout': { type: 'string' },
  },
  subcommands: [...Object.keys(ANSWERS), 'reset'],
  run(invocation) {
    const command = invocation.positionals[0] ?? ''
    const { settings } = loadFor(invocation)
    if (command === 'reset') throw new CommandError(`reset is not available: stop Sallyport and remove the database in ${settings.prefix}`)
    if (!invocation.flags.has('quiet')) invocation.terminal.out(ANSWERS[command] ?? '')
    return 0
  },
}

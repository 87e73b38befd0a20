import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Settings } from '../config/settings.ts'
import { errorCode, errorText } from '../util/errors.ts'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, type Invocation, PREFIX, PREFIX_USAGE } from './command.ts'
import { findRunning } from './process-files.ts'
import { loadFor } from './sources.ts'

const EXAMPLE = `# A declarative configuration of Sallyport: everything the gateway serves, in one file.
#
#   SALLYPORT_DATABASE=off SALLYPORT_DECLARATIVE_CONFIG=<this file> sallyport start
#
# Take the comment signs away below for an API that only requests with an active access token reach.

_format_version: "3.0"

# services:
#   - name: orders
#     url: http://127.0.0.1:9000
#     routes:
#       - name: orders
#         paths:
#           - /orders
#     plugins:
#       - name: oauth2-introspection
#         config:
#           introspection_url: https://login.example.com/oauth2/introspect
#           # Client id and secret of the gateway, as the header that it sends. The environment holds the secret.
#           authorization_value: "{vault://env/introspection-authorization}"
#           ttl: 30
#
# consumers:
#   # An access token whose username is alice belongs to this consumer.
#   - username: alice
`

/** `config`: declarative files. */
export const config: Command = {
  name: 'config',
  summary: 'declarative files',
  usage: `Usage: sallyport config COMMAND [OPTIONS]

Declarative configuration files.

Commands:
  init [FILE]         write an example (default ./kong.yml); an existing file is left alone
  parse FILE          check a file and print every error
  db_import FILE      write a file's entities into the database; nothing is deleted
  db_export [FILE]    write the database into a file (default ./kong.yml)

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  subcommands: ['init', 'parse', 'db_import', 'db-import', 'db_export', 'db-export'],
  run(invocation) {
    switch (invocation.positionals[0]) {
      case 'parse':
        return parse(invocation)
      case 'db_import':
      case 'db-import':
        return importFile(invocation)
      case 'db_export':
      case 'db-export':
        return exportFile(invocation)
      default:
        return init(invocation)
    }
  },
}

function init({ positionals, terminal }: Invocation): number {
  writeNew(
    resolve(terminal.cwd, positionals[1] ?? './kong.yml'),
    EXAMPLE,
    positionals[1] ?? './kong.yml',
    '.\nWill not overwrite it.',
    0o644,
  )
  return 0
}

async function parse(invocation: Invocation): Promise<number> {
  const { settings } = loadFor(invocation)
  const { openUnused, readConfiguration } = await import('../declarative-files.ts')
  await using database = await openUnused(settings)
  try {
    readConfiguration(fileOf(invocation), database)
  } catch (error) {
    throw new CommandError(`Failed parsing:\n${withoutHeading(errorText(error))}`, { cause: error })
  }
  invocation.terminal.out('parse successful')
  return 0
}

async function importFile(invocation: Invocation): Promise<number> {
  const { settings } = loadFor(invocation)
  demandDatabase(settings, 'db_import')
  const { openDatabase, readConfiguration, upsertAll } = await import('../declarative-files.ts')
  await using database = await openDatabase(settings)
  const tree = readConfiguration(fileOf(invocation), database)
  invocation.terminal.out('parse successful, beginning import')
  await upsertAll(tree, database)
  invocation.terminal.out('import successful')
  return 0
}

async function exportFile(invocation: Invocation): Promise<number> {
  const { settings } = loadFor(invocation)
  demandDatabase(settings, 'db_export')
  const { openDatabase, writeConfiguration } = await import('../declarative-files.ts')
  await using database = await openDatabase(settings)
  const name = invocation.positionals[1] ?? './kong.yml'
  writeNew(resolve(invocation.terminal.cwd, name), await writeConfiguration(database), name, '. Will not overwrite it.', SECRET_MODE)
  return 0
}

function fileOf({ positionals, terminal }: Invocation): string {
  const [, file] = positionals
  if (file === undefined) throw new CommandError('expected a declarative configuration file; see `sallyport config --help`')
  return resolve(terminal.cwd, file)
}

/** An export holds every secret in clear. */
const SECRET_MODE = 0o600

/** A database in files belongs to one process at a time. */
function demandDatabase({ database, prefix }: Settings, command: string): void {
  if (database === 'off') {
    throw new CommandError(
      `'sallyport config ${command}' only works with a database.\nWithout one, the file is loaded with the setting declarative_config or by POST /config.`,
    )
  }
  if (findRunning(prefix) === null) return
  throw new CommandError(`the gateway in ${prefix} is running and holds the database: use the Admin API or decK, or stop it first`)
}

function writeNew(path: string, text: string, name: string, refusal: string, mode: number): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode })
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    throw new CommandError(`${name} already exists${refusal}`)
  }
}

function withoutHeading(text: string): string {
  return text.replace(/^error parsing declarative [^\n]*:\n/, '')
}

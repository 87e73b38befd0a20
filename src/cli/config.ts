import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { COMMON_USAGE, type Command, CommandError } from './command.ts'

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

/** `config init`: an example of a declarative file. */
export const config: Command = {
  name: 'config',
  summary: 'declarative files',
  usage: `Usage: sallyport config COMMAND [OPTIONS]

Declarative configuration files.

Commands:
  init [FILE]         write an example (default ./kong.yml); an existing file is left alone

Options:
${COMMON_USAGE}`,
  options: {},
  subcommands: ['init'],
  run({ positionals, terminal }) {
    const file = positionals[1] ?? './kong.yml'
    try {
      writeFileSync(resolve(terminal.cwd, file), EXAMPLE, { flag: 'wx' })
      return 0
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      throw new CommandError(`${file} already exists.\nWill not overwrite it.`)
    }
  },
}

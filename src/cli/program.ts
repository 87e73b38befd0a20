import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { SALLYPORT_VERSION } from '../config/version.ts'
import { errorText } from '../util/errors.ts'
import { check } from './check.ts'
import type { Command, Invocation, Terminal } from './command.ts'
import { config } from './config.ts'
import { drain } from './drain.ts'
import { health } from './health.ts'
import { hybrid } from './hybrid.ts'
import { migrations } from './migrations.ts'
import { prepare } from './prepare.ts'
import { quit } from './quit.ts'
import { reload } from './reload.ts'
import { restart } from './restart.ts'
import { start } from './start.ts'
import { stop } from './stop.ts'
import { vault } from './vault.ts'
import { version } from './version.ts'

const COMMANDS: readonly Command[] = [
  check,
  config,
  drain,
  health,
  hybrid,
  migrations,
  prepare,
  quit,
  reload,
  restart,
  start,
  stop,
  vault,
  version,
]

const COMMON = {
  help: { type: 'boolean', short: 'h' },
  v: { type: 'boolean', short: 'v' },
  vv: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

/** What the program prints to, before it is known how much it shall say. */
export type Streams = Omit<Terminal, 'verbose'>

/**
 * Runs one command line. Errors go to stderr as `Error: <text>`, never as a stack trace unless `--vv` asks for it (Kong).
 *
 * @param argv what follows the program's name
 * @returns exit code
 */
export async function runProgram(argv: readonly string[], streams: Streams): Promise<number> {
  const [name, ...rest] = argv
  if (name === '--help' || name === '-h') return print(streams, USAGE)
  if (name === '--version') return print(streams, SALLYPORT_VERSION)
  const command = COMMANDS.find((candidate) => candidate.name === name)
  if (command === undefined) return refuse(streams, name === undefined ? null : `No such command: ${name}`, USAGE)
  const invocation = readArguments(command, rest, streams)
  if (typeof invocation === 'string') return refuse(streams, `Error: ${invocation}`, command.usage)
  if (invocation.flags.has('help')) return print(streams, command.usage)
  const wrong = wrongSubcommand(command, invocation)
  if (wrong !== null) return refuse(streams, wrong, command.usage)
  return await runCommand(command, invocation)
}

const USAGE = `Usage: sallyport COMMAND [OPTIONS]

An API gateway for OAuth 2.0 token introspection.

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`).join('\n')}

Options:
  --v, --vv           say more, say all
  --help              print this text, or that of a command

The environment variables SALLYPORT_<NAME> and KONG_<NAME> set what a conf file may set.`

async function runCommand(command: Command, invocation: Invocation): Promise<number> {
  try {
    return await command.run(invocation)
  } catch (error) {
    invocation.terminal.err(`Error: ${invocation.flags.has('vv') && error instanceof Error ? error.stack : errorText(error)}`)
    invocation.terminal.err('')
    invocation.terminal.err('  Run with --v (verbose) or --vv (debug) for more details')
    return 1
  }
}

/** @returns the arguments, or what is wrong with them */
function readArguments(command: Command, args: readonly string[], streams: Streams): Invocation | string {
  try {
    const parsed = parseArgs({ args: [...args], options: { ...command.options, ...COMMON }, allowPositionals: true })
    const given = Object.entries<unknown>(parsed.values)
    const flags = new Set(given.filter(([, value]) => value === true).map(([option]) => option))
    const values = Object.fromEntries(given.flatMap(([option, value]) => (typeof value === 'string' ? [[option, value]] : [])))
    const verbose = flags.has('v') || flags.has('vv') ? (line: string) => streams.err(line) : () => {}
    return { positionals: parsed.positionals, values, flags, terminal: { ...streams, verbose } }
  } catch (error) {
    // Node goes on with advice that fits no command of ours.
    if (error instanceof TypeError) return error.message.replace(/\. To specify a positional argument .*$/s, '')
    throw error
  }
}

function wrongSubcommand(command: Command, { positionals }: Invocation): string | null {
  if (command.subcommands === undefined) return null
  const given = positionals[0]
  if (given === undefined) return `Error: ${command.name} needs a command`
  return command.subcommands.includes(given) ? null : `No such command for ${command.name}: ${given}`
}

function print(streams: Streams, text: string): number {
  streams.out(text)
  return 0
}

function refuse(streams: Streams, reason: string | null, usage: string): number {
  if (reason !== null) streams.err(`${reason}\n`)
  streams.err(usage)
  return 1
}

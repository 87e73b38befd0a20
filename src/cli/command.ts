import type { ParseArgsOptionsConfig } from 'node:util'
import type { Environment } from '../config/vault-reference.ts'

/** Where a command prints, and what it knows of its surroundings. */
export interface Terminal {
  /** A line for whoever asked: stdout. */
  out(line: string): void
  /** A line about a problem: stderr. */
  err(line: string): void
  /** A line for whoever gave `--v` or `--vv`: stderr. */
  verbose(line: string): void
  readonly env: Environment
  readonly cwd: string
}

/** One call of a command, its arguments read. */
export interface Invocation {
  /** What is neither an option nor the command's name. */
  readonly positionals: readonly string[]
  /** Options with a value, by their long name. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Options without a value that were given, by their long name. */
  readonly flags: ReadonlySet<string>
  readonly terminal: Terminal
}

/** A command of the program. */
export interface Command {
  readonly name: string
  /** Half a line for the list of commands. */
  readonly summary: string
  /** What `--help` prints. */
  readonly usage: string
  /** Options beside `--help`, `--v` and `--vv`. */
  readonly options: ParseArgsOptionsConfig
  /** First positionals that are allowed, if the command has sub-commands. */
  readonly subcommands?: readonly string[]
  /**
   * @returns exit code
   * @throws {CommandError} the command failed; printed and turned into exit code 1
   */
  run(invocation: Invocation): Promise<number> | number
}

/** The reason why a command failed, as the operator reads it. */
export class CommandError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
  }
}

/** `-c FILE`: the conf file. */
export const CONF = { conf: { type: 'string', short: 'c' } } as const

/** `-p DIR`: the data directory. */
export const PREFIX = { prefix: { type: 'string', short: 'p' } } as const

/** Lines of a usage text for the options that nearly every command has. */
export const CONF_USAGE = '  -c, --conf FILE     conf file; without it ./sallyport.conf, /etc/sallyport/sallyport.conf, a kong.conf'
/** See `CONF_USAGE`. */
export const PREFIX_USAGE = '  -p, --prefix DIR    data directory, wins over the setting `prefix`'
/** See `CONF_USAGE`. */
export const COMMON_USAGE = '  --v, --vv           say more, say all\n  --help              print this text'

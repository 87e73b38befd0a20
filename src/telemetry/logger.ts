import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import pino from 'pino'
import { type Log, type LogMembers, silentLog } from './log.ts'

/** kong.conf's levels, least severe first. */
const LEVELS = { debug: 20, info: 30, notice: 35, warn: 40, error: 50, crit: 60, alert: 70, emerg: 80 } as const

/**
 * A log of JSON lines to a file (`/dev/stdout` and `/dev/stderr` included) or to nowhere (`off`). Lines are written at once: what was logged before a crash
 * is there after it.
 */
export function createLogger(options: { readonly level: keyof typeof LEVELS; readonly path: string; readonly process: string }): Log {
  if (options.path === 'off') return silentLog
  const destination = options.path === '/dev/stdout' ? 1 : options.path === '/dev/stderr' ? 2 : options.path
  if (typeof destination === 'string') mkdirSync(dirname(destination), { recursive: true })
  const logger = pino(
    {
      level: options.level,
      customLevels: LEVELS,
      useOnlyCustomLevels: true,
      base: { pid: process.pid, process: options.process },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: destination, append: true, sync: true }),
  )
  const at =
    (level: 'debug' | 'info' | 'notice' | 'warn' | 'error') =>
    (message: string, members?: LogMembers): void =>
      logger[level](members ?? {}, message)
  return { debug: at('debug'), info: at('info'), notice: at('notice'), warn: at('warn'), error: at('error') }
}

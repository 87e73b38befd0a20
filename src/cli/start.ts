import { isDeepStrictEqual } from 'node:util'
import { type LoadedSettings, loadSettings, type SettingsSources } from '../config/load.ts'
import { Secret } from '../config/secret.ts'
import { SETTING_NAMES, type SettingName, type Settings } from '../config/settings.ts'
import { RELOADED } from '../proxy/worker-settings.ts'
import { errorText } from '../util/errors.ts'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, type Invocation, PREFIX, PREFIX_USAGE } from './command.ts'
import { startDaemon, tellStarter } from './daemon.ts'
import { runForeground } from './foreground.ts'
import { type Addresses, findRunning, preparePrefix } from './process-files.ts'
import { loadFor, sourcesOf } from './sources.ts'

/** Options of Kong's `start` that have nothing to do here; scripts that give them go on working. */
const WITHOUT_EFFECT = {
  'run-migrations': { type: 'boolean' },
  'db-timeout': { type: 'string' },
  'lock-timeout': { type: 'string' },
  'nginx-conf': { type: 'string' },
  'nginx-conf-flags': { type: 'string' },
} as const

/** Exit code of a process that the operator interrupted twice: 128 + SIGINT. */
const FORCED = 130

/** `start`: in the background, or in the foreground with `nginx_daemon = off`. */
export const start: Command = {
  name: 'start',
  summary: 'start the gateway',
  usage: `Usage: sallyport start [OPTIONS]

Start the gateway in the background. With nginx_daemon = off it stays in the foreground.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
  --run-migrations, --db-timeout, --lock-timeout, --nginx-conf, --nginx-conf-flags
                      accepted without effect
${COMMON_USAGE}`,
  // `detached` is given by this program to itself: the process in the background.
  options: { ...CONF, ...PREFIX, ...WITHOUT_EFFECT, detached: { type: 'boolean' } },
  run: startGateway,
}

/** Starts the gateway as the settings of this call say. @returns when it serves in the background, or has ended in the foreground */
export async function startGateway(invocation: Invocation): Promise<number> {
  if (invocation.flags.has('detached')) return await serveForStarter(invocation)
  const loaded = loadFor(invocation)
  const { prefix } = loaded.settings
  if (findRunning(prefix) !== null) throw new CommandError(`Sallyport is already running in ${prefix}`)
  preparePrefix(prefix)
  if (loaded.settings.nginx_daemon) {
    await startDaemon(prefix, ['start', '--detached', ...passedOn(invocation)])
    announce(invocation, prefix, findRunning(prefix)?.addresses ?? null)
    return 0
  }
  await serve(invocation, loaded, (addresses) => announce(invocation, prefix, addresses))
  return 0
}

/** The first line is what scripts wait for; the second says where to go. */
function announce({ terminal }: Invocation, prefix: string, addresses: Addresses | null): void {
  const listeners = Object.entries({
    proxy: addresses?.proxy ?? [],
    'Admin API': addresses?.admin ?? [],
    'Status API': addresses?.status ?? [],
  })
    .filter(([, own]) => own.length > 0)
    .map(([name, own]) => `${name} ${own.join(' ')}, `)
  terminal.out('Sallyport started')
  terminal.out(`  ${listeners.join('')}data in ${prefix}`)
}

/** The process in the background: the reason of a failure goes to the process that waits, not only into a log. */
async function serveForStarter(invocation: Invocation): Promise<number> {
  try {
    const loaded = loadFor(invocation)
    preparePrefix(loaded.settings.prefix)
    await serve(invocation, loaded, () => void tellStarter({ type: 'ready' }))
    // Stopped before it served: the one that waits must not wait on.
    await tellStarter({ type: 'failed', reason: 'stopped before it served' })
    return 0
  } catch (error) {
    await tellStarter({ type: 'failed', reason: errorText(error) })
    throw error
  }
}

async function serve(invocation: Invocation, loaded: LoadedSettings, onReady: (addresses: Addresses) => void): Promise<void> {
  const { settings } = loaded
  const { terminal } = invocation
  const sources: SettingsSources = { ...sourcesOf(invocation), file: loaded.file }
  let next = settings
  await runForeground({
    prefix: settings.prefix,
    start: async () => {
      const { startGateway } = await import('../gateway.ts')
      const gateway = await startGateway(settings)
      return {
        addresses: gateway.addresses,
        closed: gateway.closed,
        reload: () => gateway.reload(next),
        stop: () => gateway.stop(),
        drain: () => gateway.drain(),
      }
    },
    beforeReload: (file) => {
      next = loadSettings({ ...sources, file: file ?? sources.file }).settings
      return { needRestart: changedSettings(settings, next).filter((name) => !RELOADED.has(name)) }
    },
    onReady,
    complain: (line) => terminal.err(`Error: ${line}`),
    force: () => process.exit(FORCED),
  })
}

/** Names of the settings that differ. */
function changedSettings(before: Settings, after: Settings): SettingName[] {
  const bare = (value: unknown): unknown => (value instanceof Secret ? value.reveal() : value)
  return SETTING_NAMES.filter((name) => !isDeepStrictEqual(bare(before[name]), bare(after[name])))
}

function passedOn({ values, flags }: Invocation): string[] {
  const options = ['conf', 'prefix'].flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]))
  return [...options, ...['v', 'vv'].filter((name) => flags.has(name)).map((name) => `--${name}`)]
}

import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { runProgram } from '../support/run-program.ts'

/** `present`: releases whose commands are under `gateway`; `former`: those before, as Debian has them. */
type Generation = 'former' | 'present'

export type DeckAnswer = { readonly exitCode: number | null; readonly output: string }

/** decK, pointed at one Admin API. Paths of files are resolved in `folder`. */
export type Deck = {
  /** What a state file has to say in `_format_version`. */
  readonly formatVersion: '1.1' | '3.0'
  /** It fills in defaults from `GET /schemas`, so that a partial file does not differ from what it made. Before, only a dump did not. */
  readonly readsSchemas: boolean
  ping(): Promise<DeckAnswer>
  /** Writes a state file; it must not exist yet. */
  dump(file: string, ...flags: string[]): Promise<DeckAnswer>
  /** Exit code 2 when there is a difference. */
  diff(file: string): Promise<DeckAnswer>
  sync(file: string): Promise<DeckAnswer>
  reset(): Promise<DeckAnswer>
}

function tryDeck(...parameters: string[]): SpawnSyncReturns<string> {
  return spawnSync('deck', parameters, { encoding: 'utf8', env: { ...process.env, DECK_ANALYTICS: 'off' } })
}

/** Which decK is on the PATH, null for none. There are other programs of this name. */
export function findDeck(): Generation | null {
  const { error, stdout } = tryDeck('version')
  if (error !== undefined || !stdout.startsWith('decK ')) return null
  return tryDeck('gateway', '--help').status === 0 ? 'present' : 'former'
}

/** @param admin origin of the Admin API */
export function createDeck(generation: Generation, admin: string, folder: string): Deck {
  const present = generation === 'present'
  // Usage data stays here; a configuration file of the developer's own is not read.
  const env = { ...process.env, DECK_ANALYTICS: 'off', HOME: folder, NO_PROXY: '*', no_proxy: '*' }

  async function run(...parameters: string[]): Promise<DeckAnswer> {
    const words = [...(present ? ['gateway'] : []), ...parameters, '--kong-addr', admin, '--no-color']
    const { exitCode, out, err } = await runProgram('deck', words, { cwd: folder, env })
    return { exitCode, output: out + err }
  }

  const state = (file: string): string[] => (present ? [file] : ['--state', file])
  return {
    formatVersion: present ? '3.0' : '1.1',
    readsSchemas: present,
    ping: () => run('ping'),
    dump: (file, ...flags) => run('dump', '--output-file', file, ...flags),
    diff: (file) => run('diff', '--non-zero-exit-code', ...state(file)),
    sync: (file) => run('sync', ...state(file)),
    reset: () => run('reset', '--force'),
  }
}

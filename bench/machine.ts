/** What the figures were measured on. */
import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  /** Average number of running programs in the minute before the bench. */
  readonly load: number
  /** Name and version of each peer that is installed. */
  readonly peers: readonly string[]
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    node: process.versions.node,
    load: loadavg()[0] ?? 0,
    peers: [
      versionOf('nginx'),
      versionOf('apache2'),
      debianVersionOf('libnginx-mod-http-js', 'njs'),
      debianVersionOf('libapache2-mod-oauth2', 'mod_oauth2'),
    ].filter((version) => version !== null),
  }
}

/** What the system does by itself comes to less. */
const IDLE_LOAD = 0.5

/** A line that says so where other programs share the machine; empty where none does. */
export function busy({ load }: Machine): string {
  if (load <= IDLE_LOAD) return ''
  return `Other programs share the machine (load average ${load.toFixed(1)} before the run): figures are higher and spread wider than on an idle one.`
}

/** What `-v` calls the program: `nginx/1.22.1`, `Apache/2.4.71`. */
function versionOf(program: string): string | null {
  const { stdout, stderr } = spawnSync(program, ['-v'], { encoding: 'utf8' })
  return /\w+\/[\d.]+/.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[0].replace('/', ' ') ?? null
}

/** Of modules that say no version themselves; known where Debian's package manager is. */
function debianVersionOf(packageName: string, name: string): string | null {
  const { stdout } = spawnSync('dpkg', ['--status', packageName], { encoding: 'utf8' })
  const version = /^Version: (?:\d+:)?([\d.]+)/m.exec(stdout ?? '')?.[1]
  return version === undefined ? null : `${name} ${version}`
}

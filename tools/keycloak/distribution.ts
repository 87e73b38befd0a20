import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The release of Keycloak that is fetched. */
export const KEYCLOAK_VERSION = '26.7.3'

const NAME = `keycloak-${KEYCLOAK_VERSION}`
const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK_VERSION}:zip`
/** 177 MB over a slow line. */
const FETCH_TIMEOUT_MS = 15 * 60_000

/** A program that Keycloak or its download needs is not on the PATH; the message says which, and what to install. */
export class MissingProgramError extends Error {
  override readonly name = 'MissingProgramError'
}

const execute = promisify(execFile)

async function isInstalled(program: string, argument: string): Promise<boolean> {
  return execute(program, [argument]).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  )
}

/** The Java that `kc.sh` takes, by the same rule. */
function javaProgram(): string {
  const home = process.env['JAVA_HOME']
  return home === undefined || home === '' ? 'java' : join(home, 'bin', 'java')
}

/** Outside the checkout, so that a clean checkout need not fetch again (XDG Base Directory specification). */
function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sallyport')
}

/** Runs a program quietly; a failure carries what it printed. */
async function run(program: string, args: string[], cwd: string): Promise<void> {
  try {
    await execute(program, args, { cwd, timeout: FETCH_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args[0]} failed\n${stdout}${stderr}`.trimEnd(), { cause: error })
  }
}

/** Moves a finished folder to its place. Another process that was faster has put the same there. */
async function publish(folder: string, place: string): Promise<void> {
  await rename(folder, place).catch((error) => {
    if (!existsSync(place)) throw error
  })
}

async function fetchInto(place: string, cache: string): Promise<void> {
  if (!(await isInstalled('mvn', '--version'))) {
    throw new MissingProgramError('Maven fetches Keycloak: `mvn` is missing (Debian: apt-get install maven).')
  }
  const unpack = (await isInstalled('unzip', '-v')) ? ['unzip', '-q'] : (await isInstalled('jar', '--version')) ? ['jar', 'xf'] : undefined
  if (unpack === undefined) throw new MissingProgramError('Keycloak comes packed: `unzip` is missing (Debian: apt-get install unzip).')
  const folder = await mkdtemp(join(cache, '.fetching-'))
  try {
    await run('mvn', ['-B', '-q', 'dependency:copy', `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${folder}`], folder)
    const zip = (await readdir(folder)).find((name) => name.endsWith('.zip'))
    if (zip === undefined) throw new Error(`Maven fetched no ${ARTIFACT}`)
    const [program = '', option = ''] = unpack
    await run(program, [option, join(folder, zip)], folder)
    await publish(join(folder, NAME), place)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Where the code that Keycloak generates for its options at the first start is kept; the second start is twice as fast. */
function generatedCode(): string {
  return join(cacheFolder(), `${NAME}-generated`)
}

/**
 * Makes sure that Keycloak is in the cache folder (`$XDG_CACHE_HOME/sallyport`, else `~/.cache/sallyport`) and that Java is there.
 *
 * @param report told in one line what takes long
 * @returns the folder of the unpacked server; nothing is ever written into it
 * @throws {MissingProgramError} no Java; no Maven or unzip when it has to be fetched
 */
export async function fetchKeycloak(report: (line: string) => void): Promise<string> {
  if (!(await isInstalled(javaProgram(), '-version'))) {
    throw new MissingProgramError('Keycloak needs Java 17 or newer: `java` is missing (Debian: apt-get install openjdk-17-jre-headless).')
  }
  const place = join(cacheFolder(), NAME)
  if (existsSync(place)) return place
  report(`Fetching Keycloak ${KEYCLOAK_VERSION} (177 MB) into ${place}`)
  await mkdir(cacheFolder(), { recursive: true })
  await fetchInto(place, cacheFolder())
  return place
}

/**
 * A fresh folder from which one server runs: its own configuration, generated code and data, and links to the parts of the
 * distribution that are only read. Several servers can so run at the same time.
 */
export async function createHome(distribution: string): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'sallyport-keycloak-'))
  await mkdir(join(home, 'lib'))
  for (const name of ['bin', 'conf', 'providers', 'themes']) await cp(join(distribution, name), join(home, name), { recursive: true })
  for (const name of await readdir(join(distribution, 'lib'))) {
    if (name !== 'quarkus') await symlink(join(distribution, 'lib', name), join(home, 'lib', name))
  }
  const generated = existsSync(generatedCode()) ? generatedCode() : join(distribution, 'lib', 'quarkus')
  await cp(generated, join(home, 'lib', 'quarkus'), { recursive: true })
  return home
}

/** Keeps the code that a server has generated at its first start for those that come later. */
export async function keepGeneratedCode(home: string): Promise<void> {
  if (existsSync(generatedCode())) return
  const folder = await mkdtemp(join(cacheFolder(), '.generated-'))
  try {
    await cp(join(home, 'lib', 'quarkus'), join(folder, 'quarkus'), { recursive: true })
    await publish(join(folder, 'quarkus'), generatedCode())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

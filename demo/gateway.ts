import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DemoPorts } from './ports.ts'

export interface DemoGateway {
  /** `http://127.0.0.1:<port>` */
  readonly proxy: string
  readonly admin: string
  /** Settles when the gateway has ended, for whatever reason. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

/** Starts the program as anybody would, with its data in a folder that is removed in the end. */
export async function startDemoGateway(ports: DemoPorts): Promise<DemoGateway> {
  const prefix = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'bin', 'sallyport.js'), 'start'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C reaches the demo, which ends the gateway in order.
    detached: true,
    env: {
      ...process.env,
      SALLYPORT_PREFIX: prefix,
      SALLYPORT_DATABASE: 'sqlite',
      SALLYPORT_NGINX_DAEMON: 'off',
      SALLYPORT_NGINX_WORKER_PROCESSES: '1',
      SALLYPORT_PROXY_LISTEN: `127.0.0.1:${ports.proxy}`,
      SALLYPORT_ADMIN_LISTEN: `127.0.0.1:${ports.admin}`,
      SALLYPORT_STATUS_LISTEN: 'off',
    },
  })
  let output = ''
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const ready = new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString()
      if (/^Sallyport started$/m.test(output)) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}\n${output}`)))
  })
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
    await rm(prefix, { recursive: true, force: true })
  }
  try {
    await ready
  } catch (error) {
    await stop()
    throw error
  }
  const state = JSON.parse(await readFile(join(prefix, 'run', 'state.json'), 'utf8')) as { addresses: { proxy: string[]; admin: string[] } }
  return { proxy: `http://${state.addresses.proxy[0]}`, admin: `http://${state.addresses.admin[0]}`, ended, stop }
}

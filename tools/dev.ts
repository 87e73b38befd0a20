/** `npm run dev`: a gateway in the foreground that restarts when a source file changes. Data lies in ./sallyport-data. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from './child.ts'

process.env['SALLYPORT_NGINX_DAEMON'] ??= 'off'
process.env['SALLYPORT_NGINX_WORKER_PROCESSES'] ??= '1'
process.env['SALLYPORT_PROXY_ACCESS_LOG'] ??= '/dev/stdout'
process.env['SALLYPORT_PROXY_ERROR_LOG'] ??= '/dev/stderr'
process.env['SALLYPORT_ADMIN_ERROR_LOG'] ??= '/dev/stderr'
const args = [`--watch-path=${join(ROOT, 'src')}`, 'bin/sallyport.js', 'start', ...process.argv.slice(2)]
const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' })
child.once('exit', (code) => process.exit(code ?? 1))
// A terminal sends Ctrl-C to everybody; a signal for this process alone is handed on, so that no gateway is left behind.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))

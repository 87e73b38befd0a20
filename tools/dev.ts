/** `npm run dev`: a gateway in the foreground that restarts when a source file changes. Data lies in ./sallyport-data. */
import { join } from 'node:path'
import { ROOT, run } from './child.ts'

process.env['SALLYPORT_NGINX_DAEMON'] ??= 'off'
process.env['SALLYPORT_NGINX_WORKER_PROCESSES'] ??= '1'
process.env['SALLYPORT_PROXY_ACCESS_LOG'] ??= '/dev/stdout'
process.env['SALLYPORT_PROXY_ERROR_LOG'] ??= '/dev/stderr'
process.env['SALLYPORT_ADMIN_ERROR_LOG'] ??= '/dev/stderr'
process.exitCode = await run(process.execPath, [`--watch-path=${join(ROOT, 'src')}`, 'bin/sallyport.js', 'start', ...process.argv.slice(2)])

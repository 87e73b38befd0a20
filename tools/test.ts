/**
 * `npm test`: every test that needs nothing but this repository. With arguments, only the files named.
 *
 *   npm test -- src/router/router.test.ts
 */
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { ROOT, run } from './child.ts'

/** Ten times what a run takes: the runner's own time-out ends a test, not a file whose test left something open. */
const LIMIT_MINUTES = 20

const named = process.argv.slice(2)
const files =
  named.length > 0
    ? named
    : globSync(['src/**/*.test.ts', 'demo/**/*.test.ts', 'test/**/*.test.ts', 'tools/**/*.test.ts'], { cwd: ROOT }).sort()
const ci = process.env['SALLYPORT_TEST_KEYCLOAK'] === 'on'
if (named.length === 0 && !ci) process.stdout.write('Without Keycloak: .ci/run includes it (or set SALLYPORT_TEST_KEYCLOAK=on).\n')
const parameters = ['--test', `--test-concurrency=${Math.max(2, availableParallelism())}`, '--test-timeout=120000', ...files]
process.exitCode = await run(process.execPath, parameters, { timeout: LIMIT_MINUTES * 60_000 })

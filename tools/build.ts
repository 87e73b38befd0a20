/** `npm run build`: JavaScript and types for the published package, in dist/. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from './child.ts'

rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
process.exitCode = await run(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'])

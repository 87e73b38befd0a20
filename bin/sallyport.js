#!/usr/bin/env node
// Only syntax that old versions of Node.js can read, so that they can say what is missing instead of failing on a word they do not know.
const major = Number(process.versions.node.split('.')[0])

if (major < 24) {
  process.stderr.write(`Sallyport needs Node.js 24 or newer, and this is Node.js ${process.versions.node}.\n`)
  process.exitCode = 1
} else {
  // A checkout holds the sources, and they win over a stale build; the package holds the compiled program.
  import('node:fs')
    .then((fs) => import(fs.existsSync(new URL('../src/cli/main.ts', import.meta.url)) ? '../src/cli/main.ts' : '../dist/cli/main.js'))
    .catch((error) => {
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
      process.exitCode = 1
    })
}

#!/usr/bin/env node
// Only syntax that old versions of Node.js can read, so that they can say what is missing instead of failing on a word they do not know.
const major = Number(process.versions.node.split('.')[0])

if (major < 24) {
  process.stderr.write(`Sallyport needs Node.js 24 or newer, and this is Node.js ${process.versions.node}.\n`)
  process.exitCode = 1
} else {
  // A checkout holds the sources, and they win over a stale build; the package holds the compiled program.
  import('node:fs')
    .then((fs) => {
      if (!fs.existsSync(new URL('../src/cli/main.ts', import.meta.url))) return import('../dist/cli/main.js')
      return keepCompiledSources().then(() => import('../src/cli/main.ts'))
    })
    .catch((error) => {
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
      process.exitCode = 1
    })
}

/**
 * Keeps what erasing the types of the sources gave beside the dependencies, for this process and those that it starts: half the memory and a third of the time of
 * a start. Never in a folder that others can write to.
 */
function keepCompiledSources() {
  return import('node:module').then(({ enableCompileCache, flushCompileCache }) => {
    const folder = process.env.NODE_COMPILE_CACHE || new URL('../node_modules/.cache/compiled', import.meta.url).pathname
    process.env.NODE_COMPILE_CACHE = folder
    enableCompileCache(folder)
    setTimeout(flushCompileCache, 5000).unref()
  })
}

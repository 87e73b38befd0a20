/*
 * Runs a script of this repository with the Node.js that the repository pins, after installing what is missing. Plain old JavaScript, so that any
 * Node.js from 20 on can begin.
 *
 *   node tools/run.cjs demo/main.ts --exit        runs a file
 *   node tools/run.cjs --test src test            node's own options pass through
 */
'use strict'
const { spawn, spawnSync } = require('node:child_process')
const { existsSync, statSync } = require('node:fs')
const { delimiter, join } = require('node:path')

const root = join(__dirname, '..')
const modules = join(root, 'node_modules')
const binary = join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')

function mtime(file) {
  return existsSync(file) ? statSync(file).mtimeMs : 0
}

function isInstalled() {
  return existsSync(binary) && mtime(join(modules, '.package-lock.json')) >= mtime(join(root, 'package-lock.json'))
}

function install() {
  process.stderr.write('Installing what is missing (npm ci) …\n')
  const npm = process.env.npm_execpath
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const options = { cwd: root, stdio: ['ignore', 2, 2] }
  const done = npm ? spawnSync(process.execPath, [npm, ...args], options) : spawnSync('npm', args, options)
  if (done.status !== 0 || !existsSync(binary)) {
    process.stderr.write('Error: the dependencies could not be installed; run `npm ci` to see why.\n')
    process.exit(1)
  }
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  process.stderr.write(`Error: Node.js 20 or newer is needed to begin (this is ${process.version}).\n`)
  process.exit(1)
}
if (!isInstalled()) install()

const env = {
  ...process.env,
  PATH: [join(modules, '.bin'), process.env.PATH].join(delimiter),
  // What erasing types gave is kept beside the dependencies: quicker starts, less memory.
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE || join(modules, '.cache', 'compiled'),
}
const child = spawn(binary, process.argv.slice(2), { cwd: root, stdio: 'inherit', env })
// A terminal sends Ctrl-C to the whole group; signals sent to this process alone are handed on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))

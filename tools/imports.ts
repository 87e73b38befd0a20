/**
 * Draws who imports whom from the code, and refuses an import that goes up. Rows from top to bottom; a folder may import from rows below its own and from
 * itself. Siblings of a row meet through an interface in a row below.
 *
 *   node tools/imports.ts            checks, and that the picture in docs/architecture.md is current
 *   node tools/imports.ts --write    writes the picture
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { ROOT } from './child.ts'
import { publish } from './generated.ts'

const SRC = join(ROOT, 'src')
const PICTURE = 'docs/architecture.md'

const ROWS: readonly (readonly string[])[] = [
  ['cli'],
  ['gateway'],
  ['admin', 'observability'],
  ['proxy', 'plugins'],
  ['db', 'upstream', 'router', 'introspection', 'plugin'],
  ['entities', 'oauth', 'cache', 'config'],
  ['schema', 'telemetry', 'http'],
  ['util'],
]

/** What a plugin sees (its own folder apart). */
const PLUGIN_SEES = new Set(['plugin', 'introspection', 'oauth', 'schema', 'util', 'http', 'entities', 'telemetry', 'cache'])

interface Import {
  readonly from: string
  readonly to: string
  readonly file: string
}

function folderOf(file: string): string {
  const [first = '', second] = relative(SRC, file).split(sep)
  return second === undefined ? 'gateway' : first
}

function rowOf(folder: string): number {
  return ROWS.findIndex((row) => row.includes(folder))
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const specifiers = [...text.matchAll(/(?:from\s+|import\s+|import\()\s*'(\.[^']+)'/g)].map((match) => match[1] as string)
  return specifiers.map((specifier) => ({ from: folderOf(file), to: folderOf(join(dirname(file), specifier)), file: relative(ROOT, file) }))
}

function violation({ from, to, file }: Import): string | undefined {
  if (from === to) return undefined
  if (rowOf(from) === -1) return `${file}: folder '${from}' has no row in tools/imports.ts`
  if (rowOf(to) === -1) return `${file}: folder '${to}' has no row in tools/imports.ts`
  if (to === 'plugins') return `${file}: nobody imports plugins/; the loader lists the folder`
  if (from === 'plugins' && !PLUGIN_SEES.has(to)) return `${file}: a plugin does not see ${to}/`
  return rowOf(to) > rowOf(from) ? undefined : `${file}: ${from}/ may not import ${to}/ (same row or above)`
}

function draw(imports: readonly Import[]): string {
  const lines = ROWS.map((row) => row.map((folder) => (folder === 'plugins' ? 'plugins/*' : folder)).join('  '))
  const edges = ROWS.flat().map((folder) => {
    const seen = [...new Set(imports.filter((one) => one.from === folder && one.to !== folder).map((one) => one.to))]
    return `${folder.padEnd(14)} → ${seen.length === 0 ? '—' : seen.sort((a, b) => rowOf(a) - rowOf(b) || a.localeCompare(b)).join(', ')}`
  })
  return ['```', ...lines, '```', '', 'Read from the code:', '', '```', ...edges, '```'].join('\n')
}

const files = globSync('**/*.ts', { cwd: SRC }).map((name) => join(SRC, name))
const sources = files.filter((file) => !/\.(test|cases|fixture)\.ts$/.test(file))
const imports = sources.flatMap(importsOf)
const violations = [...new Set(imports.flatMap((one) => violation(one) ?? []))]
for (const line of violations) process.stderr.write(`${line}\n`)

const page = readFileSync(join(ROOT, PICTURE), 'utf8')
const marked = /(<!-- imports -->\n)[\s\S]*?(<!-- \/imports -->)/
if (!marked.test(page)) throw new Error(`${PICTURE}: the marks of the picture are missing`)
const current = page.replace(marked, (_, open: string, close: string) => `${open}${draw(imports)}\n${close}`)
publish({ [PICTURE]: current }, !process.argv.includes('--write'))
if (violations.length > 0) process.exitCode = 1

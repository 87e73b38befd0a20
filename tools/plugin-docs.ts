/**
 * Writes `docs/plugins/<name>.md` for each folder of `src/plugins` from its schema and its `example.yaml`.
 *
 *     node tools/plugin-docs.ts           writes
 *     node tools/plugin-docs.ts --check   writes nothing; exit 1 when a page is missing, outdated or without plugin
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { PluginSchema, PluginScope } from '../src/plugin/define.ts'
import type { Field, Fields, Shorthand } from '../src/schema/field.ts'
import { toReference } from '../src/schema/project.ts'
import { ROOT } from './child.ts'
import { publish } from './generated.ts'

const PLUGINS = join(ROOT, 'src/plugins')
const PAGES = 'docs/plugins'

const SCOPE_NAMES: Record<PluginScope, string> = {
  service: 'a Service',
  route: 'a Route',
  consumer: 'a Consumer',
  consumer_group: 'a Consumer Group',
}

publish({ ...Object.fromEntries(presentPages().map((page) => [page, null])), ...Object.fromEntries(await renderPages()) })

/** Every page that is there: those whose plugin is gone are to be removed. */
function presentPages(): string[] {
  const folder = join(ROOT, PAGES)
  return existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.md'))
        .map((file) => `${PAGES}/${file}`)
    : []
}

/** Page → text, for each plugin. */
async function renderPages(): Promise<(readonly [string, string])[]> {
  const folders = readdirSync(PLUGINS).filter((folder) => existsSync(join(PLUGINS, folder, 'schema.ts')))
  const rendered = folders
    .sort()
    .map(async (folder) => [`${PAGES}/${folder}.md`, renderPage(await loadSchema(folder), readExample(folder))] as const)
  return await Promise.all(rendered)
}

async function loadSchema(folder: string): Promise<PluginSchema> {
  const loaded: { schema: PluginSchema } = await import(pathToFileURL(join(PLUGINS, folder, 'schema.ts')).href)
  if (loaded.schema?.name !== folder) throw new TypeError(`src/plugins/${folder}/schema.ts must export a schema named '${folder}'`)
  return loaded.schema
}

function readExample(folder: string): string | undefined {
  const file = join(PLUGINS, folder, 'example.yaml')
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd() : undefined
}

function renderPage(schema: PluginSchema, example: string | undefined): string {
  const parts = [
    `<!-- Written by tools/plugin-docs.ts from src/plugins/${schema.name}; edit there. -->`,
    `# ${schema.name}`,
    schema.description,
    renderScopes(schema),
    ...(example === undefined ? [] : ['## Example', `A declarative file, also for decK:\n\n\`\`\`yaml\n${example}\n\`\`\``]),
    '## Configuration',
    'Members of `config`. A field without default is null unless it is set.',
    toReference(schema.fields),
    ...renderOlderNames(schema.config),
  ]
  return `${parts.join('\n\n')}\n`
}

function renderScopes(schema: PluginSchema): string {
  const protocols = schema.subschema.fields['protocols']?.elements?.options.oneOf ?? []
  const scopes = ['globally', ...schema.scopes.map((scope) => `for ${SCOPE_NAMES[scope]}`)]
  return `May be configured ${list(scopes)}. Protocols: ${protocols.map((protocol) => `\`${String(protocol)}\``).join(', ')}.`
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`
}

function renderOlderNames(config: Field): string[] {
  const rows = olderNames(config, '')
  if (rows.length === 0) return []
  return [
    '## Older names',
    'Still accepted; what is stored is the present name.',
    ['| older | type | present |', '|---|---|---|', ...rows].join('\n'),
  ]
}

function olderNames(record: Field, prefix: string): string[] {
  const own = Object.entries(record.shorthands ?? {}).map(([name, shorthand]) => olderNameRow(prefix, name, shorthand))
  const nested = Object.entries<Field>(record.fields ?? ({} satisfies Fields)).flatMap(([name, inner]) =>
    olderNames(inner, `${prefix}${name}.`),
  )
  return [...own, ...nested]
}

function olderNameRow(prefix: string, name: string, { field, deprecation, replacedWith }: Shorthand): string {
  const advised = /please use (?:config\.)?(\S+) instead/.exec(deprecation?.message ?? '')?.[1]
  const paths = replacedWith?.map((path) => `${prefix}${path.join('.')}`) ?? (advised === undefined ? [] : [advised])
  return `| \`${prefix}${name}\` | ${field.kind} | ${paths.map((path) => `\`${path}\``).join(', ') || 'none: it has no effect'} |`
}

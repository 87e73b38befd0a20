import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { EntitySchema } from '../../schema/schema.ts'
import { errorText } from '../../util/errors.ts'
import { type Database, ENTITY_NAMES } from '../database.ts'
import type { SourceFormat } from './document.ts'
import { DeclarativeError } from './errors.ts'
import type { DeclarativeConfiguration } from './parse.ts'
import { parseDeclarative } from './parse.ts'

/** The schemas of a database's entities, parents before children. */
export function schemasOf(database: Pick<Database, 'entities'>): readonly EntitySchema[] {
  return ENTITY_NAMES.map((name) => database.entities[name].schema)
}

const FORMATS: Readonly<Record<string, SourceFormat>> = { '.yml': 'yaml', '.yaml': 'yaml', '.json': 'json' }

/**
 * Reads the declarative file that the gateway starts with; its ending decides the format.
 * @throws {Error} with Kong's text for the operator: one line per fault, each with its place in the file
 */
export function loadDeclarativeFile(path: string, database: Pick<Database, 'entities'>): DeclarativeConfiguration {
  const format = FORMATS[extname(path).toLowerCase()]
  if (format === undefined)
    throw new Error(`error parsing declarative config file ${path}:\nunknown file type: ${path}. (Accepted types: json, yaml)`)
  return loadText(readText(path), `config file ${path}`, { schemas: schemasOf(database), format })
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`error parsing declarative config file ${path}:\n${errorText(error)}`, { cause: error })
  }
}

/**
 * Reads the declarative configuration that a setting holds as text.
 * @throws {Error} as {@link loadDeclarativeFile}
 */
export function loadDeclarativeText(text: string, database: Pick<Database, 'entities'>): DeclarativeConfiguration {
  return loadText(text, 'string', { schemas: schemasOf(database) })
}

function loadText(text: string, source: string, options: Parameters<typeof parseDeclarative>[1]): DeclarativeConfiguration {
  try {
    return parseDeclarative(text, options)
  } catch (error) {
    if (!(error instanceof DeclarativeError)) throw error
    throw new Error(`error parsing declarative ${source}:\n${error.lines.join('\n')}`, { cause: error })
  }
}

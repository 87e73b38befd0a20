import { customFields } from '../../plugin/custom-fields.ts'
import { definePlugin } from '../../plugin/define.ts'
import type { PluginKit } from '../../plugin/kit.ts'
import { entryText, type LoggedFields, logEntry } from '../../plugin/log-entry.ts'
import { LogFile } from './log-file.ts'
import { type Config, schema } from './schema.ts'

/** A configuration at work. */
interface State {
  readonly file: LogFile
  readonly fields: LoggedFields
  readonly release: () => void
}

/** Appends an entry about each request to a file. */
export default definePlugin({
  schema,
  version: '1.0.0',
  priority: 9,
  configure(config: Config, kit): State {
    const files = kit.shared('file-log files', () => createFiles(kit))
    const { path, reopen } = config
    return {
      file: files.acquire(path, reopen),
      fields: customFields(config.custom_fields_by_lua),
      release: () => files.release(path, reopen),
    }
  },
  log(context, { file, fields }) {
    file.append(entryText(logEntry(context, fields)))
  },
  close: ({ release }) => release(),
})

function createFiles(kit: PluginKit): OpenFiles {
  const files = new OpenFiles(kit)
  kit.onExit(() => files.flush())
  return files
}

/** The files of one process: configurations with the same path write to one. */
class OpenFiles {
  readonly #kit: PluginKit
  readonly #live = new Map<string, { readonly file: LogFile; users: number }>()
  /** No longer used, but not yet written to the end. */
  readonly #closing = new Set<Promise<void>>()

  constructor(kit: PluginKit) {
    this.#kit = kit
  }

  acquire(path: string, reopen: boolean): LogFile {
    const key = keyOf(path, reopen)
    const entry = this.#live.get(key) ?? { file: new LogFile({ path, reopen, log: this.#kit.log }), users: 0 }
    entry.users++
    this.#live.set(key, entry)
    return entry.file
  }

  release(path: string, reopen: boolean): void {
    const key = keyOf(path, reopen)
    const entry = this.#live.get(key)
    if (entry === undefined || --entry.users > 0) return
    this.#live.delete(key)
    const closed = entry.file.close().then(() => void this.#closing.delete(closed))
    this.#closing.add(closed)
  }

  async flush(): Promise<void> {
    await Promise.all([...[...this.#live.values()].map(({ file }) => file.flush()), ...this.#closing])
  }
}

function keyOf(path: string, reopen: boolean): string {
  return `${reopen}|${path}`
}

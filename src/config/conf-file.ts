/** A line that is neither blank, a comment nor `name = value`. Its content is not shown: it may be a secret. */
export interface ConfLineError {
  /** From 1. */
  readonly line: number
}

/** What a kong.conf file says. */
export interface ConfFile {
  /** Texts by name; the later of two lines wins, an empty text means "unset". */
  readonly values: ReadonlyMap<string, string>
  readonly errors: readonly ConfLineError[]
}

/**
 * Reads the text of a kong.conf: `name = value` lines, `#` starts a comment anywhere on a line unless written `\#`.
 */
export function parseConfFile(text: string): ConfFile {
  const values = new Map<string, string>()
  const errors: ConfLineError[] = []
  text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .forEach((raw, index) => {
      const content = withoutComment(raw).trim()
      if (content === '') return
      const match = /^([A-Za-z0-9_]+)\s*=\s*(.*)$/.exec(content)
      if (match === null) errors.push({ line: index + 1 })
      else values.set(match[1]!, unescapeHash(match[2]!))
    })
  return { values, errors }
}

/** Turns `\#` into `#`, in files and in environment variables alike (Kong). */
export function unescapeHash(text: string): string {
  return text.replaceAll('\\#', '#')
}

function withoutComment(line: string): string {
  const comment = /(?<!\\)#/.exec(line)
  return comment === null ? line : line.slice(0, comment.index)
}

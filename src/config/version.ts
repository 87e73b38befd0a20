import { readFileSync } from 'node:fs'

/** The release of Kong whose Admin API and files we speak; clients such as decK choose their dialect by it. */
export const KONG_VERSION = '3.9.1'

/** Our own version: that of package.json, which lies two folders up from here in the sources and in the package alike. */
export const SALLYPORT_VERSION = readVersion(new URL('../../package.json', import.meta.url))

function readVersion(file: URL): string {
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof content === 'object' && content !== null && 'version' in content && typeof content.version === 'string') return content.version
  throw new TypeError(`${file.pathname} has no version`)
}

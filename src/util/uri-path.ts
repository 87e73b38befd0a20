/**
 * The normal form of a request path (RFC 3986 section 6.2.2, with Kong's choice of what stays encoded): percent-triplets are decoded unless they stand for a
 * reserved character or `%`, those that stay get upper-case digits, dot segments are removed, runs of `/` collapse.
 *
 * Paths are byte strings here: one character per byte (`latin1`), because a decoded triplet need not be valid UTF-8.
 */

/** Bytes that mean something else when they are not encoded (RFC 3986 section 2.2), and `%` itself. */
const STAYS_ENCODED = new Set("!*'();:@&=+$,/?%#[]")

/** Normal form of `path`, one character per byte, without its query. */
export function normalizePath(path: string): string {
  return collapseSlashes(removeDotSegments(decodeTriplets(path)))
}

/** The normal form of a path given and returned as ordinary text. Bytes that are not UTF-8 after decoding become U+FFFD. */
export function normalFormOf(path: string): string {
  return Buffer.from(normalizePath(toBytes(path)), 'latin1').toString('utf8')
}

/** True when `path` (ordinary text) is its own normal form. */
export function isNormalized(path: string): boolean {
  const bytes = toBytes(path)
  return normalizePath(bytes) === bytes
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

function decodeTriplets(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16))
    return STAYS_ENCODED.has(character) ? `%${digits.toUpperCase()}` : character
  })
}

/** RFC 3986 section 5.2.4 for an absolute path. A trailing `.` or `..` leaves a trailing slash. */
function removeDotSegments(path: string): string {
  if (!path.includes('/.')) return path
  const segments = path.split('/')
  const kept: string[] = []
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1
    if (segment === '..' && kept.length > 1) kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (last) kept.push('')
  }
  return kept.join('/')
}

function collapseSlashes(path: string): string {
  return path.replace(/\/{2,}/g, '/')
}

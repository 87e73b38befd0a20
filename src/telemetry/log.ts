/** Log lines: a short message for people and members for machines. Never a token, a secret, or a URL with its query. */
export interface Log {
  debug(message: string, members?: LogMembers): void
  info(message: string, members?: LogMembers): void
  notice(message: string, members?: LogMembers): void
  warn(message: string, members?: LogMembers): void
  error(message: string, members?: LogMembers): void
}

export type LogMembers = Readonly<Record<string, string | number | boolean | null | undefined>>

/** Writes nothing. */
export const silentLog: Log = { debug() {}, info() {}, notice() {}, warn() {}, error() {} }

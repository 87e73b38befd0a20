/** Host and port as they stand in a URL: an IPv6 address in brackets (RFC 3986 section 3.2.2). */
export function formatAuthority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Host and port as they stand in a URL: an IPv6 address in brackets (RFC 3986 section 3.2.2). */
export function formatAuthority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What stands behind the address of a listener whose connections begin with a PROXY header. */
export const PROXY_PROTOCOL_MARK = ' (proxy_protocol)'

/** Address of a listener as it is shown: `https://` stands before those with TLS. */
export function shownAddress(
  { address, port }: { readonly address: string; readonly port: number },
  { ssl, proxy_protocol: proxied }: { readonly ssl: boolean; readonly proxy_protocol: boolean },
): string {
  return `${ssl ? 'https://' : ''}${formatAuthority(address, port)}${proxied ? PROXY_PROTOCOL_MARK : ''}`
}

/** An authority without its port; brackets of IPv6 literals stay. */
export function withoutPort(authority: string): string {
  if (authority.startsWith('[')) return authority.slice(0, authority.indexOf(']') + 1)
  const colon = authority.indexOf(':')
  return colon === -1 ? authority : authority.slice(0, colon)
}

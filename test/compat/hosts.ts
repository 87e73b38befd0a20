import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Names that the walkthrough uses. */
const NAMES = ['keycloak.test', 'httpbin.test']

/** A hosts file (for the setting `dns_hostsfile`) with these names on the loopback address, so that the machine need not know them. */
export async function writeHostsFile(folder: string): Promise<string> {
  const path = join(folder, 'hosts')
  await writeFile(path, `127.0.0.1 ${NAMES.join(' ')}\n`)
  return path
}

import { readEnvVault, VaultReferenceError } from '../config/vault-reference.ts'
import { isVaultReference } from '../schema/field.ts'
import { COMMON_USAGE, CONF, CONF_USAGE, type Command, CommandError, PREFIX, PREFIX_USAGE } from './command.ts'
import { loadFor } from './sources.ts'

/** `vault get`: what a reference refers to. */
export const vault: Command = {
  name: 'vault',
  summary: 'print what a vault reference refers to',
  usage: `Usage: sallyport vault get REFERENCE [OPTIONS]

Print what a reference refers to: {vault://env/name}, or short env/name.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  subcommands: ['get'],
  run(invocation) {
    const given = invocation.positionals[1]
    if (given === undefined) throw new CommandError("the 'get' command needs a <reference> argument \nsallyport vault get <reference>")
    const reference = isVaultReference(given) ? given : `{vault://${given}}`
    const prefix = loadFor(invocation).settings.vault_env_prefix
    try {
      invocation.terminal.out(readEnvVault(reference, invocation.terminal.env, prefix))
      return 0
    } catch (error) {
      if (!(error instanceof VaultReferenceError)) throw error
      throw new CommandError(error.message)
    }
  },
}

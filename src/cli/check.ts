import { DEFAULT_FILES, loadSettings, SettingsError } from '../config/load.ts'
import { COMMON_USAGE, type Command } from './command.ts'

/** `check`: are these settings valid? */
export const check: Command = {
  name: 'check',
  summary: 'check a conf file',
  usage: `Usage: sallyport check [CONF]

Check a conf file together with the environment, and print every error.

  CONF                without it ${DEFAULT_FILES.slice(0, 2).join(', ')}, a kong.conf; without any of
                      these, defaults and environment are checked

Options:
${COMMON_USAGE}`,
  options: {},
  run({ positionals, terminal }) {
    try {
      const { file, warnings } = loadSettings({ file: positionals[0], env: terminal.env, cwd: terminal.cwd })
      for (const warning of warnings) terminal.err(`Warning: ${warning}`)
      terminal.out(`configuration at ${positionals[0] ?? file ?? 'defaults and environment'} is valid`)
      return 0
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error
      for (const line of error.errors) terminal.err(line)
      return 1
    }
  },
}

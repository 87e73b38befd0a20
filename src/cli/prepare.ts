import { COMMON_USAGE, CONF, CONF_USAGE, type Command, PREFIX, PREFIX_USAGE } from './command.ts'
import { preparePrefix } from './process-files.ts'
import { loadFor } from './sources.ts'

/** `prepare`: the data directory, without a start. */
export const prepare: Command = {
  name: 'prepare',
  summary: 'make the data directory without starting',
  usage: `Usage: sallyport prepare [OPTIONS]

Check the settings and make the data directory with its folders.

Options:
${CONF_USAGE}
${PREFIX_USAGE}
${COMMON_USAGE}`,
  options: { ...CONF, ...PREFIX },
  run(invocation) {
    preparePrefix(loadFor(invocation).settings.prefix)
    return 0
  },
}

/** Writes docs/configuration.md and sallyport.conf.default from the settings' schema. */
import { toConfExample, toReference } from '../src/config/display.ts'
import { publish } from './generated.ts'

const INTRODUCTION = `# Configuration

Settings bear the names of kong.conf. Where one is given several times, the later wins:

1. the defaults below,
2. a file: \`-c FILE\`, else \`./sallyport.conf\`, \`/etc/sallyport/sallyport.conf\`, \`/etc/kong/kong.conf\`, \`/etc/kong.conf\`; an example with every setting is
   [sallyport.conf.default](../sallyport.conf.default),
3. environment variables \`KONG_<NAME>\`, then \`SALLYPORT_<NAME>\` (\`SALLYPORT_PROXY_LISTEN=0.0.0.0:8000\`),
4. command line flags.

A name of kong.conf that means nothing here is named in one warning at start; it does not stop the gateway. This page is generated from the settings' schema.
`

publish({ 'docs/configuration.md': `${INTRODUCTION}\n${toReference().trim()}\n`, 'sallyport.conf.default': `${toConfExample().trim()}\n` })

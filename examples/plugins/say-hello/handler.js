/**
 * A plugin of one's own: adds a greeting to the upstream request and to the answer. The gateway loads every folder of `plugins_dir`:
 *
 *   SALLYPORT_PLUGINS_DIR=$PWD/examples/plugins SALLYPORT_NGINX_DAEMON=off npm start
 *   curl -X POST localhost:8001/plugins -d name=say-hello -d config.greeting=Ahoy
 *
 * @param {import('sallyport/plugin').PluginApi} api
 */
export default ({ definePlugin, pluginSchema, field }) =>
  definePlugin({
    schema: pluginSchema({
      name: 'say-hello',
      scopes: ['service', 'route', 'consumer'],
      description: 'Adds a greeting to the upstream request and to the answer.',
      config: {
        greeting: field.string({ required: true, default: 'Hello', lenMax: 100, description: 'The greeting.' }),
      },
    }),
    version: '1.0.0',
    // After the authentication plugins (openid-connect is 1050), so that the consumer is known.
    priority: 800,
    configure: (config) => config,
    access(context, { greeting }) {
      const name = context.identity.consumer?.username ?? 'stranger'
      context.request.headers.set('X-Greeting', `${greeting}, ${name}`)
    },
    headerFilter(context, { greeting }) {
      context.response.headers.set('X-Greeting', greeting)
    },
  })

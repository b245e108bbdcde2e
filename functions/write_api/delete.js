import { util } from '@aws-appsync/utils';

export function request(ctx) {
  const { id } = ctx.arguments;
  if (id.startsWith('statecast:')) {
    util.error(`'${id}': ids that begin with statecast: are the system's`, 'Refused');
  }
  return { operation: 'DeleteItem', key: util.dynamodb.toMapValues({ id }) };
}

// What was deleted, if anything, is the result: a delete is one version above it.
export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  return ctx.result ? { id: ctx.result.id, version: ctx.result.version + 1 } : null;
}

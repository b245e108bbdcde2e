import { util } from '@aws-appsync/utils';

export function request(ctx) {
  const { id } = ctx.arguments;
  if (id.startsWith('statecast:')) {
    util.error(`'${id}': ids that begin with statecast: are the system's`, 'Refused');
  }
  return {
    operation: 'GetItem',
    key: util.dynamodb.toMapValues({ id }),
    consistentRead: true,
    projection: { expression: '#version', expressionNames: { '#version': 'version' } },
  };
}

export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  return ctx.result ? ctx.result.version : null;
}

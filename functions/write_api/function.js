import { util } from '@aws-appsync/utils';

// For every field, where a function (handler.py) does what the others do straight on the table.
export function request(ctx) {
  return { operation: 'Invoke', payload: { field: ctx.info.fieldName, arguments: ctx.arguments } };
}

export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  if (ctx.result.refused) {
    util.error(ctx.result.refused, 'Refused');
  }
  return ctx.result.answer;
}

import { util } from '@aws-appsync/utils';

const OURS = ['id', 'version', 'writtenAt', 'traceparent'];
const LATEST = 9007199254740991;

export function request(ctx) {
  const { id, traceparent } = ctx.arguments;
  // AppSync's own clock is the version's floor: a client's that is behind could hide a recreated item.
  const now = util.time.nowEpochMilliSeconds();
  const writtenAt = ctx.arguments.writtenAt ?? now;
  if (id.startsWith('statecast:')) {
    util.error(`'${id}': ids that begin with statecast: are the system's`, 'Refused');
  }
  if (!(writtenAt >= 0 && writtenAt <= LATEST && writtenAt % 1 === 0)) {
    util.error('writtenAt is not a whole number of Unix milliseconds', 'Refused');
  }
  if (traceparent && !util.matches('^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$', traceparent)) {
    util.error('traceparent is not a W3C trace context', 'Refused');
  }
  // AppSync itself has parsed what is AWSJSON; an emulator may leave it as text.
  const given = ctx.arguments.attributes;
  const attributes = typeof given === 'string' ? JSON.parse(given) : given;
  if (!`${JSON.stringify(attributes)}`.startsWith('{')) {
    util.error('attributes is not a JSON object', 'Refused');
  }

  const names = { '#version': 'version', '#writtenAt': 'writtenAt', '#traceparent': 'traceparent' };
  const values = { ':now': now, ':one': 1, ':writtenAt': writtenAt };
  const set = ['#version = if_not_exists(#version, :now) + :one', '#writtenAt = :writtenAt'];
  const remove = [];
  if (traceparent) {
    set.push('#traceparent = :traceparent');
    values[':traceparent'] = traceparent;
  } else {
    remove.push('#traceparent'); // it would be the previous write's
  }
  Object.keys(attributes).forEach((name, number) => {
    if (OURS.indexOf(name) >= 0) {
      util.error(`attributes names ${name}, which is the system's`, 'Refused');
    }
    names[`#${number}`] = name;
    if (attributes[name] === null) {
      remove.push(`#${number}`);
    } else {
      set.push(`#${number} = :${number}`);
      values[`:${number}`] = attributes[name];
    }
  });
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ id }),
    update: {
      expression: `SET ${set.join(', ')}${remove.length > 0 ? ` REMOVE ${remove.join(', ')}` : ''}`,
      expressionNames: names,
      expressionValues: util.dynamodb.toMapValues(values),
    },
  };
}

export function response(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  return { id: ctx.result.id, version: ctx.result.version };
}

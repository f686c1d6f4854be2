// That the tests of tenancy leave nothing out: every RPC for people and services, and every id in its request, as the
// compiled contract says.
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { loadDescriptors } from '../../../../src/contract/descriptors.js';
import { boundTo } from './fixture.js';
import { ANY, NAMING, STREAM_NAMING } from './naming.js';

/** They name nobody's things: why. */
const WITHOUT: { readonly [path: string]: string } = {
  GetCloud: 'tells of the cloud itself',
  'PutSecret sealed.sealing_key_id': 'the key of the hub whose sensor is named beside it',
};
const FOR_PEOPLE: readonly Caller[] = [Caller.CUSTOMER_ADMIN, Caller.CUSTOMER_READER];

/** Every string or list of strings that is called an id, also inside of others; not the requests' own. */
function idsIn(message: DescMessage, path: readonly DescField[] = []): (readonly DescField[])[] {
  return message.fields.flatMap((field) => {
    const within = [...path, field];
    if (field.message)
      return path.some(({ message: one }) => one === field.message) ? [] : idsIn(field.message, within);
    return /(^|_)ids?$/.test(field.name) && field.name !== 'request_id' ? [within] : [];
  });
}

/** Whether it holds the id of something. */
function names(request: unknown, path: readonly DescField[]): boolean {
  let value = request;
  for (const { localName } of path) value = value && Reflect.get(value as object, localName);
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  return ids.some((id) => Object.values(ANY).some((known) => known === id));
}

type Methods = ReturnType<typeof methodsForPeople>;

function methodsForPeople() {
  const descriptors = loadDescriptors();
  const [rules, scopes] = [descriptors.accessRules(), descriptors.scopes()];
  return descriptors
    .services()
    .flatMap(({ methods }) => methods)
    .filter((method) => {
      const path = `/${method.parent.typeName}/${method.name}`;
      return scopes.has(path) || rules.get(path)?.some((caller) => FOR_PEOPLE.includes(caller));
    });
}

/** What no request of the tables names. */
function missing(methods: Methods, naming: { readonly [rpc: string]: ((target: typeof ANY) => object[]) | undefined }) {
  return methods.flatMap(({ name, localName, input }) => {
    const requests = naming[localName]?.(ANY);
    if (!requests) return [name];
    const left = idsIn(input).filter((path) => !requests.some((request) => names(request, path)));
    return left.map((path) => `${name} ${path.map((field) => field.name).join('.')}`);
  });
}

describe('API: coverage of tenancy', () => {
  const all = { ...NAMING, ...STREAM_NAMING };
  const requests = Object.values(all).flatMap((naming) => naming(ANY)).length;
  const cases = `${methodsForPeople().length} RPCs, ${requests} requests × ${boundTo('').length} callers`;

  it(`leaves out no RPC for people, and no id in a request: ${cases}`, () => {
    const methods = methodsForPeople();
    expect(missing(methods, all)).to.have.members(Object.keys(WITHOUT));
  });

  it('sees an RPC and an id that are left out (negative control)', () => {
    const methods = methodsForPeople();
    expect(missing(methods, { ...all, listAlarms: undefined })).to.include('ListAlarms');
    const machineOnly = () => [{ machineId: ANY.machine }];
    expect(missing(methods, { ...all, listAlarms: machineOnly })).to.include('ListAlarms customer_id');
    expect(missing(methods, { ...all, getLatest: machineOnly })).to.include('GetLatest sensor_ids');
  });
});

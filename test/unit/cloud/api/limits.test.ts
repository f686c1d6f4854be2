// Limits that the comments of the contract state for many requests hold in each: generated from its descriptors, so that a
// new RPC cannot forget them. A request breaks one limit at a time, and the fault names its field.
import type { DescMethod } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { loadDescriptors } from '../../../../src/contract/descriptors.js';
import { Fault } from '../../../../src/kernel/fault.js';
import { CHANGES, type Things, things, WAY } from './changes.js';
import { DEFINITIONS, OPERATOR, type Rpc, TestApi } from './fixture.js';

/** Of fields of these names: values at their limits, and beyond. */
const LIMITS: Readonly<Record<string, { good: unknown[]; bad: unknown[] }>> = {
  page_size: { good: [0, 1, 1_000], bad: [1_001, 0xffffffff] },
  page_token: { good: [''], bad: ['x', '1', '1!', `1${'A'.repeat(100_000)}`] },
  name: { good: ['x', '漢'.repeat(64)], bad: ['x'.repeat(65), 'a\nb', ' a', 'a ', 'a\u202eb'] },
  comment: { good: ['漢'.repeat(512), 'a\nb'], bad: ['x'.repeat(513), 'a\u0007b'] },
  request_id: { good: ['x'.repeat(64)], bad: ['x'.repeat(65)] },
};

/** Besides: what the rest of a request has to be so that it is good. */
const BASES: { readonly [R in Rpc]?: (things: Things) => object } = {
  ...CHANGES,
  createChannel: ({ customer }) => ({ customerId: customer, name: 'desk', way: WAY }),
};

const methods: readonly DescMethod[] = loadDescriptors()
  .services()
  .flatMap((service) => service.methods);

/** Every limited field of every request. */
const CASES = (Object.entries(DEFINITIONS) as [Rpc, { readonly path: string }][]).flatMap(([rpc, { path }]) => {
  const method = methods.find((one) => `/${one.parent.typeName}/${one.name}` === path);
  const fields = method?.input.fields ?? [];
  return fields.filter(({ name }) => name in LIMITS).map(({ name, localName }) => ({ rpc, name, localName }));
});

describe('API: limits that hold everywhere', () => {
  it('are tested for every request that has such a field', () => {
    for (const name of Object.keys(LIMITS))
      expect(
        CASES.filter((one) => one.name === name),
        name,
      ).to.not.be.empty;
    expect(CASES.length).to.be.greaterThan(45);
  });

  it('are kept by each, and the fault names the field', async () => {
    await using api = await TestApi.start();
    const all = await things(api);
    const faultOf = async (rpc: Rpc, request: object): Promise<Fault | undefined> => {
      try {
        await api.call(rpc, OPERATOR, request);
      } catch (thrown) {
        if (thrown instanceof Fault) return thrown;
        throw thrown;
      }
      return undefined;
    };
    const before = await api.cloud.dump();
    for (const { rpc, name, localName } of CASES) {
      for (const [i, value] of LIMITS[name]?.bad.entries() ?? []) {
        const fault = await faultOf(rpc, { ...BASES[rpc]?.(all), [localName]: value });
        expect(fault, `${rpc} ${name} ${i}`).to.include({ code: 'api.invalid', field: name, permanent: true });
        expect(fault?.message.length, `${rpc} ${name} ${i}`).to.be.lessThan(300);
      }
    }
    expect((await api.cloud.dump()).equals(before), 'nothing was changed').to.equal(true);
  });

  for (const rpc of new Set(CASES.map((one) => one.rpc))) {
    it(`let ${rpc} have all that it may (negative control)`, async () => {
      await using api = await TestApi.start();
      const base = BASES[rpc]?.(await things(api));
      for (const { name, localName } of CASES.filter((one) => one.rpc === rpc))
        for (const value of LIMITS[name]?.good ?? []) await api.call(rpc, OPERATOR, { ...base, [localName]: value });
    });
  }
});

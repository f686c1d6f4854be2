// Which interfaces are used, and what belongs to each.
import type { NetworkInterfaceInfo } from 'node:os';
import { expect } from 'chai';
import { absentInterfaces, localInterface, selectInterfaces } from '../../../src/discovery/interfaces.js';

const v4 = (address: string, netmask: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask,
  internal,
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  cidr: null,
});
const v6: NetworkInterfaceInfo = { ...v4('fe80::1', 'ffff::'), family: 'IPv6', scopeid: 1 };
const source = () => ({
  lo: [v4('127.0.0.1', '255.0.0.0', true)],
  eth0: [v4('192.0.2.10', '255.255.255.0'), v6],
  eth1: [v4('198.51.100.1', '255.255.255.192'), v4('198.51.100.129', '255.255.255.192')],
});
const addresses = (wanted?: string[]) => selectInterfaces(source, wanted).map((iface) => iface.address);

describe('interfaces for discovery', () => {
  it('are by default every IPv4 address except loopback', () => {
    expect(addresses()).to.deep.equal(['192.0.2.10', '198.51.100.1', '198.51.100.129']);
  });

  it('are those named, by name or by address; loopback only then', () => {
    expect(addresses(['eth1'])).to.deep.equal(['198.51.100.1', '198.51.100.129']);
    expect(addresses(['198.51.100.129'])).to.deep.equal(['198.51.100.129']);
    expect(addresses(['lo'])).to.deep.equal(['127.0.0.1']);
    expect(addresses(['127.0.0.1'])).to.deep.equal(['127.0.0.1']);
    expect(addresses(['wlan0'])).to.deep.equal([]);
    expect(addresses([])).to.deep.equal([]);
  });

  it('that are named and not there are told, also those without an IPv4 address', () => {
    const partly = () => ({ ...source(), tun0: [v6] });
    const wanted = ['eth1', '192.0.2.10', 'lo', 'eht0', '192.0.2.11', 'tun0'];
    expect(absentInterfaces(partly, wanted)).to.deep.equal(['eht0', '192.0.2.11', 'tun0']);
    expect(absentInterfaces(partly, [])).to.deep.equal([]);
  });

  it('know their subnet', () => {
    const iface = localInterface('eth1', '198.51.100.1', '255.255.255.192');
    expect(iface.contains('198.51.100.62')).to.equal(true);
    expect(iface.contains('198.51.100.64')).to.equal(false);
    expect(iface.contains('not an address')).to.equal(false);
    expect(iface.contains('::ffff:198.51.100.1')).to.equal(false);
  });
});

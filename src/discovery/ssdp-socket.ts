// The UDP sockets of SSDP: one per interface, multicast bound to that interface both ways, every failure a rejection.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { Fault } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { systemCode } from '../kernel/system-error.js';
import type { LocalInterface } from './interfaces.js';
import { MAX_DATAGRAM_BYTES, SSDP_GROUP, SSDP_TTL } from './ssdp-protocol.js';

/** Discovery over multicast is impossible on an interface; everything else goes on without it. */
export class SsdpFault extends Fault<'discovery.port-in-use' | 'discovery.no-socket'> {}

export type OnDatagram = (datagram: Buffer, from: RemoteInfo) => void;

/** Several listeners share the port on one machine; each hears all multicast. */
export function openListener(iface: LocalInterface, port: number, hear: OnDatagram, log: Logger): Promise<Socket> {
  return open(iface, { port }, hear, log, (socket) => socket.addMembership(SSDP_GROUP, iface.address));
}

/** On a free port of the interface's own address, so that nothing but answers sent to it arrives. */
export function openSearcher(iface: LocalInterface, hear: OnDatagram, log: Logger): Promise<Socket> {
  return open(iface, { port: 0, address: iface.address }, hear, log, () => {});
}

/**
 * Joins the group once more: a network card that was pulled and plugged in again has forgotten it. Throws when the
 * interface is gone.
 */
export function rejoin(socket: Socket, iface: LocalInterface): void {
  try {
    socket.addMembership(SSDP_GROUP, iface.address);
  } catch (thrown) {
    // Still a member.
    if (systemCode(thrown) !== 'EADDRINUSE') throw thrown;
  }
}

/** Closes a socket and waits until it is. */
export async function closeSocket(socket: Socket): Promise<void> {
  const closed = once(socket, 'close');
  socket.close();
  await closed;
}

async function open(
  iface: LocalInterface,
  where: { port: number; address?: string },
  hear: OnDatagram,
  log: Logger,
  configure: (socket: Socket) => void,
): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  try {
    // once() rejects on 'error', which is how a port in use is told; node-ssdp waits for ever there.
    const listening = once(socket, 'listening');
    socket.bind(where);
    await listening;
    configure(socket);
    socket.setMulticastInterface(iface.address);
    socket.setMulticastTTL(SSDP_TTL);
  } catch (thrown) {
    await closeSocket(socket);
    throw asFault(thrown, iface, where.port);
  }
  socket.on('error', (error) => log.debug({ interface: iface.name, err: error }, 'SSDP socket error'));
  socket.on('message', (datagram, from) => {
    // A socket bound to the port hears what arrives on every interface; what is not of this subnet belongs to another
    // socket, or to nobody. Port 0 cannot be answered (send would throw).
    if (datagram.length < MAX_DATAGRAM_BYTES && from.port > 0 && iface.contains(from.address)) hear(datagram, from);
  });
  return socket;
}

function asFault(thrown: unknown, iface: LocalInterface, port: number): SsdpFault {
  if (systemCode(thrown) === 'EADDRINUSE') {
    return new SsdpFault('discovery.port-in-use', `UDP port ${port} is held by a program that does not share it`, {
      cause: thrown,
      advice: 'Stop that program, or give hubs the address of the connector by hand.',
    });
  }
  return new SsdpFault('discovery.no-socket', `no multicast on ${iface.name} (${iface.address})`, { cause: thrown });
}

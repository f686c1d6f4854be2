// node-ssdp as our subclasses see it: the published types leave out the inner methods that have to be overridden. A unit
// test checks that each of them still exists. The library writes and reads the messages; sockets, timers and limits are
// ours, because its own (version 4.0.1) answer on the wrong interface, leave timers behind and never send byebye.
import type { RemoteInfo, Socket } from 'node:dgram';
import type { EventEmitter } from 'node:events';
import ssdp from 'node-ssdp';
import type { SsdpHeaders } from './ssdp-protocol.js';

/** A message under construction (lib/ssdpHeader.js). */
export interface LibraryMessage {
  setHeader(name: string, value: string | number): void;
}

export type Sent = (error?: Error | null) => void;

export interface LibraryOptions {
  readonly ssdpIp: string;
  readonly ssdpPort: number;
  readonly ssdpSig: string;
  /** Must be given even to a client: without it the library asks its `ip` dependency, which has an open CVE. */
  readonly location: string;
  readonly udn?: string;
  readonly ttl?: number;
  /** Wildcards in a search become a regular expression made by a stranger: must stay off. */
  readonly allowWildcards: false;
  readonly customLogger: (message: string, ...values: unknown[]) => void;
}

/** Inner methods and fields common to client and server (lib/index.js). */
export interface LibraryBase extends EventEmitter {
  /** By interface address. Null when stopped. */
  sockets: Record<string, Socket> | null;
  _started: boolean;
  addUSN(target: string): void;
  /** Reads one datagram and hands it to _msearch or emits `response`. */
  _parseMessage(datagram: Buffer, from: RemoteInfo): void;
  /** Sends through every socket: to the group, or to host and port. */
  _send(message: LibraryMessage, done: Sent): void;
  _send(message: LibraryMessage, host: string, port: number, done: Sent): void;
}

/** lib/server.js */
export interface LibraryServerMethods extends LibraryBase {
  /** Search target to unique service name. */
  _usns: Record<string, string>;
  _udn: string;
  advertise(alive: boolean): void;
  _msearch(headers: SsdpHeaders, text: string, from: RemoteInfo): void;
  /** Answers a search at once. */
  _respondToSearch(target: string, to: RemoteInfo): void;
}

/** lib/client.js */
export interface LibraryClientMethods extends LibraryBase {
  search(target: string): void;
}

export const LibraryServer = ssdp.Server as unknown as new (options: LibraryOptions) => LibraryServerMethods;
export const LibraryClient = ssdp.Client as unknown as new (options: LibraryOptions) => LibraryClientMethods;

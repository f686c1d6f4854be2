// Webhooks: a message as a signed HTTP POST, bounded in everything that the receiver decides. The contract of headers and
// body stands at events.v1.Webhook.
import { createHmac } from 'node:crypto';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { Alarm } from '../../../gen/occmesh/events/v1/events.js';
import { loadDescriptors } from '../../contract/descriptors.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { type Duration, seconds } from '../../kernel/duration.js';
import { alarmToProto } from '../alarms/messages.js';
import type { AlarmRecord } from '../alarms/records.js';
import type { AlarmNames, Message } from './message.js';
import { addressesOf, publicAddresses, type Resolve } from './resolve.js';

/** For all of it: name, connection, request, answer. */
const WITHIN = seconds(10);
/** Bytes of an answer that are looked at. */
const MOST_ANSWER = 1_024;

export interface WebhookOptions {
  /** Also http, and receivers in private networks. */
  readonly private: boolean;
  readonly within?: Duration;
  /** Instead of the usual authorities, PEM. */
  readonly ca?: string;
}

export interface WebhookModules {
  readonly clock: Clock;
  readonly resolve: Resolve;
}

/** What a channel's URL has to be; the answer completes the sentence "url: …". Undefined: it is good. */
export function urlProblem(text: string, allowPrivate: boolean): string | undefined {
  if (text.length > 2_048) return 'must have at most 2,048 characters';
  if (!URL.canParse(text)) return 'is not a URL';
  const { protocol, username, password } = new URL(text);
  if (protocol !== 'https:' && !(allowPrivate && protocol === 'http:')) return 'must begin with https://';
  if (username !== '' || password !== '') return 'must not contain a user or a password';
  return undefined;
}

/** The body of the POST. The same message gives the same text, as long as nobody changes names. */
export const webhookBody = ({ id, notices }: Message, names: AlarmNames): string =>
  JSON.stringify({
    id,
    alarms: notices.map(({ notice, alarm }) => ({
      notice,
      customer: names.customer(alarm.customerId),
      machine: names.machine(alarm.machineId),
      ...(alarm.sensor === undefined ? {} : { sensor: names.sensor(alarm.machineId, alarm.sensor) }),
      alarm: protoJson(alarm),
    })),
  });

function protoJson(alarm: AlarmRecord): JsonValue {
  const schema = loadDescriptors().registry.getMessage('occmesh.events.v1.Alarm');
  if (!schema) throw new TypeError('the contract has no alarms');
  return toJson(schema, fromBinary(schema, Alarm.encode(alarmToProto(alarm)).finish()));
}

/** The value of `occ-signature`. */
export const signature = (key: Uint8Array, timestamp: string, body: string): string =>
  `v1=${createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex')}`;

/** Resolves when the receiver has accepted it; rejects with why not, or with the signal's reason. Leaves no socket behind. */
export async function post(
  hook: { readonly url: string; readonly key: Uint8Array },
  message: { readonly id: string; readonly body: string },
  options: WebhookOptions,
  modules: WebhookModules,
  signal: AbortSignal,
): Promise<void> {
  const { within = WITHIN } = options;
  const limit = new AbortController();
  const stop = () => limit.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  const late = () => limit.abort(new Error(`it did not accept within ${within / 1_000} seconds`));
  const timer = modules.clock.after(within, late);
  try {
    await exchange(hook, message, options, modules, limit.signal);
  } finally {
    timer.disarm();
    signal.removeEventListener('abort', stop);
  }
}

async function exchange(
  hook: { readonly url: string; readonly key: Uint8Array },
  { id, body }: { readonly id: string; readonly body: string },
  options: WebhookOptions,
  { clock, resolve }: WebhookModules,
  signal: AbortSignal,
): Promise<void> {
  // Rules may have become stricter since the channel was made.
  const problem = urlProblem(hook.url, options.private);
  if (problem) throw new Error(`the URL ${problem}`);
  const url = new URL(hook.url);
  const find = options.private ? addressesOf : publicAddresses;
  const addresses = await raced(find(url.hostname, resolve, signal), signal);
  const timestamp = String(Math.floor(clock.now() / 1_000));
  const response = await send(
    url,
    body,
    {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'occ-mesh',
        'occ-delivery': id,
        'occ-timestamp': timestamp,
        'occ-signature': signature(hook.key, timestamp, body),
      },
      agent: false,
      maxHeaderSize: 16_384,
      signal,
      // What was looked at is what is connected to: nobody asks again in between.
      lookup: (_host, { all }, done) => {
        const [first] = addresses;
        if (all) done(null, [...addresses]);
        else if (first) done(null, first.address, first.family);
      },
    },
    { rejectUnauthorized: true, ...defined({ ca: options.ca }) },
  );
  try {
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return;
    const redirect = statusCode >= 300 && statusCode < 400 ? ', and redirects are not followed' : '';
    const line = await raced(firstLine(response), signal);
    throw new Error(`it answered ${statusCode}${redirect}${line && `: ${line}`}`);
  } finally {
    response.destroy();
  }
}

/** Resolves with the head of the answer. */
async function send(url: URL, body: string, options: RequestOptions, tls: object): Promise<IncomingMessage> {
  const { request } = url.protocol === 'http:' ? await import('node:http') : await import('node:https');
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { ...options, ...tls }, resolve);
    outgoing.once('upgrade', (_response, socket) => {
      socket.destroy();
      reject(new Error('it wants to speak another protocol'));
    });
    outgoing.on('error', (error) => reject(options.signal?.aborted ? options.signal.reason : error));
    outgoing.end(body);
  });
}

async function firstLine(response: IncomingMessage): Promise<string> {
  let text = Buffer.alloc(0);
  for await (const chunk of response) {
    text = Buffer.concat([text, chunk as Buffer]);
    if (text.length >= MOST_ANSWER || text.includes(10)) break;
  }
  return text.subarray(0, MOST_ANSWER).toString().split(/\r?\n/, 1)[0]?.trim() ?? '';
}

/** Whatever does not know of the signal is not waited for. */
function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

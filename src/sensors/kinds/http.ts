// Kind `http`: fetches a web address, follows redirects within bounds, and compares status and body with what is
// expected. Values are of the last exchange: `connect`, `tls`, `first-byte`, `total`, `status`, `size`.
import { http as description, type HttpSettings } from '../catalogue/http.js';
import { SensorFault } from '../fault.js';
import { exchange, type HttpRequest, type HttpResponse } from '../http-fetch.js';
import type { Measurement, Secrets, SensorKind, SensorModules } from '../kind.js';
import { matchAll } from '../matcher.js';
import { critical, verdictOn } from '../network-verdict.js';
import { requireSecretText } from '../secret-text.js';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** The next request after a redirect (RFC 9110 section 15.4), or why there is none. */
function redirected(request: HttpRequest, response: HttpResponse): HttpRequest | string {
  const target = response.location ?? '';
  if (!URL.canParse(target, request.url.href)) return 'redirects to what is not an address';
  const url = new URL(target, request.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return `redirects to ${url.protocol}`;
  if (url.protocol === 'http:' && request.url.protocol === 'https:') return 'redirects to an unencrypted address';
  url.username = '';
  url.password = '';
  const again = response.status === 307 || response.status === 308 || request.method === 'HEAD';
  // What was meant for one server (keys, cookies, a form) is not shown to another.
  const same = url.origin === request.url.origin;
  if (again && !same && request.body !== undefined) return 'redirects a request with a body to another server';
  return {
    ...request,
    url,
    method: again ? request.method : 'GET',
    body: again ? request.body : undefined,
    headers: same ? request.headers : {},
  };
}

/** Why the response is not what the settings expect; undefined when it is. */
function complaint(response: HttpResponse, settings: HttpSettings): string | undefined {
  const { status } = response;
  const well = settings.status ? settings.status.includes(status) : status >= 200 && status < 400;
  if (!well)
    return status === 401 && settings.auth !== 'none' ? 'the login is refused (status 401)' : `status ${status}`;
  const within = response.cut ? `in the first ${settings.maxBody} bytes` : '';
  if (settings.contains !== undefined && !response.body.includes(settings.contains)) {
    return `the body does not contain the expected text ${within}`.trim();
  }
  if (settings.matches !== undefined && !matchAll(settings.matches, [response.body.toString('utf8')])[0]) {
    return `the body does not match the expected pattern ${within}`.trim();
  }
  return undefined;
}

/** What proves who we are (RFC 7617, RFC 6750). Faults: sensor.secret. */
async function credentials({ auth, user }: HttpSettings, secrets: Secrets): Promise<Record<string, string>> {
  if (auth === 'none') return {};
  if (auth === 'basic') {
    const pair = `${user}:${await requireSecretText(secrets, 'password')}`;
    return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
  }
  const token = await requireSecretText(secrets, 'token');
  if (/^[\x21-\x7e]+$/.test(token)) return { authorization: `Bearer ${token}` };
  throw new SensorFault('sensor.secret', 'the token has characters that no token can have', { permanent: true });
}

async function fetchLast(
  settings: HttpSettings,
  login: Readonly<Record<string, string>>,
  { clock }: SensorModules,
  signal: AbortSignal,
) {
  let request: HttpRequest = {
    url: new URL(settings.url),
    method: settings.method,
    headers: { ...settings.headers, ...login },
    body: settings.body,
    verifyTls: settings.verifyTls,
    ca: settings.ca,
    maxBody: settings.maxBody,
  };
  for (let followed = 0; ; followed++) {
    const response = await exchange(request, clock, signal);
    const follow = settings.redirects > 0 && response.location !== undefined && REDIRECTS.has(response.status);
    // An expected redirect is the answer, not a way to it.
    if (!follow || settings.status?.includes(response.status)) return { response };
    if (followed === settings.redirects) return { response, problem: `more than ${followed} redirects` };
    const next = redirected(request, response);
    if (typeof next === 'string') return { response, problem: next };
    request = next;
  }
}

async function measure(
  settings: HttpSettings,
  modules: SensorModules,
  signal: AbortSignal,
  secrets: Secrets,
): Promise<Measurement> {
  const login = await credentials(settings, secrets);
  let fetched: Awaited<ReturnType<typeof fetchLast>>;
  try {
    fetched = await fetchLast(settings, login, modules, signal);
  } catch (thrown) {
    return verdictOn(thrown, signal);
  }
  const { response, problem = complaint(response, settings) } = fetched;
  const values = [
    ...response.phases,
    { name: 'status', unit: '', value: response.status },
    { name: 'size', unit: 'By', value: response.body.length },
  ];
  return problem === undefined ? { values } : critical(problem, values);
}

export const http: SensorKind<HttpSettings> = {
  ...description,
  create: (settings, modules) => ({ measure: (signal, secrets) => measure(settings, modules, signal, secrets) }),
};

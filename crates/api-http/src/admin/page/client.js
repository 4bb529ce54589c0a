
// What is asked of the node. Every request ends by itself.
const TOKEN = 'gaggle-token';
let token = sessionStorage.getItem(TOKEN);

/** Why a request has no answer. `kind`: unreachable, timeout, token, refused, missing. */
class Failure extends Error {
  constructor(kind, text) {
    super(text);
    this.kind = kind;
  }
}

/** Asks, and gives the status and the JSON of the answer. `accept` lists statuses other than 200. */
async function ask(path, {method = 'GET', body, within = 6000, stop, accept = []} = {}) {
  const headers = {accept: 'application/json'};
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const timer = new AbortController();
  const clockwork = setTimeout(() => timer.abort(new Failure('timeout', `no answer within ${span(within / 1000)}`)), within);
  const end = () => timer.abort(stop.reason);
  stop?.addEventListener('abort', end, {once: true});
  if (stop?.aborted) end();
  try {
    const answer = await fetch(path, {
      method, body, headers, signal: timer.signal, cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
    });
    const text = await answer.text();
    if (answer.ok || accept.includes(answer.status)) {
      try {
        return {status: answer.status, json: JSON.parse(text)};
      } catch {
        throw new Failure('refused', `${path} answered ${answer.status} and no JSON`);
      }
    }
    const line = text.split('\n', 1)[0].slice(0, 300) || `status ${answer.status}`;
    const kind = answer.status === 401 ? 'token' : answer.status === 404 ? 'missing' : 'refused';
    throw new Failure(kind, line);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const reason = timer.signal.aborted ? timer.signal.reason : null;
    if (reason instanceof Failure) throw reason;
    throw new Failure('unreachable', 'the connection failed');
  } finally {
    clearTimeout(clockwork);
    stop?.removeEventListener('abort', end);
  }
}

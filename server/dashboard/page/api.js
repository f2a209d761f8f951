// Asks the coordinator for JSON (docs/http_api.md). An answer is {data} or {error: {code, reason,
// message}}; code 0: nobody answered.

export async function ask(path, { timeout = 4000, fetch = globalThis.fetch } = {}) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeout);
  try {
    const reply = await fetch(path, { signal: stop.signal, cache: 'no-store', redirect: 'error' });
    const body = await reply.json();
    if (reply.ok) return { data: body };
    const { reason = 'ERROR', message = '' } = body?.error ?? {};
    return { error: { code: reply.status, reason, message } };
  } catch (problem) {
    const message = stop.signal.aborted
      ? `no answer within ${timeout / 1000} s`
      : problem instanceof SyntaxError ? 'the answer is not JSON' : 'nobody answers';
    return { error: { code: 0, reason: 'UNREACHABLE', message } };
  } finally {
    clearTimeout(timer);
  }
}

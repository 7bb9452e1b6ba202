// The server's runs, asked for as any page may.

/** A name that nobody guesses: 128 random bits in URL-safe Base64. */
// Not crypto.randomUUID: it is missing on plain HTTP outside of localhost.
export function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export const eventsOf = (id) => `${pathOf(id)}/events`;

/**
 * Begins the run `id`, which is the answer to a chat completion request. To ask again is safe: whoever repeats the
 * same request gets the same run.
 */
export async function begin(id, request, signal) {
  const response = await fetch('/v1/runs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id, request }),
    signal,
  });
  if (!response.ok) throw new Error(await describe(response));
}

/** Ends the run for all of its readers; false if the server has no such run. */
export async function cancel(id) {
  const response = await fetch(`${pathOf(id)}/cancel`, { method: 'POST' });
  return response.ok;
}

/** What the server has to tell of the run; null if it has none such, or does not answer. */
export async function reportOf(id) {
  try {
    const response = await fetch(pathOf(id));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

const pathOf = (id) => `/v1/runs/${encodeURIComponent(id)}`;

/** Why a request was refused: an OpenAI error, a problem of RFC 9457, or the status alone. */
async function describe(response) {
  const body = await response.json().catch(() => null);
  const reason = body?.error?.message ?? body?.detail ?? body?.title;
  return reason ? `${response.status}: ${reason}` : `The server answered ${response.status}.`;
}

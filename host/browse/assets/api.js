// @ts-check
// What the page asks the program that serves it. Nothing else is ever asked.

/** What went wrong, as the program says it. */
export class Problem extends Error {
  /**
   * @param {{ message?: string, hint?: string, findings?: unknown[] }} told
   * @param {number} status
   */
  constructor(told, status) {
    super(told.message ?? 'the answer cannot be read');
    this.hint = told.hint;
    this.findings = told.findings;
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} init
 */
async function request(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Problem({ message: 'oc-mirror browse does not answer', hint: 'see whether it still runs' }, 0);
  }
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('application/json')) {
    throw new Problem({ message: (await response.text()).trim() }, response.status);
  }
  const answer = await response.json();
  if (!response.ok) throw new Problem(answer, response.status);
  return answer;
}

/** @param {string} path */
export function get(path) {
  return request(path, {});
}

/**
 * @param {string} path
 * @param {unknown} body
 */
export function post(path, body) {
  return request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/**
 * Asks a question about catalogs, releases or sizes.
 * @param {string} question
 * @param {object} args
 */
export function ask(question, args) {
  return post('/api/ask', { question, arguments: args });
}

// The server's JSON API. Paths are relative, so that the page also works below a proxy's path.

/** An answer; the server's sentence as the error's message. */
export async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.status === 401 && (await logIn())) return send(path, options);
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.message || `The server answered ${response.status}.`);
}

/** An answer as JSON. */
export async function ask(path, parameters = {}, options = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  const response = await send(query ? `${path}?${query}` : path, options);
  return response.json().catch(() => ({}));
}

/** Ask the person for the server's token; a cookie carries it from then on. False if none was given. */
async function logIn() {
  const token = window.prompt("This server asks for its token:");
  if (!token) return false;
  await fetch("token", { method: "POST", body: token });
  return true; // a wrong one leads to the same question
}

const PAGE = 40;
export const IN_SIGHT = 12; // their pictures come with the answer, not each in a request of its own
export const listIndices = () => ask("indices");
export const sample = (index, signal) => ask("sample", { index, k: 24, thumbnails: IN_SIGHT }, { signal });

/** Parameters of a view (see state.js); `pair` is the index of the other side, whose records come along. */
const wanted = ({ index, unique, both }, pair) => ({ index, unique, pair, both_weight: pair ? both : null });

/** Where the API answers a view that has words or a record. */
export function address(view, pair) {
  const { q, like, of } = view;
  return `search?${new URLSearchParams(Object.entries({ q, like, of, ...wanted(view, pair) }).filter(([, value]) => value))}`;
}

/** One page of hits for a view. */
export function search(view, pair, offset, signal) {
  const page = { ...wanted(view, pair), k: PAGE, offset, thumbnails: offset ? null : IN_SIGHT };
  if (view.file) return ask("search", page, { method: "POST", body: view.file, headers: { "Content-Type": "application/octet-stream" }, signal });
  return ask("search", { q: view.q, like: view.like, of: view.of, ...page }, { signal });
}

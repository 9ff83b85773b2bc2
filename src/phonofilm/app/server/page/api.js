// What the page asks the server. Every refusal becomes an Error whose message is a sentence.
let token = null;

export async function session() {
  const found = await ask("/session");
  if (!found.known && !found.needs_key) return { ...found, ...(await logIn(null)) };
  token = found.token;
  return found;
}

export async function logIn(key) {
  const found = await ask("/session", { method: "POST", body: JSON.stringify({ key }), json: true });
  token = found.token;
  return { ...found, known: true };
}

// What a WebSocket says first, since it cannot send a header.
export const csrf = () => token ?? "";

export async function ask(path, { method = "GET", body = null, json = false } = {}) {
  const headers = {};
  if (json) headers["Content-Type"] = "application/json";
  if (method !== "GET" && token) headers["X-CSRF-Token"] = token;
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, credentials: "same-origin" });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const text = await answer.text();
  let value = null;
  try { value = JSON.parse(text); } catch { /* not JSON */ }
  if (!answer.ok) throw new Error(sentence(value?.error?.message ?? `The server answers ${answer.status}.`));
  return value;
}

export const post = (path, values) => ask(path, { method: "POST", body: JSON.stringify(values), json: true });

export function send(path, values, files) {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) if (value !== "" && value != null) form.append(name, value);
  for (const [name, file] of Object.entries(files)) if (file) form.append(name, file);
  return ask(path, { method: "POST", body: form });
}

export const content = (id, variant) => `/v1/videos/${id}/content?variant=${variant}`;

export function sentence(text) {
  const said = String(text).trim();
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?…]$/.test(said) ? "" : ".");
}

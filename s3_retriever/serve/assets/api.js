// Requests to this server, and to no other.
const KEY = "s3-retriever-token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname);
}

export function useToken(token) {
  sessionStorage.setItem(KEY, token);
}

function headers(more) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...more, Authorization: "Bearer " + token } : more;
}

async function checked(reply) {
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => ({}));
  const error = new Error(problem.error || `the server answers ${reply.status}`);
  error.status = reply.status;
  throw error;
}

export async function get(path) {
  return (await checked(await fetch(path, { headers: headers({}) }))).json();
}

async function send(path, body, accept, signal) {
  const more = { "Content-Type": "application/json", Accept: accept };
  const request = { method: "POST", headers: headers(more), body: JSON.stringify(body), signal };
  return checked(await fetch(path, request));
}

export async function post(path, body, signal) {
  return (await send(path, body, "application/json", signal)).json();
}

// Server-sent events, each as [name, data].
export async function* events(path, body, signal) {
  const reply = await send(path, body, "text/event-stream", signal);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const name = /^event: (.*)$/m.exec(part);
      const data = /^data: (.*)$/m.exec(part);
      if (data) yield [name ? name[1] : "message", JSON.parse(data[1])];
    }
  }
}

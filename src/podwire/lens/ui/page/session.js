// The session's token, and the questions asked with it.
// It comes in the address' fragment, which no server is sent, and goes into this tab's storage.

const KEY = "podwire-token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname);
}

const headers = () => ({ "x-podwire-token": sessionStorage.getItem(KEY) ?? "" });

/** JSON of an address below /api/; throws an Error in the server's words. */
export async function ask(path, query = {}) {
  let answer;
  try {
    answer = await fetch(`/api/${path}?${new URLSearchParams(query)}`, { headers: headers() });
  } catch {
    throw new Error("The server does not answer: is `podwire ui` still running?");
  }
  if (answer.status === 401) throw new Error(await answer.text());
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `The server answered ${answer.status}.`);
  return body;
}

/**
 * Server-sent events of /api/events, read with fetch, for an EventSource sends no header.
 * hear(event, value) for each; ended(words) when it is over for now. Returns what stops it.
 */
export function listen(query, hear, ended) {
  const stop = new AbortController();
  let timer;
  const go = async () => {
    try {
      const answer = await fetch(`/api/events?${new URLSearchParams(query)}`, {
        headers: headers(), signal: stop.signal,
      });
      if (!answer.ok) {
        const text = await answer.text();
        ended(text.startsWith("{") ? JSON.parse(text).error : text, answer.status);
        if (answer.status === 401) return;
      } else {
        await read(answer.body, hear);
        ended("The server has ended.", 0);
      }
    } catch {
      if (stop.signal.aborted) return;
      ended("The server does not answer: start `podwire ui` again.", 0);
    }
    if (!stop.signal.aborted) timer = setTimeout(go, 1500);
  };
  go();
  return () => { stop.abort(); clearTimeout(timer); };
}

async function read(body, hear) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parts.push(value);
    if (!value.includes("\n")) continue;
    const events = parts.splice(0).join("").split("\n\n");
    parts.push(events.pop());
    for (const event of events) tell(event, hear);
  }
}

function tell(event, hear) {
  const lines = event.split("\n");
  const field = (name) => lines.find((one) => one.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field("data");
  if (data !== undefined) hear(field("event"), JSON.parse(data));
}

/* What the page asks of the server. */
import { text } from "./strings.js";

let key = "";
/** Use this API key from now on. */
export function setKey(value) { key = value; }

/** An error with a sentence for people; `expired`: the server no longer holds the picture. */
export class Failure extends Error {
  constructor(message, status = 0) { super(message); this.status = status; this.expired = status === 404; }
}

/** Return what the server offers and its limits. */
export async function settings() {
  return (await ask("GET", "/page/settings.json")).json();
}

/** Send a picture; `progress` gets the bytes that were sent. Returns the facts, with `id` and the mask. */
export function begin(file, options, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/sessions");
    if (key) request.setRequestHeader("X-Api-Key", key);
    request.upload.onprogress = event => progress(event.loaded, event.total);
    request.onerror = () => reject(new Failure(text("offline")));
    request.onload = () => {
      const answer = parse(request.responseText);
      if (request.status === 200) resolve(answer);
      else reject(new Failure(answer.message ?? request.statusText, request.status));
    };
    request.send(form(options, typeof file === "string" ? { url: file } : { image: file }));
  });
}

/** Ask for another result of a held picture. Returns the facts, or with `format` a Blob. */
export async function change(id, options, mask, format) {
  const accept = format ? "image/*" : "application/json";
  const body = form({ ...options, ...(format ? { format } : {}) }, mask ? { mask } : {});
  const answer = await ask("POST", `/v1/sessions/${id}`, { body, headers: { Accept: accept } });
  return format ? answer.blob() : answer.json();
}

/** Let the server forget a picture. */
export function forget(id) {
  ask("DELETE", `/v1/sessions/${id}`).catch(() => {});
}

async function ask(method, path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, ...options, headers: { ...options.headers, ...(key ? { "X-Api-Key": key } : {}) } });
  } catch {
    throw new Failure(text("offline"));
  }
  if (answer.ok) return answer;
  throw new Failure(parse(await answer.text()).message ?? answer.statusText, answer.status);
}

function form(options, files) {
  const data = new FormData();
  for (const [name, value] of Object.entries(options)) {
    for (const each of Array.isArray(value) ? value : [value]) data.append(name, each);
  }
  for (const [name, file] of Object.entries(files)) data.append(name, file);
  return data;
}

function parse(words) {
  try { return JSON.parse(words); } catch { return {}; }
}

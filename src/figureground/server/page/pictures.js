/* The queue of pictures: what is sent to the server, and the masks that come back. */
import * as api from "./api.js";
import { refresh } from "./finish.js";
import { Mask, canvas } from "./mask.js";
import { begun, bytes, drawQueue, ended, update } from "./show.js";
import { $, app, items, view } from "./state.js";
import { text } from "./strings.js";
import { cover } from "./view.js";

const AT_ONCE = 1;

export function addFiles(files) {
  const added = [...files].map(file => ({ file, name: file.name || "picture.png", state: "waiting", points: [], box: null, number: ++app.number }));
  for (const item of added) {
    const limit = app.server?.max_bytes ?? Infinity;
    if (item.file.size > limit) {
      item.state = "large";
      item.error = text("large", bytes(item.file.size), bytes(limit));
    }
    items.push(item);
    preview(item);
  }
  if (added.length && (!app.current || items.length === added.length)) select(added[0]);
  update();
  work();
}

/** Add a picture by its address, which the server fetches. */
export function addAddress(address) {
  const item = { file: address, name: address.split("/").pop().split("?")[0] || "picture", state: "waiting", points: [], box: null, number: ++app.number, previewed: true };
  items.push(item);
  select(item);
  work();
}

async function preview(item) {
  try {
    item.image = await createImageBitmap(item.file, { imageOrientation: "from-image" });
    const small = canvas(120, 120);
    cover(small.getContext("2d"), item.image, 0, 0, 120, 120);
    item.thumbnail = small.toDataURL("image/jpeg", 0.8);
  } catch {
    item.image = null;
  }
  item.previewed = true;
  drawQueue();
  if (item === app.current) select(item);
}

/** Process what waits, a few at a time, the picture that is shown first. */
export function work() {
  if (!app.server) return; // `start` calls it again when the settings have arrived
  while (items.filter(item => ["uploading", "working"].includes(item.state)).length < AT_ONCE) {
    const next = (app.current?.state === "waiting" && app.current) || items.find(item => item.state === "waiting");
    if (!next) return;
    separate(next);
  }
}

async function separate(item) {
  item.state = "uploading";
  item.error = "";
  item.since = performance.now();
  item.sent = [0, item.file.size ?? 0];
  update();
  try {
    const wanted = JSON.stringify(maskOptions(item));
    const facts = await api.begin(item.file, maskOptions(item), (sent, total) => {
      item.sent = [sent, total];
      item.state = sent >= total ? "working" : "uploading";
      update();
    });
    item.id = facts.id;
    await receive(item, facts);
    item.asked = wanted;
  } catch (error) {
    item.state = "failed";
    item.error = error.message;
  }
  if (item === app.current) refresh();
  update();
  work();
}

/** Take the mask and the facts of an answer. */
async function receive(item, facts) {
  while (!item.previewed) await new Promise(resolve => setTimeout(resolve, 10));
  const png = new Blob([Uint8Array.from(atob(facts.files.mask.data), letter => letter.charCodeAt(0))], { type: "image/png" });
  item.facts = facts;
  item.took = (performance.now() - item.since) / 1000;
  if (!item.image) item.image = await createImageBitmap(png);
  item.mask ??= new Mask(item.image, facts.width, facts.height);
  await item.mask.load(png);
  item.mask.ready = true;
  item.state = facts.found || item.mask.edited ? "done" : "empty";
}

export function select(item) {
  if (!items.includes(item)) return;
  app.current = item;
  view.show(item);
  refresh();
  update();
}

export function remove(item) {
  const place = items.indexOf(item);
  items.splice(place, 1);
  if (item.id) api.forget(item.id);
  if (item === app.current) {
    app.current = null;
    view.show(null);
    if (items.length) select(items[Math.min(place, items.length - 1)]);
  }
  update();
}

/** What the mask depends on. */
export function maskOptions(item) {
  const options = { view: "mask", method: $("method").value, refiner: $("refiner").value };
  if (app.server.methods.find(row => row.name === options.method).qualities) options.quality = $("quality").value;
  if (+$("feather").value) options.feather = `${$("feather").value / 5}%`;
  if (+$("shift").value) options[+$("shift").value > 0 ? "grow" : "shrink"] = `${Math.abs($("shift").value) / 5}%`;
  const places = kind => item.points.filter(point => point.keep === kind).map(({ x, y }) => `${x},${y}`);
  if (places(true).length) options.point = places(true);
  if (places(false).length) options.not_point = places(false);
  if (item.box) options.box = item.box.map(Math.round).join(",");
  return options;
}

/** Ask for the mask anew after its options or a correction changed; the last mask stays until the next one is there. */
export async function again(item = app.current) {
  if (!item?.id || !["done", "empty", "failed"].includes(item.state)) return;
  const options = maskOptions(item), wanted = JSON.stringify(options);
  if (wanted === item.asked) return;
  item.asked = wanted;
  item.since = performance.now();
  begun(item, "changing");
  try {
    const facts = await held(item, () => api.change(item.id, options));
    if (item.asked === wanted) await receive(item, facts);
    item.error = "";
  } catch (error) {
    if (item.asked === wanted) item.error = error.message;
  }
  ended(item);
  if (item === app.current) refresh();
  update();
}

/** Run a request; a picture that the server has given up is sent again first. */
export async function held(item, request) {
  try {
    return await request();
  } catch (error) {
    if (!error.expired) throw error;
    const facts = await api.begin(item.file, { view: "mask", method: $("method").value }, () => {});
    item.id = facts.id;
    return request();
  }
}

/* The page: its state, what users do, and what the server is asked for. */
import * as api from "./api.js";
import { icon } from "./icons.js";
import { Mask, canvas } from "./mask.js";
import { LANGUAGES, setLanguage, text } from "./strings.js";
import { View, cover } from "./view.js";
import { zip } from "./zip.js";

const $ = id => document.getElementById(id);
const BACKGROUNDS = ["none", "white", "black", "gray", "color", "behind", "blur"];
const CROPS = {
  original: {}, subject: { crop: true }, margin: { crop: true, margin: "8%" }, square: { crop: true, margin: "8%", square: true },
  shop: { canvas: "2000x2000", scale: "84%" },
};
const QUALITIES = ["fast", "balanced", "best"], REFINERS = ["auto", "clean", "guided", "none"];
const KEYS = [
  ["O", "k_open"], ["V", "k_paste"], ["1 – 9", "k_queue"], ["K", "k_keep"], ["D", "k_drop"], ["B", "k_box"], ["R", "k_restore"], ["E", "k_erase"],
  ["[ ]", "k_brush"], ["Z ⇧Z", "k_undo"], ["0", "k_fit"], ["+ −", "k_zoom"], ["", "k_pan"], ["C", "k_compare"], ["⏎", "k_download"], ["?", "k_help"], ["↑ ↓ ← →", "k_click"],
];
const BUSY_AFTER = 300, AT_ONCE = 1;

const items = [];
const view = new View($("view"), $("slider"));
let current = null, server = null, tool = "keep", background = "none", color = "#4f86c6", behind = null, pointer = null, number = 0;

/* ── pictures ── */

function addFiles(files) {
  const added = [...files].map(file => ({ file, name: file.name || "picture.png", state: "waiting", points: [], box: null, number: ++number }));
  for (const item of added) {
    const limit = server?.max_bytes ?? Infinity;
    if (item.file.size > limit) {
      item.state = "large";
      item.error = text("large", megabytes(item.file.size), megabytes(limit));
    }
    items.push(item);
    preview(item);
  }
  if (added.length && (!current || items.length === added.length)) select(added[0]);
  update();
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
  if (item === current) select(item);
}

/** Process what waits, a few at a time, the picture that is shown first. */
function work() {
  while (items.filter(item => ["uploading", "working"].includes(item.state)).length < AT_ONCE) {
    const next = (current?.state === "waiting" && current) || items.find(item => item.state === "waiting");
    if (!next) return;
    process(next);
  }
}

async function process(item) {
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
  if (item === current) refresh();
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

function select(item) {
  if (!items.includes(item)) return;
  current = item;
  view.show(item);
  refresh();
  update();
}

function remove(item) {
  const place = items.indexOf(item);
  items.splice(place, 1);
  if (item.id) api.forget(item.id);
  if (item === current) {
    current = null;
    view.show(null);
    if (items.length) select(items[Math.min(place, items.length - 1)]);
  }
  update();
}

/* ── options ── */

/** What the mask depends on. */
function maskOptions(item) {
  const options = { view: "mask", method: $("method").value, refiner: $("refiner").value };
  if (server.methods.find(row => row.name === options.method).qualities) options.quality = $("quality").value;
  if (+$("feather").value) options.feather = `${$("feather").value / 5}%`;
  if (+$("shift").value) options[+$("shift").value > 0 ? "grow" : "shrink"] = `${Math.abs($("shift").value) / 5}%`;
  const places = kind => item.points.filter(point => point.keep === kind).map(({ x, y }) => `${x},${y}`);
  if (places(true).length) options.point = places(true);
  if (places(false).length) options.not_point = places(false);
  if (item.box) options.box = item.box.map(Math.round).join(",");
  return options;
}

/** What is done with the cut-out. */
function finishOptions(withColor) {
  const options = { view: "cutout", ...CROPS[$("crop").value] };
  if ($("shadow").checked) options.shadow = "drop";
  if ($("outline").checked) options.outline = "1%:white";
  if (background === "blur") options.background = "blur";
  else if (withColor && plain()) options.background = plain();
  return options;
}

function plain() {
  return { white: "#ffffff", black: "#000000", gray: "#d7dcdf", color }[background] ?? null;
}

/** Whether the server has to draw what is shown. */
function needsServer() {
  return $("shadow").checked || $("outline").checked || $("crop").value !== "original" || background === "blur";
}

/** Ask for the mask anew after its options or a correction changed; the last mask stays until the next one is there. */
async function again(item = current) {
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
  if (item === current) refresh();
  update();
}

/** Run a request; a picture that the server has given up is sent again first. */
async function held(item, request) {
  try {
    return await request();
  } catch (error) {
    if (!error.expired) throw error;
    const facts = await api.begin(item.file, { view: "mask", method: $("method").value }, () => {});
    item.id = facts.id;
    return request();
  }
}

let turn = 0;
/** Show the picture as the options say: from layers here, or drawn by the server. */
async function refresh() {
  const item = current, mine = ++turn;
  view.back = plain() ?? (background === "behind" ? behind : null);
  if (!item?.mask?.ready) { view.finish(null); return; }
  if (!needsServer()) { view.finish(null); return; }
  begun(item, "changing");
  try {
    const blob = await render(item, "png");
    const image = await createImageBitmap(blob);
    if (mine === turn && item === current) view.finish(image); else image.close();
    item.error = "";
  } catch (error) {
    item.error = error.message;
  }
  ended(item);
  update();
}

/** Return the finished picture as a file. */
async function render(item, format) {
  if (background === "behind" && behind && !needsServer()) return layers(item, format);
  const edited = item.mask.edited ? await item.mask.png() : null;
  const adjust = edited ? {} : maskOptions(item);
  const options = { ...adjust, ...finishOptions(true), method: $("method").value };
  const blob = await held(item, () => api.change(item.id, options, edited, format));
  if (background !== "behind" || !behind) return blob;
  const image = await createImageBitmap(blob), made = canvas(image.width, image.height), context = made.getContext("2d");
  cover(context, behind, 0, 0, made.width, made.height);
  context.drawImage(image, 0, 0);
  return encoded(made, format);
}

/** Return the cut-out before a picture, put together here: other people's pictures are not sent. */
function layers(item, format) {
  const made = canvas(item.mask.width, item.mask.height), context = made.getContext("2d");
  cover(context, behind, 0, 0, made.width, made.height);
  context.drawImage(item.mask.cut, 0, 0);
  return encoded(made, format);
}

function encoded(made, format) {
  const type = { jpg: "image/jpeg", webp: "image/webp" }[format] ?? "image/png";
  return new Promise(resolve => made.toBlob(resolve, type, 0.92));
}

/** Note that a request begins; several may be under way, and the last that ends takes the note away. */
function begun(item, what) {
  item.pending = (item.pending ?? 0) + 1;
  item.doing = what;
  clearTimeout(item.wait);
  item.wait = setTimeout(() => { item.slow = true; update(); }, BUSY_AFTER);
  update();
}

function ended(item) {
  if (--item.pending) return;
  clearTimeout(item.wait);
  item.doing = item.slow = null;
}

/* ── download ── */

async function download() {
  if (!current?.mask?.ready) return;
  const item = current;
  begun(item, "rendering");
  try {
    const format = $("format").value, blob = await render(item, format);
    const name = `${stem(item)}.cutout.${ending(blob, format)}`;
    save(blob, name);
    item.error = "";
    say(text("saved", name));
  } catch (error) {
    item.error = error.message;
  }
  ended(item);
  update(true);
}

async function downloadAll() {
  const files = [], ready = items.filter(item => item.mask?.ready);
  for (const item of ready) {
    begun(item, "rendering");
    try {
      const format = $("format").value, blob = await render(item, format);
      files.push([`${stem(item)}.cutout.${ending(blob, format)}`, blob]);
    } catch (error) {
      item.error = error.message;
    }
    ended(item);
  }
  if (files.length) save(await zip(files), "figureground.zip");
  update();
  say(text("zipped", files.length, items.length));
}

function stem(item) { return item.name.replace(/\.[^.]*$/, "") || "picture"; }
function ending(blob, format) { return blob.type === "image/png" ? "png" : format; }

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/* ── what is shown ── */

function megabytes(bytes) { return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0); }

function say(words, wrong = false) {
  if ($("status").textContent !== words) $("status").textContent = words;
  $("status").classList.toggle("wrong", wrong);
}

function statusOf(item) {
  if (!item) return server ? text("ready") : "";
  if (item.error) return item.state === "large" ? item.error : text("failed", item.error);
  if (item.doing) return text(item.doing);
  switch (item.state) {
    case "uploading": return text("uploading", megabytes(item.sent[0]), megabytes(item.sent[1]));
    case "waiting": return text("waiting", items.slice(0, items.indexOf(item)).filter(each => ["waiting", "uploading", "working"].includes(each.state)).length);
    case "working": return text("working");
    case "empty": return text("nothing");
    default: {
      if (item.mask.edited && !item.facts.found) return text("drawn");
      const certainty = item.facts.certainty == null ? "" : ` · ${text("certainty", item.facts.certainty.toFixed(2))}`;
      return `${text("found", Math.round(100 * item.facts.coverage))}${certainty} · ${text("seconds", item.took.toFixed(2))}`;
    }
  }
}

function update(quietly = false) {
  const any = items.length > 0;
  document.querySelector("main").classList.toggle("blank", !any);
  $("empty").hidden = any;
  $("viewer").hidden = $("tools").hidden = $("controls").hidden = $("format").hidden = !any;
  $("all").hidden = items.filter(item => item.mask?.ready).length < 2;
  $("download").disabled = !current?.mask?.ready;
  $("undo").disabled = !current?.mask?.canUndo;
  $("redo").disabled = !current?.mask?.canRedo;
  $("size").textContent = current?.facts ? `${current.facts.width} × ${current.facts.height}` : "";
  if (!quietly || current?.error) say(statusOf(current), Boolean(current?.error));
  const busy = current && (current.slow || ["uploading", "working"].includes(current.state) && performance.now() - current.since > BUSY_AFTER);
  $("busy").hidden = !busy;
  if (busy) $("busy").querySelector("p").textContent = statusOf(current);
  else if (["uploading", "working"].includes(current?.state)) setTimeout(update, BUSY_AFTER);
  $("view").setAttribute("aria-label", current ? `${current.name}. ${statusOf(current)}` : text("picture"));
  drawNotice();
  drawQueue();
  drawDots();
}

function drawNotice() {
  const item = current, box = $("notice"), row = box.querySelector(".row");
  const state = item && (item.state === "empty" && !item.points.length && !item.box && !item.hush ? "empty" : ["failed", "large"].includes(item.state) ? item.state : null);
  box.hidden = !state;
  if (!state) return;
  if (box.dataset.for === `${item.number}${state}${item.error}`) return;
  box.dataset.for = `${item.number}${state}${item.error}`;
  box.querySelector("p").textContent = statusOf(item);
  row.replaceChildren();
  if (state === "empty") {
    for (const [key, name] of [["tryBox", "box"], ["tryKeep", "keep"]]) {
      row.append(button(text(key), () => { item.hush = true; setTool(name); update(); }, key === "tryBox" ? "primary" : ""));
    }
  } else if (state === "failed") {
    row.append(button(text("retry"), () => { item.state = "waiting"; update(); work(); }, "primary"));
  } else row.append(button(text("remove", item.name), () => remove(item)));
}

function button(words, act, kind = "") {
  const made = document.createElement("button");
  made.textContent = words;
  made.className = kind;
  made.onclick = act;
  return made;
}

function drawQueue() {
  const list = $("queue").querySelector("ul");
  while (list.children.length > items.length) list.lastChild.remove();
  items.forEach((item, place) => {
    let row = list.children[place];
    if (!row) {
      row = document.createElement("li");
      const open = document.createElement("button"), image = document.createElement("img"), state = document.createElement("span"), away = document.createElement("button");
      image.alt = "";
      state.className = "state";
      away.className = "remove";
      away.append(icon("close"));
      open.append(image, state);
      row.append(open, away);
      list.append(row);
    }
    const [open, away] = row.children;
    open.onclick = () => select(item);
    away.onclick = () => remove(item);
    away.setAttribute("aria-label", text("remove", item.name));
    if (item.thumbnail && open.firstChild.src !== item.thumbnail) open.firstChild.src = item.thumbnail;
    if (!item.thumbnail) open.firstChild.removeAttribute("src");
    open.firstChild.hidden = !item.thumbnail;
    open.setAttribute("aria-current", item === current);
    open.setAttribute("aria-label", `${item.name}. ${statusOf(item)}`);
    open.title = item.name;
    if (row.className !== item.state) {
      row.className = item.state;
      const name = { uploading: "working", large: "failed", empty: "help" }[item.state] ?? item.state;
      open.lastChild.replaceChildren(icon(name));
    }
  });
}

function drawDots() {
  const layer = $("dots"), points = view.result || view.before ? [] : current?.points ?? [];
  while (layer.children.length > points.length) layer.lastChild.remove();
  points.forEach((point, place) => {
    let dot = layer.children[place];
    if (!dot) { dot = document.createElement("button"); layer.append(dot); }
    const [x, y] = view.stage(point.x, point.y);
    dot.style.left = `${x}px`;
    dot.style.top = `${y}px`;
    dot.className = point.keep ? "keep" : "drop";
    dot.textContent = place + 1;
    dot.setAttribute("aria-label", text("point", place + 1));
    dot.onkeydown = event => { if (["Delete", "Backspace"].includes(event.key)) { event.preventDefault(); dropPoint(point); } };
    dot.onpointerdown = event => drag(event, (px, py) => { [point.x, point.y] = inside(...view.place(px, py)); drawDots(); }, moved => moved ? again() : dropPoint(point));
  });
  const box = $("frame"), shape = current?.box;
  box.hidden = !shape || Boolean(view.result) || view.before;
  if (!shape) return;
  const [left, top] = view.stage(shape[0], shape[1]), [right, bottom] = view.stage(shape[2], shape[3]);
  Object.assign(box.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
}

function dropPoint(point) {
  current.points = current.points.filter(each => each !== point);
  drawDots();
  again();
}

/* ── the stage ── */

function setTool(name) {
  tool = name;
  for (const each of document.querySelectorAll("[data-tool]")) each.setAttribute("aria-checked", each.dataset.tool === name);
  $("hint").textContent = text(`hint_${name}`);
  $("brush").hidden = !isBrush();
  $("cursor").hidden = true;
  view.element.style.cursor = isBrush() ? "none" : "crosshair";
}

function isBrush() { return tool === "restore" || tool === "erase"; }

function inside(x, y) {
  const { width, height } = current.mask;
  return [Math.min(width - 1, Math.max(0, Math.round(x))), Math.min(height - 1, Math.max(0, Math.round(y)))];
}

/** Follow the pointer until it is released; `end` gets whether it moved. */
function drag(event, move, end) {
  if (event.button > 0) return;
  event.preventDefault();
  event.stopPropagation();
  const box = $("viewer").getBoundingClientRect(), start = [event.clientX, event.clientY], target = event.currentTarget;
  let moved = false;
  target.setPointerCapture?.(event.pointerId);
  target.onpointermove = next => {
    moved ||= Math.hypot(next.clientX - start[0], next.clientY - start[1]) > 3;
    if (moved) move(next.clientX - box.left, next.clientY - box.top, next);
  };
  target.onpointerup = target.onpointercancel = () => {
    target.onpointermove = target === view.element ? hover : null;
    target.onpointerup = target.onpointercancel = null;
    end(moved);
  };
}

let space = false;
const fingers = new Map();

function press(event) {
  fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  if (!current?.mask?.ready) return;
  view.element.focus({ preventScroll: true });
  const at = [event.offsetX, event.offsetY];
  if (space || event.button === 1 || view.result) {
    let last = at;
    drag(event, (x, y) => { view.pan(x - last[0], y - last[1]); last = [x, y]; drawDots(); }, () => {});
  } else if (isBrush()) paint(event, at);
  else if (tool === "box") {
    const [x, y] = inside(...view.place(...at));
    drag(event, (px, py) => { const [a, b] = inside(...view.place(px, py)); current.box = [Math.min(x, a), Math.min(y, b), Math.max(x, a) + 1, Math.max(y, b) + 1]; drawDots(); },
      moved => { if (!moved) current.box = null; drawDots(); again(); });
  } else drag(event, () => {}, moved => { if (!moved) click(...at); });
}

function click(stageX, stageY) {
  const [x, y] = view.place(stageX, stageY), { width, height } = current.mask;
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  current.points.push({ x: Math.round(x), y: Math.round(y), keep: tool !== "drop" });
  drawDots();
  again();
}

function paint(event, at) {
  const { mask } = current, stroke = { erase: tool === "erase", radius: $("brush-size").value / 2 / view.scale, hardness: $("brush-hardness").value / 100 };
  mask.begin(stroke);
  const dab = (x, y) => { const box = mask.paint(...view.place(x, y)); if (box) view.draw(box); };
  dab(...at);
  drag(event, (x, y, next) => { dab(x, y); hover(next); }, () => { mask.end(); if (current.state === "empty") current.state = "done"; refresh(); update(); });
}

function hover(event) {
  pointer = [event.offsetX, event.offsetY];
  const ring = $("cursor"), size = +$("brush-size").value;
  ring.hidden = !isBrush() || Boolean(view.result) || !current?.mask?.ready;
  Object.assign(ring.style, { width: `${size}px`, height: `${size}px`, left: `${pointer[0] - size / 2}px`, top: `${pointer[1] - size / 2}px` });
}

function step(redo) {
  if (!current?.mask || !(redo ? current.mask.redo() : current.mask.undo())) return;
  view.draw();
  refresh();
  update();
}

function compare(on) {
  view.before = on;
  $("before").setAttribute("aria-pressed", on);
  view.draw();
  drawDots();
}

/* ── keys ── */

function onKey(event) {
  if (event.target.matches("input, select, textarea") && event.key !== "Escape") {
    if (!event.target.matches("[type=range], [type=checkbox]")) return;
  }
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "z") { event.preventDefault(); step(event.shiftKey); }
    return;
  }
  if (event.altKey || $("keys").open) return;
  if (event.key === " " && event.target === view.element) { event.preventDefault(); if (!event.repeat) space = true; return; }
  if (event.key === "Enter" && event.target.matches("button, a, select, input")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = {
    o: () => $("files").click(), k: () => setTool("keep"), d: () => setTool("drop"), b: () => setTool("box"), e: () => setTool("erase"), r: () => setTool("restore"),
    "[": () => brush(0.8), "]": () => brush(1.25), z: () => step(event.shiftKey), 0: () => view.fit(), "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8), "−": () => view.zoom(0.8),
    c: () => compare(!view.before), Enter: download, "?": help, v: pasteFromClipboard,
  }[key];
  if (/^[1-9]$/.test(key)) { if (items[key - 1]) select(items[key - 1]); }
  else if (key.startsWith("Arrow") && event.target === view.element) nudge(key, event);
  else if (act) act(); else return;
  event.preventDefault();
}

/** Move a pointer by keys, so that points can be set without a mouse. */
function nudge(key, event) {
  pointer ??= [view.width / 2, view.height / 2];
  const by = event.shiftKey ? 32 : 8;
  pointer = [pointer[0] + by * ((key === "ArrowRight") - (key === "ArrowLeft")), pointer[1] + by * ((key === "ArrowDown") - (key === "ArrowUp"))];
  Object.assign($("cursor").style, { width: "16px", height: "16px", left: `${pointer[0] - 8}px`, top: `${pointer[1] - 8}px` });
  $("cursor").hidden = false;
}

function onKeyUp(event) {
  if (event.key !== " " || !space) return;
  space = false;
  if (event.target !== view.element || !current?.mask?.ready || view.result || !pointer) return;
  if (isBrush()) {
    current.mask.begin({ erase: tool === "erase", radius: $("brush-size").value / 2 / view.scale, hardness: $("brush-hardness").value / 100 });
    current.mask.paint(...view.place(...pointer));
    current.mask.end();
    view.draw();
    update();
  } else if (tool !== "box") click(...pointer);
}

function brush(factor) {
  $("brush-size").value = Math.round($("brush-size").value * factor + (factor > 1 ? 1 : -1));
}

function help() { $("keys").showModal(); }

async function pasteFromClipboard() {
  try {
    for (const each of await navigator.clipboard.read()) {
      const type = each.types.find(name => name.startsWith("image/"));
      if (type) addFiles([new File([await each.getType(type)], `pasted.${type.slice(6)}`, { type })]);
    }
  } catch { /* the browser asks, and the answer may be no */ }
}

/* ── set-up ── */

function translate() {
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  for (const each of document.querySelectorAll("[data-label]")) { each.setAttribute("aria-label", text(each.dataset.label)); if (each.tagName === "BUTTON") each.title = text(each.dataset.label); }
  for (const each of document.querySelectorAll("[data-tool]")) each.replaceChildren(icon(each.dataset.tool), text(each.dataset.tool === "drop" ? "dropPart" : each.dataset.tool));
  for (const name of QUALITIES) $("quality").querySelector(`[value=${name}]`).textContent = text(name);
  for (const name of Object.keys(CROPS)) $("crop").querySelector(`[value=${name}]`).textContent = text(`crop_${name}`);
  for (const name of BACKGROUNDS) { const each = $("background").querySelector(`.${name === "color" ? "any" : name}`); each.setAttribute("aria-label", text(name)); each.title = text(name); }
  const list = $("keys").querySelector("dl");
  list.replaceChildren();
  for (const [keys, what] of KEYS) {
    const term = document.createElement("dt"), about = document.createElement("dd");
    for (const each of (keys || `${text("space")} ${text("drag")}`).split(" ")) { const cap = document.createElement("kbd"); cap.textContent = each; if (each === "–") term.append(" – "); else term.append(cap, " "); }
    about.textContent = text(what);
    list.append(term, about);
  }
  if (server) $("privacy").textContent = server.local ? text("local") : text("remote", location.host);
  setTool(tool);
  update();
}

function swatches() {
  for (const name of BACKGROUNDS) {
    const made = document.createElement("button");
    made.className = name === "color" ? "any" : name;
    made.setAttribute("role", "radio");
    made.setAttribute("aria-checked", name === background);
    if (name === "behind") made.append(icon("image"));
    if (name === "blur") made.append(icon("blur"));
    made.onclick = () => { if (name === "behind") $("behind").click(); else { setBackground(name); if (name === "color") $("color").click(); } };
    $("background").append(made);
  }
}

function setBackground(name) {
  background = name;
  for (const each of $("background").children) each.setAttribute("aria-checked", each.className === (name === "color" ? "any" : name));
  refresh();
}

function options(select, names, chosen) {
  for (const name of names) { const each = new Option(name, name); select.append(each); }
  select.value = chosen;
}

function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  view.draw();
}

function remembered(name, value) {
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch { return null; }
}

function listen() {
  $("choose").onclick = $("add").onclick = () => $("files").click();
  $("camera").onclick = () => $("photo").click();
  for (const name of ["files", "photo"]) $(name).onchange = event => { addFiles(event.target.files); event.target.value = ""; };
  $("behind").onchange = async event => {
    try { behind = await createImageBitmap(event.target.files[0]); setBackground("behind"); } catch { say(text("unreadable"), true); }
    event.target.value = "";
  };
  $("color").oninput = event => { color = event.target.value; $("background").querySelector(".any").style.background = color; setBackground("color"); };
  $("address").onsubmit = event => { event.preventDefault(); addAddress($("url").value); };
  document.addEventListener("paste", event => { const files = [...event.clipboardData.files].filter(file => file.type.startsWith("image/")); if (files.length) addFiles(files); });
  let depth = 0;
  const over = on => { $("over").hidden = !on; };
  document.addEventListener("dragenter", event => { if (event.dataTransfer.types.includes("Files")) { depth++; over(true); } });
  document.addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) over(false); });
  document.addEventListener("dragover", event => event.preventDefault());
  document.addEventListener("drop", event => { event.preventDefault(); depth = 0; over(false); addFiles(event.dataTransfer.files); });
  for (const name of ["method", "quality", "refiner"]) $(name).onchange = () => again();
  for (const name of ["feather", "shift"]) $(name).onchange = () => again();
  for (const name of ["shadow", "outline", "crop"]) $(name).onchange = () => refresh();
  for (const each of document.querySelectorAll("[data-tool]")) each.onclick = () => setTool(each.dataset.tool);
  $("plus").onclick = () => view.zoom(1.25);
  $("minus").onclick = () => view.zoom(0.8);
  $("fit").onclick = () => view.fit();
  $("undo").onclick = () => step(false);
  $("redo").onclick = () => step(true);
  $("before").onclick = () => compare(!view.before);
  $("download").onclick = download;
  $("all").onclick = downloadAll;
  $("help").onclick = help;
  $("api-key").onchange = event => api.setKey(event.target.value);
  document.querySelector(".key").onsubmit = event => event.preventDefault();
  $("theme").onclick = () => { const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; setTheme(remembered("theme", dark ? "light" : "dark") ?? (dark ? "light" : "dark")); };
  $("language").onchange = event => { setLanguage(event.target.value); remembered("language", event.target.value); translate(); };
  view.element.onpointerdown = press;
  view.element.onpointermove = hover;
  view.element.onpointerleave = () => { $("cursor").hidden = true; };
  view.element.addEventListener("wheel", event => { event.preventDefault(); view.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY); }, { passive: false });
  view.onmove = () => { $("zoom").textContent = `${Math.round(100 * view.scale)} %`; drawDots(); };
  $("slider").onpointerdown = event => drag(event, x => { const image = view.shown; view.split = Math.min(1, Math.max(0, (x - view.x) / (image.width * view.scale))); view.draw(); }, () => {});
  $("slider").onkeydown = event => { const by = { ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1 }[event.key]; if (by) { event.preventDefault(); event.stopPropagation(); view.split = Math.min(1, Math.max(0, view.split + by)); view.draw(); } };
  $("slider").firstElementChild.append(icon("compare"));
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", onKeyUp);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.draw());
  for (const [id, name] of [["theme", "theme"], ["help", "help"], ["minus", "minus"], ["plus", "plus"], ["undo", "undo"], ["redo", "redo"]]) $(id).append(icon(name));
  for (const each of document.querySelectorAll("[data-icon]")) each.append(icon(each.dataset.icon));
  $("add").firstElementChild.append(icon("plus"));
}

function addAddress(address) {
  const item = { file: address, name: address.split("/").pop().split("?")[0] || "picture", state: "waiting", points: [], box: null, number: ++number, previewed: true };
  items.push(item);
  select(item);
  work();
}

async function samples() {
  for (const name of server.samples) {
    const made = document.createElement("button"), image = document.createElement("img");
    image.src = `/page/${name}`;
    image.alt = name.replace(/\..*/, "");
    made.append(image);
    made.onclick = async () => addFiles([new File([await (await fetch(image.src)).blob()], name, { type: "image/jpeg" })]);
    $("samples").append(made);
  }
}

async function start() {
  setLanguage(remembered("language") ?? navigator.language.slice(0, 2));
  for (const [code, name] of Object.entries(LANGUAGES)) $("language").append(new Option(name, code));
  $("language").value = document.documentElement.lang;
  options($("quality"), QUALITIES, "balanced");
  options($("refiner"), REFINERS, "auto");
  options($("crop"), Object.keys(CROPS), "original");
  swatches();
  listen();
  setTheme(remembered("theme"));
  translate();
  try {
    server = await api.settings();
  } catch (error) {
    say(error.message, true);
    return;
  }
  options($("method"), server.methods.map(row => row.name), server.methods[0].name);
  $("address").hidden = !server.urls;
  document.querySelector(".key").hidden = !server.key;
  if (server.watch) new EventSource("/open");
  translate();
  requestIdleCallback(samples);
}

start();

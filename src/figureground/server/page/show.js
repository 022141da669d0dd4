/* What is shown beside the picture: status, notices, the queue, points and the box. */
import { icon } from "./icons.js";
import { remove, select, work, again } from "./pictures.js";
import { drag, inside, setTool } from "./stage.js";
import { $, app, items, view } from "./state.js";
import { text } from "./strings.js";

const BUSY_AFTER = 300;

export function bytes(count) { return count < 1e6 ? `${Math.ceil(count / 1e3)} kB` : `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`; }

export function say(words, wrong = false) {
  if ($("status").textContent !== words) $("status").textContent = words;
  $("status").classList.toggle("wrong", wrong);
}

function statusOf(item) {
  if (!item) return app.server ? text("ready") : "";
  if (item.error) return item.state === "large" ? item.error : text("failed", item.error);
  if (item.doing) return text(item.doing);
  switch (item.state) {
    case "uploading": return text("uploading", bytes(item.sent[0]), bytes(item.sent[1]));
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

export function update(quietly = false) {
  const any = items.length > 0;
  document.querySelector("main").classList.toggle("blank", !any);
  $("empty").hidden = any;
  $("viewer").hidden = $("tools").hidden = $("controls").hidden = $("format").hidden = !any;
  $("all").hidden = items.filter(item => item.mask?.ready).length < 2;
  $("download").disabled = !app.current?.mask?.ready;
  $("undo").disabled = !app.current?.mask?.canUndo;
  $("redo").disabled = !app.current?.mask?.canRedo;
  $("size").textContent = app.current?.facts ? `${app.current.facts.width} × ${app.current.facts.height}` : "";
  if (!quietly || app.current?.error) say(statusOf(app.current), Boolean(app.current?.error));
  const busy = app.current && (app.current.slow || ["uploading", "working"].includes(app.current.state) && performance.now() - app.current.since > BUSY_AFTER);
  $("busy").hidden = !busy;
  if (busy) $("busy").querySelector("p").textContent = statusOf(app.current);
  else if (["uploading", "working"].includes(app.current?.state)) setTimeout(update, BUSY_AFTER);
  $("view").setAttribute("aria-label", app.current ? `${app.current.name}. ${statusOf(app.current)}` : text("picture"));
  drawNotice();
  drawQueue();
  drawDots();
}

function drawNotice() {
  const item = app.current, box = $("notice"), row = box.querySelector(".row");
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

export function drawQueue() {
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
      const blank = document.createElement("span");
      blank.className = "mark";
      blank.append(icon("image"));
      open.append(image, blank, state);
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
    open.children[1].toggleAttribute("hidden", Boolean(item.thumbnail));
    open.setAttribute("aria-current", item === app.current);
    open.setAttribute("aria-label", `${item.name}. ${statusOf(item)}`);
    open.title = item.name;
    if (row.className !== item.state) {
      row.className = item.state;
      const name = { uploading: "working", large: "failed", empty: "help" }[item.state] ?? item.state;
      open.lastChild.replaceChildren(icon(name));
    }
  });
}

export function drawDots() {
  const layer = $("dots"), points = view.result || view.before ? [] : app.current?.points ?? [];
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
  const box = $("frame"), shape = app.current?.box;
  box.hidden = !shape || Boolean(view.result) || view.before;
  if (!shape) return;
  const [left, top] = view.stage(shape[0], shape[1]), [right, bottom] = view.stage(shape[2], shape[3]);
  Object.assign(box.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
}

function dropPoint(point) {
  app.current.points = app.current.points.filter(each => each !== point);
  drawDots();
  again();
}

/** Note that a request begins; several may be under way, and the last that ends takes the note away. */
export function begun(item, what) {
  item.pending = (item.pending ?? 0) + 1;
  item.doing = what;
  clearTimeout(item.wait);
  item.wait = setTimeout(() => { item.slow = true; update(); }, BUSY_AFTER);
  update();
}

export function ended(item) {
  if (--item.pending) return;
  clearTimeout(item.wait);
  item.doing = item.slow = null;
}

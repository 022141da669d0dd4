/* What the pointer does on the picture: points, the box, the brush, pan and zoom. */
import { refresh } from "./finish.js";
import { again } from "./pictures.js";
import { drawDots, update } from "./show.js";
import { $, app, view } from "./state.js";
import { text } from "./strings.js";

export function setTool(name) {
  app.tool = name;
  for (const each of document.querySelectorAll("[data-tool]")) each.setAttribute("aria-checked", each.dataset.tool === name);
  $("hint").textContent = text(`hint_${name}`);
  $("brush").hidden = !isBrush();
  $("cursor").hidden = true;
  view.element.style.cursor = isBrush() ? "none" : "crosshair";
}

export function isBrush() { return app.tool === "restore" || app.tool === "erase"; }

export function inside(x, y) {
  const { width, height } = app.current.mask;
  return [Math.min(width - 1, Math.max(0, Math.round(x))), Math.min(height - 1, Math.max(0, Math.round(y)))];
}

let stop = null;
/** Follow the pointer until it is released; `end` gets whether it moved, and whether a second finger ended it. */
export function drag(event, move, end) {
  if (event.button > 0 && event.button !== 1) return;
  event.preventDefault();
  event.stopPropagation();
  const box = $("viewer").getBoundingClientRect(), start = [event.clientX, event.clientY], target = event.currentTarget;
  let moved = false;
  target.setPointerCapture?.(event.pointerId);
  target.onpointermove = next => {
    moved ||= Math.hypot(next.clientX - start[0], next.clientY - start[1]) > 3;
    if (moved) move(next.clientX - box.left, next.clientY - box.top, next);
  };
  stop = (cancelled = false) => {
    stop = null;
    target.onpointermove = target === view.element ? hover : null;
    target.onpointerup = target.onpointercancel = null;
    end(moved, cancelled);
  };
  target.onpointerup = () => stop?.();
  target.onpointercancel = () => stop?.(true);
}

const fingers = new Map();

export function press(event) {
  fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  if (fingers.size === 2) { stop?.(true); pinch(); return; }
  if (fingers.size > 2 || !app.current?.mask?.ready) return;
  view.element.focus({ preventScroll: true });
  const at = [event.offsetX, event.offsetY];
  if (app.space || event.button === 1 || view.result) pan(event, at);
  else if (isBrush()) paint(event, at);
  else if (app.tool === "box") drawBox(event, at);
  else pan(event, at, () => click(...at));
}

export function lift(event) { fingers.delete(event.pointerId); }

/** Move the picture; a press that does not move is a click. */
function pan(event, at, clicked = () => {}) {
  let last = at;
  drag(event, (x, y) => { view.pan(x - last[0], y - last[1]); last = [x, y]; }, (moved, cancelled) => { if (!moved && !cancelled) clicked(); });
}

/** Zoom and move by two fingers. */
function pinch() {
  const between = () => {
    const [[ax, ay], [bx, by]] = fingers.values();
    return { x: (ax + bx) / 2, y: (ay + by) / 2, wide: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  };
  let last = between();
  view.element.onpointermove = event => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    const now = between();
    view.pan(now.x - last.x, now.y - last.y);
    view.zoom(now.wide / last.wide, now.x, now.y);
    last = now;
  };
  view.element.onpointerup = view.element.onpointercancel = () => {
    view.element.onpointermove = hover;
    view.element.onpointerup = view.element.onpointercancel = null;
  };
}

function drawBox(event, at) {
  const { current } = app, old = current.box, [x, y] = inside(...view.place(...at));
  drag(event, (px, py) => {
    const [a, b] = inside(...view.place(px, py));
    current.box = [Math.min(x, a), Math.min(y, b), Math.max(x, a) + 1, Math.max(y, b) + 1];
    drawDots();
  }, (moved, cancelled) => {
    if (cancelled) current.box = old; else if (!moved) current.box = null;
    drawDots();
    again();
  });
}

export function click(stageX, stageY) {
  const [x, y] = view.place(stageX, stageY), { width, height } = app.current.mask;
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  app.current.points.push({ x: Math.round(x), y: Math.round(y), keep: app.tool !== "drop" });
  drawDots();
  again();
}

/** Begin a stroke of the chosen brush. */
export function beginStroke() {
  app.current.mask.begin({ erase: app.tool === "erase", radius: $("brush-size").value / 2 / view.scale, hardness: $("brush-hardness").value / 100 });
}

function paint(event, at) {
  const { mask } = app.current;
  if (app.current.state === "empty") app.current.state = "done";
  beginStroke();
  const dab = (x, y) => { const box = mask.paint(...view.place(x, y)); if (box) view.draw(box); };
  dab(...at);
  drag(event, (x, y, next) => { dab(x, y); hover(next); }, (moved, cancelled) => {
    mask.end();
    if (cancelled) { mask.undo(); view.draw(); }
    refresh();
    update();
  });
}

export function hover(event) {
  app.pointer = [event.offsetX, event.offsetY];
  const ring = $("cursor"), size = +$("brush-size").value;
  ring.hidden = !isBrush() || Boolean(view.result) || !app.current?.mask?.ready;
  Object.assign(ring.style, { width: `${size}px`, height: `${size}px`, left: `${app.pointer[0] - size / 2}px`, top: `${app.pointer[1] - size / 2}px` });
}

export function step(redo) {
  if (!app.current?.mask || !(redo ? app.current.mask.redo() : app.current.mask.undo())) return;
  view.draw();
  refresh();
  update();
}

export function compare(on) {
  view.before = on;
  $("before").setAttribute("aria-pressed", on);
  view.draw();
  drawDots();
}

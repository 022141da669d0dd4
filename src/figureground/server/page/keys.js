/* What the keys do. */
import { download } from "./finish.js";
import { addFiles, select } from "./pictures.js";
import { update } from "./show.js";
import { beginStroke, click, compare, isBrush, setTool, step } from "./stage.js";
import { $, app, items, view } from "./state.js";

export const KEYS = [
  ["O", "k_open"], ["V", "k_paste"], ["1 – 9", "k_queue"], ["K", "k_keep"], ["D", "k_drop"], ["B", "k_box"], ["R", "k_restore"], ["E", "k_erase"],
  ["[ ]", "k_brush"], ["Z ⇧Z", "k_undo"], ["0", "k_fit"], ["+ −", "k_zoom"], ["", "k_pan"], ["C", "k_compare"], ["M", "k_look"], ["⏎", "k_download"], ["?", "k_help"], ["↑ ↓ ← →", "k_click"],
];

export function onKey(event) {
  if (event.target.matches("input, select, textarea") && event.key !== "Escape") {
    if (!event.target.matches("[type=range], [type=checkbox]")) return;
  }
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "z") { event.preventDefault(); step(event.shiftKey); }
    return;
  }
  if (event.altKey || $("keys").open) return;
  if (event.key === " " && event.target === view.element) { event.preventDefault(); if (!event.repeat) app.space = true; return; }
  if (event.key === "Enter" && event.target.matches("button, a, select, input")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = {
    o: () => $("files").click(), k: () => setTool("keep"), d: () => setTool("drop"), b: () => setTool("box"), e: () => setTool("erase"), r: () => setTool("restore"),
    "[": () => brush(0.8), "]": () => brush(1.25), z: () => step(event.shiftKey), 0: () => view.fit(), "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8), "−": () => view.zoom(0.8),
    c: () => compare(!view.before), m: nextLook, Enter: download, "?": help, v: pasteFromClipboard,
  }[key];
  if (/^[1-9]$/.test(key)) { if (items[key - 1]) select(items[key - 1]); }
  else if (key.startsWith("Arrow") && event.target === view.element) nudge(key, event);
  else if (act) act(); else return;
  event.preventDefault();
}

/** Move a pointer by keys, so that points can be set without a mouse. */
function nudge(key, event) {
  app.pointer ??= [view.width / 2, view.height / 2];
  const by = event.shiftKey ? 32 : 8;
  app.pointer = [app.pointer[0] + by * ((key === "ArrowRight") - (key === "ArrowLeft")), app.pointer[1] + by * ((key === "ArrowDown") - (key === "ArrowUp"))];
  Object.assign($("cursor").style, { width: "16px", height: "16px", left: `${app.pointer[0] - 8}px`, top: `${app.pointer[1] - 8}px` });
  $("cursor").hidden = false;
}

export function onKeyUp(event) {
  if (event.key !== " " || !app.space) return;
  app.space = false;
  if (event.target !== view.element || !app.current?.mask?.ready || view.result || !app.pointer) return;
  if (isBrush()) {
    if (app.current.state === "empty") app.current.state = "done";
    beginStroke();
    app.current.mask.paint(...view.place(...app.pointer));
    app.current.mask.end();
    view.draw();
    update();
  } else if (app.tool !== "box") click(...app.pointer);
}

/** Show the mask in the next way. */
function nextLook() {
  const select = $("look");
  select.selectedIndex = (select.selectedIndex + 1) % select.length;
  select.dispatchEvent(new Event("change"));
}

function brush(factor) {
  $("brush-size").value = Math.round($("brush-size").value * factor + (factor > 1 ? 1 : -1));
}

export function help() { $("keys").showModal(); }

async function pasteFromClipboard() {
  try {
    for (const each of await navigator.clipboard.read()) {
      const type = each.types.find(name => name.startsWith("image/"));
      if (type) addFiles([new File([await each.getType(type)], `pasted.${type.slice(6)}`, { type })]);
    }
  } catch { /* the browser asks, and the answer may be no */ }
}

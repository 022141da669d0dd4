/* The page: its controls, and what they do. */
import * as api from "./api.js";
import { CROPS, download, downloadAll, refresh } from "./finish.js";
import { icon } from "./icons.js";
import { KEYS, help, onKey, onKeyUp } from "./keys.js";
import { addAddress, addFiles, again, work } from "./pictures.js";
import { drawDots, say, update } from "./show.js";
import { compare, drag, hover, lift, press, setTool, step } from "./stage.js";
import { $, app, view } from "./state.js";
import { LANGUAGES, setLanguage, text } from "./strings.js";

const BACKGROUNDS = ["none", "white", "black", "gray", "color", "behind", "blur"];
const QUALITIES = ["fast", "balanced", "best"], REFINERS = ["auto", "clean", "guided", "none"], LOOKS = ["cutout", "overlay", "line", "mask"];

function translate() {
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  for (const each of document.querySelectorAll("[data-label]")) { each.setAttribute("aria-label", text(each.dataset.label)); if (each.tagName === "BUTTON") each.title = text(each.dataset.label); }
  for (const each of document.querySelectorAll("[data-tool]")) each.replaceChildren(icon(each.dataset.tool), text(each.dataset.tool === "drop" ? "dropPart" : each.dataset.tool));
  for (const name of QUALITIES) $("quality").querySelector(`[value=${name}]`).textContent = text(name);
  for (const name of Object.keys(CROPS)) $("crop").querySelector(`[value=${name}]`).textContent = text(`crop_${name}`);
  for (const name of LOOKS) $("look").querySelector(`[value=${name}]`).textContent = text(`look_${name}`);
  for (const name of BACKGROUNDS) { const each = $("background").querySelector(`.${name === "color" ? "any" : name}`); each.setAttribute("aria-label", text(name)); each.title = text(name); }
  const list = $("keys").querySelector("dl");
  list.replaceChildren();
  for (const [keys, what] of KEYS) {
    const term = document.createElement("dt"), about = document.createElement("dd");
    for (const each of (keys || `${text("space")} ${text("drag")}`).split(" ")) { const cap = document.createElement("kbd"); cap.textContent = each; if (each === "–") term.append(" – "); else term.append(cap, " "); }
    about.textContent = text(what);
    list.append(term, about);
  }
  if (app.server) $("privacy").textContent = app.server.local ? text("local") : text("remote", location.host);
  setTool(app.tool);
  update();
}

function swatches() {
  for (const name of BACKGROUNDS) {
    const made = document.createElement("button");
    made.className = name === "color" ? "any" : name;
    made.setAttribute("role", "radio");
    made.setAttribute("aria-checked", name === app.background);
    if (name === "behind") made.append(icon("image"));
    if (name === "blur") made.append(icon("blur"));
    made.onclick = () => { if (name === "behind") $("behind").click(); else { setBackground(name); if (name === "color") $("color").click(); } };
    $("background").append(made);
  }
}

function setBackground(name) {
  app.background = name;
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
    try { app.behind = await createImageBitmap(event.target.files[0]); setBackground("behind"); } catch { say(text("unreadable"), true); }
    event.target.value = "";
  };
  $("color").oninput = event => { app.color = event.target.value; $("background").querySelector(".any").style.background = app.color; setBackground("color"); };
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
  $("before").onclick = event => { if (event.pointerType !== "touch") compare(!view.before); };
  $("before").onpointerdown = event => { if (event.pointerType === "touch") compare(true); };
  for (const end of ["onpointerup", "onpointercancel", "onpointerleave"]) $("before")[end] = event => { if (event.pointerType === "touch") compare(false); };
  $("before").oncontextmenu = event => event.preventDefault();
  $("look").onchange = event => { view.style = event.target.value; view.draw(); };
  $("download").onclick = download;
  $("all").onclick = downloadAll;
  $("help").onclick = help;
  $("api-key").onchange = event => api.setKey(event.target.value);
  document.querySelector(".key").onsubmit = event => event.preventDefault();
  $("theme").onclick = () => { const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; setTheme(remembered("theme", dark ? "light" : "dark") ?? (dark ? "light" : "dark")); };
  $("language").onchange = event => { setLanguage(event.target.value); remembered("language", event.target.value); translate(); };
  view.element.onpointerdown = press;
  view.element.onpointermove = hover;
  for (const end of ["pointerup", "pointercancel"]) view.element.addEventListener(end, lift);
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

async function samples() {
  for (const name of app.server.samples) {
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
  options($("look"), LOOKS, "cutout");
  swatches();
  listen();
  setTheme(remembered("theme"));
  translate();
  try {
    app.server = await api.settings();
  } catch (error) {
    say(error.message, true);
    return;
  }
  options($("method"), app.server.methods.map(row => row.name), app.server.methods[0].name);
  $("address").hidden = !app.server.urls;
  document.querySelector(".key").hidden = !app.server.key;
  if (app.server.watch) new EventSource("/open");
  translate();
  work();
  requestIdleCallback(samples);
}

start();

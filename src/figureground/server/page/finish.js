/* The finished picture: background, effects, crop; shown, and saved as a file. */
import * as api from "./api.js";
import { canvas } from "./mask.js";
import { held, maskOptions } from "./pictures.js";
import { begun, ended, say, update } from "./show.js";
import { $, app, items, view } from "./state.js";
import { text } from "./strings.js";
import { cover } from "./view.js";
import { zip } from "./zip.js";

export const CROPS = {
  original: {}, subject: { crop: true }, margin: { crop: true, margin: "8%" }, square: { crop: true, margin: "8%", square: true },
  shop: { canvas: "2000x2000", scale: "84%" },
};

/** What is done with the cut-out. */
function finishOptions(withColor) {
  const options = { view: "cutout", ...CROPS[$("crop").value] };
  if ($("shadow").checked) options.shadow = "drop";
  if ($("outline").checked) options.outline = "1%:white";
  if (app.background === "blur") options.background = "blur";
  else if (withColor && plain()) options.background = plain();
  return options;
}

function plain() {
  return { white: "#ffffff", black: "#000000", gray: "#d7dcdf", color: app.color }[app.background] ?? null;
}

/** Whether the server has to draw what is shown. */
function needsServer() {
  return $("shadow").checked || $("outline").checked || $("crop").value !== "original" || app.background === "blur";
}

let turn = 0;
/** Show the picture as the options say: from layers here, or drawn by the server. */
export async function refresh() {
  const item = app.current, mine = ++turn;
  view.back = plain() ?? (app.background === "behind" ? app.behind : null);
  if (!item?.mask?.ready) { view.finish(null); return; }
  if (!needsServer()) { view.finish(null); return; }
  begun(item, "changing");
  try {
    const blob = await render(item, "png");
    const image = await createImageBitmap(blob);
    if (mine === turn && item === app.current) view.finish(image); else image.close();
    item.error = "";
  } catch (error) {
    item.error = error.message;
  }
  ended(item);
  update();
}

/** Return the finished picture as a file. */
async function render(item, format) {
  if (app.background === "behind" && app.behind && !needsServer()) return layers(item, format);
  const edited = item.mask.edited ? await item.mask.png() : null;
  const adjust = edited ? {} : maskOptions(item);
  const options = { ...adjust, ...finishOptions(true), method: $("method").value };
  const blob = await held(item, () => api.change(item.id, options, edited, format));
  if (app.background !== "behind" || !app.behind) return blob;
  const image = await createImageBitmap(blob), made = canvas(image.width, image.height), context = made.getContext("2d");
  cover(context, app.behind, 0, 0, made.width, made.height);
  context.drawImage(image, 0, 0);
  return encoded(made, format);
}

/** Return the cut-out before a picture, put together here: other people's pictures are not sent. */
function layers(item, format) {
  const made = canvas(item.mask.width, item.mask.height), context = made.getContext("2d");
  cover(context, app.behind, 0, 0, made.width, made.height);
  context.drawImage(item.mask.cut, 0, 0);
  return encoded(made, format);
}

function encoded(made, format) {
  const type = { jpg: "image/jpeg", webp: "image/webp" }[format] ?? "image/png";
  return new Promise(resolve => made.toBlob(resolve, type, 0.92));
}

export async function download() {
  if (!app.current?.mask?.ready) return;
  const item = app.current;
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

export async function downloadAll() {
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

/* The picture on the stage: zoom, pan, before and after, checkerboard, and the mask as a line, an overlay or by itself. */
import { canvas } from "./mask.js";

const ZOOMS = [0.05, 16];
const STEP = 120, DASH = 5;  // of the line: milliseconds between steps, pixels of a dash

export class View {
  constructor(element, slider, line) {
    this.element = element; this.slider = slider; this.line = line;
    this.context = element.getContext("2d");
    this.scale = 1; this.x = 0; this.y = 0;  // of the picture's pixels in those of the stage
    this.split = 0; this.before = false; this.result = null; this.item = null; this.back = null;
    this.style = "cutout";  // or "line", "overlay", "mask"
    this.onmove = () => {};
    new ResizeObserver(() => this.resize()).observe(element);
  }

  get ratio() { return window.devicePixelRatio || 1; }
  /** The size of what is shown: the result's, or the picture's. */
  get shown() { return this.result ?? this.item?.mask?.image ?? this.item?.image ?? null; }

  show(item) {
    const other = item !== this.item || !this.placed;
    this.item = item;
    if (item !== this.shownItem) { this.result = null; this.shownItem = item; }
    if (other) this.fit();
    this.draw();
  }

  /** Show a finished picture, an ImageBitmap, in place of the layers; null: the layers. */
  finish(result) {
    const size = this.shown && [this.shown.width, this.shown.height];
    this.result?.close?.();
    this.result = result;
    if (size && this.shown && (size[0] !== this.shown.width || size[1] !== this.shown.height)) this.fit(); else this.draw();
  }

  resize() {
    const { clientWidth, clientHeight } = this.element, first = !this.element.width || !this.width;
    const [dx, dy] = [(clientWidth - (this.width ?? clientWidth)) / 2, (clientHeight - (this.height ?? clientHeight)) / 2];
    this.width = clientWidth; this.height = clientHeight;
    this.element.width = Math.round(clientWidth * this.ratio);
    this.element.height = Math.round(clientHeight * this.ratio);
    if (first || this.fitted) this.fit(); else { this.x += dx; this.y += dy; this.draw(); }
  }

  fit() {
    const image = this.shown;
    if (!image || !this.width) { this.placed = false; return; }
    this.placed = true;
    const room = Math.min(24, this.width / 20);
    this.scale = Math.min((this.width - 2 * room) / image.width, (this.height - 2 * room) / image.height, 2);
    this.x = (this.width - image.width * this.scale) / 2;
    this.y = (this.height - image.height * this.scale) / 2;
    this.fitted = true;
    this.draw();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(ZOOMS[1], Math.max(ZOOMS[0], this.scale * factor)), change = scale / this.scale;
    this.x = x - (x - this.x) * change;
    this.y = y - (y - this.y) * change;
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) { this.x += dx; this.y += dy; this.fitted = false; this.draw(); }

  /** Return a place of the stage in the picture's pixels. */
  place(x, y) { return [(x - this.x) / this.scale, (y - this.y) / this.scale]; }
  /** Return a place of the picture in the stage's pixels. */
  stage(x, y) { return [this.x + x * this.scale, this.y + y * this.scale]; }

  /** Draw; box: only that part of the picture changed. */
  draw(box = null) {
    const { context, ratio, item } = this, image = this.shown;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.save();
    if (box) {
      const [left, top] = this.stage(box[0], box[1]), [right, bottom] = this.stage(box[0] + box[2], box[1] + box[3]);
      context.beginPath();
      context.rect(Math.floor(left * ratio) - 1, Math.floor(top * ratio) - 1, Math.ceil((right - left) * ratio) + 3, Math.ceil((bottom - top) * ratio) + 3);
      context.clip();
    }
    context.clearRect(0, 0, this.element.width, this.element.height);
    if (image) {
      const [x, y] = [this.x * ratio, this.y * ratio], [w, h] = [image.width * this.scale * ratio, image.height * this.scale * ratio];
      context.imageSmoothingEnabled = this.scale * ratio < 3;
      context.imageSmoothingQuality = box ? "low" : "medium";
      if (this.before || !this.separated) this.#original(x, y, w, h);
      else {
        this.#after(x, y, w, h, box);
        if (this.split > 0 && this.slides) {
          context.save();
          context.beginPath();
          context.rect(x, y, this.split * w, h);
          context.clip();
          this.#original(x, y, w, h);
          context.restore();
        }
      }
    }
    context.restore();
    this.#march();
    if (!box) { this.#slide(); this.onmove(); }
  }

  /** Whether there is a cut-out to show; where no subject was found, the picture is. */
  get separated() { return Boolean(this.item?.mask?.ready && this.item.state !== "empty"); }
  /** Whether before and after are compared by the slider. */
  get slides() { return this.separated && this.style === "cutout" && !this.result && !this.before; }

  #original(x, y, w, h) {
    if (this.item.image) this.context.drawImage(this.item.image, x, y, w, h);
  }

  #after(x, y, w, h, box) {
    const { context, item } = this;
    if (this.style !== "cutout" && !this.result) { this.#original(x, y, w, h); if (this.style !== "line") this.#tint(x, y, w, h); return; }
    this.#checkerboard(x, y, w, h);
    if (this.result) { context.drawImage(this.result, x, y, w, h); return; }
    if (typeof this.back === "string") { context.fillStyle = this.back; context.fillRect(x, y, w, h); }
    else if (this.back) cover(context, this.back, x, y, w, h);
    if (box) {
      const scale = this.scale * this.ratio, room = Math.ceil(4 / scale);  // the box was cleared a little beyond its border
      const left = Math.max(0, box[0] - room), top = Math.max(0, box[1] - room);
      const wide = Math.min(item.mask.width, box[0] + box[2] + room) - left, high = Math.min(item.mask.height, box[1] + box[3] + room) - top;
      context.drawImage(item.mask.cut, left, top, wide, high, x + left * scale, y + top * scale, wide * scale, high * scale);
    } else context.drawImage(item.mask.cut, x, y, w, h);
  }

  /** Return the mask as the stage shows it: a canvas of the stage's size whose alpha is the foreground. */
  #layer() {
    const { width, height } = this.element, image = this.shown, ratio = this.ratio;
    if (this.sheet?.width !== width || this.sheet?.height !== height) this.sheet = canvas(width, height, true);
    const context = this.sheet.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, width, height);
    context.drawImage(this.item.mask.alpha, this.x * ratio, this.y * ratio, image.width * this.scale * ratio, image.height * this.scale * ratio);
    return context;
  }

  /** Cover the background with a color, or show the mask by itself. */
  #tint(x, y, w, h) {
    const context = this.#layer(), overlay = this.style === "overlay";
    context.globalCompositeOperation = overlay ? "source-out" : "source-in";
    context.fillStyle = overlay ? "rgb(214 40 57 / 60%)" : "#fff";
    context.fillRect(x, y, w, h);
    if (!overlay) { this.context.fillStyle = "#000"; this.context.fillRect(x, y, w, h); }
    this.context.drawImage(this.sheet, 0, 0);
  }

  /** Draw the mask's edge as a line of dashes that move, or take it away. */
  #march() {
    const visible = this.separated && this.style === "line" && !this.result && !this.before;
    this.line.hidden = !visible;
    clearInterval(this.marching);
    if (!visible) return;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const { width, height } = this.element, alpha = this.#layer().getImageData(0, 0, width, height).data, places = [];
      for (let y = 1; y < height - 1; y++) {
        for (let at = y * width + 1, end = at + width - 2; at < end; at++) {
          const inside = alpha[4 * at + 3] > 127;
          if (inside !== alpha[4 * at + 7] > 127 || inside !== alpha[4 * (at + width) + 3] > 127) places.push(at);
        }
      }
      this.line.width = width;
      this.line.height = height;
      const context = this.line.getContext("2d"), pixels = context.createImageData(width, height), colors = new Uint32Array(pixels.data.buffer);
      let phase = 0;
      const paint = () => {
        for (const at of places) {
          const along = at % width + Math.floor(at / width) + phase, color = Math.floor(along / (DASH * this.ratio)) % 2 ? 0xffffffff : 0xff1b1f1e;
          colors[at] = colors[at + 1] = colors[at + width] = color;
        }
        context.putImageData(pixels, 0, 0);
        phase += 1;
      };
      paint();
      clearInterval(this.marching);
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.marching = setInterval(paint, STEP);
    });
  }

  #checkerboard(x, y, w, h) {
    const style = getComputedStyle(document.documentElement), size = 12 * this.ratio;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 2 * size;
    const inside = tile.getContext("2d");
    inside.fillStyle = style.getPropertyValue("--check");
    inside.fillRect(0, 0, 2 * size, 2 * size);
    inside.fillStyle = style.getPropertyValue("--check2");
    inside.fillRect(0, 0, size, size);
    inside.fillRect(size, size, size, size);
    this.context.save();
    this.context.translate(x, y);
    this.context.fillStyle = this.context.createPattern(tile, "repeat");
    this.context.fillRect(0, 0, w, h);
    this.context.restore();
  }

  #slide() {
    const image = this.shown;
    this.slider.hidden = !this.slides;
    if (!this.slides) return;
    this.slider.style.left = `${this.x + this.split * image.width * this.scale}px`;
    this.slider.style.top = `${Math.max(0, this.y)}px`;
    this.slider.style.bottom = `${Math.max(0, this.height - this.y - image.height * this.scale)}px`;
    this.slider.setAttribute("aria-valuenow", Math.round(100 * this.split));
  }
}

/** Draw an image so that it covers a box, as CSS does. */
export function cover(context, image, x, y, w, h) {
  const scale = Math.max(w / image.width, h / image.height), [width, height] = [w / scale, h / scale];
  context.drawImage(image, (image.width - width) / 2, (image.height - height) / 2, width, height, x, y, w, h);
}

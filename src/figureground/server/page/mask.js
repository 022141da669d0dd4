/* The mask as a canvas whose alpha is the foreground, the cut-out made of it, and strokes that can be undone tile by tile. */
const TILE = 256, STEPS = 50;

export class Mask {
  /** image: the picture, anything that can be drawn; width and height in its own pixels. */
  constructor(image, width, height) {
    this.image = image; this.width = width; this.height = height;
    this.alpha = canvas(width, height, true);
    this.cut = canvas(width, height);
    this.strokes = []; this.undone = []; this.stroke = null;
  }

  /** Take a mask that the server found (a gray PNG), and paint the strokes over it again. */
  async load(blob) {
    const found = await createImageBitmap(blob), context = this.alpha.getContext("2d", { willReadFrequently: true });
    context.globalCompositeOperation = "copy";
    context.drawImage(found, 0, 0, this.width, this.height);
    context.globalCompositeOperation = "source-over";
    found.close();
    const pixels = context.getImageData(0, 0, this.width, this.height), words = new Uint32Array(pixels.data.buffer);
    for (let place = 0; place < words.length; place++) words[place] = (words[place] & 255) << 24;
    context.putImageData(pixels, 0, 0);
    const strokes = this.strokes;
    this.strokes = [];
    for (const stroke of strokes) {
      this.begin(stroke);
      for (const point of stroke.points) this.paint(...point);
      this.end();
    }
    this.refresh(0, 0, this.width, this.height);
  }

  get edited() { return this.strokes.length > 0; }
  get canUndo() { return this.strokes.length > 0; }
  get canRedo() { return this.undone.length > 0; }

  /** Begin a stroke: `erase` or not, its radius in pixels, its hardness from 0 to 1. */
  begin({ erase, radius, hardness }) {
    this.stroke = { erase, radius, hardness, points: [], tiles: new Map() };
  }

  /** Paint from the stroke's last point to this one; returns the box that changed. */
  paint(x, y) {
    const { points, radius } = this.stroke;
    const [lastX, lastY] = points.at(-1) ?? [x, y];
    points.push([x, y]);
    const reach = radius + 2;
    const left = Math.max(0, Math.floor(Math.min(x, lastX) - reach)), top = Math.max(0, Math.floor(Math.min(y, lastY) - reach));
    const right = Math.min(this.width, Math.ceil(Math.max(x, lastX) + reach)), bottom = Math.min(this.height, Math.ceil(Math.max(y, lastY) + reach));
    if (right <= left || bottom <= top) return null;
    this.#keep(left, top, right, bottom);
    const context = this.alpha.getContext("2d");
    context.globalCompositeOperation = this.stroke.erase ? "destination-out" : "source-over";
    const steps = Math.max(1, Math.ceil(Math.hypot(x - lastX, y - lastY) / Math.max(1, radius / 3)));
    for (let step = 1; step <= steps; step++) this.#dab(context, lastX + (x - lastX) * step / steps, lastY + (y - lastY) * step / steps);
    context.globalCompositeOperation = "source-over";
    this.refresh(left, top, right - left, bottom - top);
    return [left, top, right - left, bottom - top];
  }

  #dab(context, x, y) {
    const { radius, hardness } = this.stroke;
    const color = context.createRadialGradient(x, y, radius * Math.min(0.98, hardness), x, y, radius);
    color.addColorStop(0, "#000");
    color.addColorStop(1, "#0000");
    context.fillStyle = color;
    context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
  }

  /** End the stroke; it can be undone now. */
  end() {
    if (!this.stroke?.points.length) { this.stroke = null; return; }
    this.strokes.push(this.stroke);
    if (this.strokes.length > STEPS) this.strokes.at(-STEPS - 1).tiles.clear();
    this.undone = [];
    this.stroke = null;
  }

  undo() { return this.#exchange(this.strokes, this.undone); }
  redo() { return this.#exchange(this.undone, this.strokes); }

  /** Exchange the tiles of the last stroke of one list with those on the canvas, and move it to the other list. */
  #exchange(from, to) {
    const stroke = from.at(-1);
    if (!stroke?.tiles.size) return false;
    const context = this.alpha.getContext("2d");
    for (const [place, tile] of stroke.tiles) {
      const [x, y] = place.split(",").map(Number);
      stroke.tiles.set(place, context.getImageData(x, y, tile.width, tile.height));
      context.putImageData(tile, x, y);
      this.refresh(x, y, tile.width, tile.height);
    }
    to.push(from.pop());
    return true;
  }

  #keep(left, top, right, bottom) {
    const context = this.alpha.getContext("2d");
    for (let y = Math.floor(top / TILE) * TILE; y < bottom; y += TILE) {
      for (let x = Math.floor(left / TILE) * TILE; x < right; x += TILE) {
        const place = `${x},${y}`;
        if (this.stroke.tiles.has(place)) continue;
        this.stroke.tiles.set(place, context.getImageData(x, y, Math.min(TILE, this.width - x), Math.min(TILE, this.height - y)));
      }
    }
  }

  /** Make the cut-out anew within a box. */
  refresh(x, y, width, height) {
    const context = this.cut.getContext("2d");
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.globalCompositeOperation = "copy";
    context.drawImage(this.alpha, x, y, width, height, x, y, width, height);
    context.globalCompositeOperation = "source-in";
    context.drawImage(this.image, x, y, width, height, x, y, width, height);
    context.restore();
  }

  /** Return the mask as a PNG, white on black. */
  png() {
    const gray = canvas(this.width, this.height), context = gray.getContext("2d");
    context.drawImage(this.alpha, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.width, this.height);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.width, this.height);
    return new Promise(resolve => gray.toBlob(resolve, "image/png"));
  }
}

/** Return a canvas of that size. */
export function canvas(width, height, read = false) {
  const made = document.createElement("canvas");
  made.width = width;
  made.height = height;
  made.getContext("2d", { willReadFrequently: read });
  return made;
}

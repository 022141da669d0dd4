/* The icons: 20 × 20, lines of 1.5. */
const PATHS = {
  image: '<rect x="2.5" y="3.5" width="15" height="13" rx="2"/><circle cx="7" cy="8" r="1.5"/><path d="m3 15 4.5-4 3 2.5L14 10l3.5 4"/>',
  plus: '<path d="M10 4v12M4 10h12"/>',
  minus: '<path d="M4 10h12"/>',
  keep: '<circle cx="10" cy="10" r="7"/><path d="M10 7v6M7 10h6"/>',
  drop: '<circle cx="10" cy="10" r="7"/><path d="M7 10h6"/>',
  box: '<path d="M3 7V4.500A1.500 1.500 0 0 1 4.500 3H7M13 3h2.500A1.500 1.500 0 0 1 17 4.500V7M17 13v2.500a1.500 1.500 0 0 1-1.500 1.500H13M7 17H4.500A1.500 1.500 0 0 1 3 15.500V13"/>',
  restore: '<path d="M12.500 3.500 16.500 7.500 9 15H5v-4z"/><path d="M3 17.500h14"/>',
  erase: '<path d="m8 16-5-5 7.500-7.500 6 6L10 16z"/><path d="M7 7.500 13 13M8 16h9"/>',
  undo: '<path d="M7 4 3.500 7.500 7 11"/><path d="M4 7.500h8a4.500 4.500 0 0 1 0 9H8"/>',
  redo: '<path d="m13 4 3.500 3.500L13 11"/><path d="M16 7.500H8a4.500 4.500 0 0 0 0 9h4"/>',
  theme: '<path d="M16.500 11.500A6.500 6.500 0 1 1 8.500 3.500a5.500 5.500 0 0 0 8 8z"/>',
  help: '<circle cx="10" cy="10" r="7.500"/><path d="M7.800 8a2.200 2.200 0 1 1 3.300 1.900c-.7.400-1.100.8-1.100 1.600"/><path d="M10 14.200v.1"/>',
  done: '<path d="m4.500 10.500 3.500 3.500 7.500-8"/>',
  working: '<path d="M10 3a7 7 0 1 1-7 7"/>',
  waiting: '<circle cx="10" cy="10" r="7"/><path d="M10 6v4l2.500 2"/>',
  failed: '<path d="M10 5v6M10 14.500v.1"/>',
  close: '<path d="m5 5 10 10M15 5 5 15"/>',
  compare: '<path d="m7 6-4 4 4 4M13 6l4 4-4 4"/>',
  blur: '<circle cx="10" cy="10" r="3"/><path d="M10 3v.1M10 17v-.1M3 10h.1M17 10h-.1M5 5v.1M15 5v.1M5 15v.1M15 15v.1"/>',
  original: '<path d="M3 15 8 8l4 5 2-2 3 4z"/><circle cx="14" cy="6" r="1.500"/>',
};

/** Return the icon of that name as an SVG element. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = PATHS[name];
  return svg;
}

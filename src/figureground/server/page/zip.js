/* A ZIP file of files that are compressed already. */
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(bytes) {
  let value = -1;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

/** Return a Blob for [name, Blob] pairs; a name that comes again gets a number. */
export async function zip(files) {
  const parts = [], directory = [], names = new Set();
  let place = 0;
  for (const [wanted, blob] of files) {
    let name = wanted;
    for (let count = 2; names.has(name); count++) name = wanted.replace(/(\.[^.]*)?$/, `-${count}$1`);
    names.add(name);
    const bytes = new Uint8Array(await blob.arrayBuffer()), title = new TextEncoder().encode(name);
    const common = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [crc(bytes), 4], [bytes.length, 4], [bytes.length, 4], [title.length, 2], [0, 2]];
    const header = pack([[0x04034b50, 4], ...common]);
    directory.push(pack([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [place, 4]]), title);
    parts.push(header, title, bytes);
    place += header.length + title.length + bytes.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const end = pack([[0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [length, 4], [place, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

function pack(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0)), view = new DataView(bytes.buffer);
  let place = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(place, value, true); else view.setUint32(place, value, true);
    place += size;
  }
  return bytes;
}

import { crc32, deflateSync, inflateSync } from "node:zlib";

/** One picture of an animation: a PNG as Chromium takes it, and how long it is shown. */
export interface Frame {
  png: Buffer;
  milliseconds: number;
}

interface Pixels {
  width: number;
  height: number;
  /** Red, green, blue, for each pixel. */
  data: Uint8Array;
}

interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

const signature = Buffer.from("89504e470d0a1a0a", "hex");

/** An animation that plays for ever. All browsers, GitHub and npm show it. Each frame holds only what has changed. */
export function animatedPng(frames: Frame[]): Buffer {
  const pictures = frames.map(({ png }) => decode(png));
  const [first] = pictures;
  if (!first) throw new Error("An animation needs a frame.");
  const { width, height } = first;
  const palette = paletteOf(pictures);
  let sequence = 0;
  const chunks = [
    chunk("IHDR", [...int32(width), ...int32(height), 8, 3, 0, 0, 0]),
    chunk("acTL", [...int32(frames.length), ...int32(0)]),
    chunk("PLTE", palette.colours.flat()),
  ];
  for (const [index, picture] of pictures.entries()) {
    const { x, y, ...size } = changed(pictures[index - 1], picture);
    const place = [size.width, size.height, x, y].flatMap(int32);
    const delay = [...int16(frames[index]?.milliseconds ?? 0), ...int16(1_000)];
    chunks.push(chunk("fcTL", [...int32(sequence++), ...place, ...delay, 0, 0]));
    const data = deflateSync(rowsOf(picture, { x, y, ...size }, palette.indexOf), { level: 9 });
    chunks.push(index === 0 ? chunk("IDAT", data) : chunk("fdAT", [...int32(sequence++), ...data]));
  }
  return Buffer.concat([signature, ...chunks, chunk("IEND", [])]);
}

const int32 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const int16 = (value: number) => [value >>> 8, value & 255];

function chunk(type: string, data: ArrayLike<number>): Buffer {
  const body = Buffer.concat([Buffer.from(type), Buffer.from(data as Uint8Array)]);
  return Buffer.concat([Buffer.from(int32(data.length)), body, Buffer.from(int32(crc32(body)))]);
}

/** Of what Chromium makes: 8 bits a channel, not interlaced. */
function decode(png: Buffer): Pixels {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const channels = png[25] === 6 ? 4 : 3;
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT")
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const [stride, lines] = [width * channels, new Uint8Array(width * channels * height)];
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x < channels ? 0 : (lines[at - channels] ?? 0);
      const up = y === 0 ? 0 : (lines[at - stride] ?? 0);
      const corner = x < channels || y === 0 ? 0 : (lines[at - stride - channels] ?? 0);
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter ?? 0] ?? 0;
      lines[at] = (raw[y * (stride + 1) + 1 + x] ?? 0) + predicted;
    }
  }
  if (channels === 3) return { width, height, data: lines };
  return { width, height, data: lines.filter((_, index) => index % 4 !== 3) };
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value)) as [number, number, number];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

const colourAt = ({ data }: Pixels, pixel: number) =>
  ((data[pixel * 3] ?? 0) << 16) | ((data[pixel * 3 + 1] ?? 0) << 8) | (data[pixel * 3 + 2] ?? 0);

/** The 256 most frequent colours. A page has few others, between the pixels of its letters. */
function paletteOf(pictures: Pixels[]) {
  const counts = new Map<number, number>();
  for (const picture of pictures) {
    for (let pixel = 0; pixel < picture.width * picture.height; pixel++) {
      const colour = colourAt(picture, pixel);
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
  }
  const kept = [...counts].sort(([, one], [, other]) => other - one).slice(0, 256);
  const colours = kept.map(([colour]) => [colour >> 16, (colour >> 8) & 255, colour & 255]);
  const indexes = new Map(kept.map(([colour], index) => [colour, index]));
  const nearestTo = (colour: number) => {
    const distances = colours.map(([red = 0, green = 0, blue = 0]) =>
      Math.hypot(red - (colour >> 16), green - ((colour >> 8) & 255), blue - (colour & 255)),
    );
    return distances.indexOf(Math.min(...distances));
  };
  const indexOf = (colour: number) => {
    const index = indexes.get(colour) ?? nearestTo(colour);
    indexes.set(colour, index);
    return index;
  };
  return { colours, indexOf };
}

/** The smallest rectangle outside of which two pictures are the same; at least a pixel. */
function changed(before: Pixels | undefined, picture: Pixels): Rectangle {
  const { width, height } = picture;
  if (!before) return { x: 0, y: 0, width, height };
  let [left, right, top, bottom] = [width, -1, height, -1];
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (colourAt(before, pixel) === colourAt(picture, pixel)) continue;
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), y];
  }
  if (right < 0) return { x: 0, y: 0, width: 1, height: 1 };
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/** Palette indexes, each row after a byte that says that it is not filtered. */
function rowsOf(picture: Pixels, { x, y, width, height }: Rectangle, indexOf: (colour: number) => number): Buffer {
  const rows = Buffer.alloc((width + 1) * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      rows[row * (width + 1) + 1 + column] = indexOf(colourAt(picture, (y + row) * picture.width + x + column));
    }
  }
  return rows;
}

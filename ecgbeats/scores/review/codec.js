"use strict";
// Unpacks what packing.py packed.

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

async function inflate(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Numbers of so many bytes whose differences were taken `order` times.
async function unpack(text, size, order = 0) {
  const planes = await inflate(text), length = planes.length / size;
  const values = size === 1 ? new Uint8Array(length) : size === 2 ? new Int16Array(length) : new Int32Array(length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0, j = plane * length; i < length; i++, j++) values[i] |= planes[j] << (8 * plane);
  }
  if (!order) return values;
  const mask = size === 2 ? 0xffff : -1;
  for (let i = 0; i < length; i++) values[i] = ((values[i] & mask) >>> 1) ^ -(values[i] & 1);
  for (; order; order--) for (let i = 1; i < length; i++) values[i] += values[i - 1];
  return values;
}

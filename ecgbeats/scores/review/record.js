// The record's signal, unpacked block by block, and its lowest and highest values at several scales.

const about = JSON.parse(document.getElementById("about").textContent);
const RATE = about.rate, LENGTH = about.length, FIRST = about.first, BLOCK = about.block;
const FACTOR = 16;      // samples, or pairs below, to a pair of lowest and highest value
const LEVELS = 3;       // 16, 256, 4096 samples to a pair
const LONG_TASK = 12;   // milliseconds of unpacking before the page may answer again

const signal = {
  blocks: new Array(Math.ceil(LENGTH / BLOCK)).fill(null),
  extremes: [],
  wanted: [],
  whenRead: new Set(),

  has(start, end) {
    for (let i = Math.floor(Math.max(0, start) / BLOCK); i * BLOCK < Math.min(end, LENGTH); i++) {
      if (!this.blocks[i]) return false;
    }
    return true;
  },

  // Unpack these samples before others.
  want(start, end) {
    this.wanted = [];
    for (let i = Math.floor(Math.max(0, start) / BLOCK); i * BLOCK < Math.min(end, LENGTH); i++) {
      if (!this.blocks[i]) this.wanted.push(i);
    }
  },

  // Samples in steps of about.step; the caller has asked has().
  at(i) {
    return this.blocks[Math.floor(i / BLOCK)][i % BLOCK];
  },

  // Millivolts of the samples from start to end, both within the record.
  read(start, end) {
    const values = new Float64Array(Math.max(0, end - start));
    for (let i = start; i < end; i++) values[i - start] = this.at(i) * about.step;
    return values;
  },

  // [lowest, highest] of the samples from start to end, in steps, or null where not all is unpacked yet. Of long
  // stretches the ends are rounded outwards, by less than a quarter.
  range(start, end) {
    let low = Infinity, high = -Infinity;
    for (start = Math.max(0, start), end = Math.min(end, LENGTH); start < end;) {
      const block = Math.floor(start / BLOCK), values = this.blocks[block];
      if (!values) return null;
      const from = start - block * BLOCK, to = Math.min(end - block * BLOCK, BLOCK);
      let level = LEVELS;
      while (level && to - from < 8 * FACTOR ** level) level--;
      const pairs = level ? this.extremes[block][level - 1] : null, unit = FACTOR ** level;
      for (let i = Math.floor(from / unit); i < Math.ceil(to / unit); i++) {
        const [lowest, highest] = pairs ? [pairs[2 * i], pairs[2 * i + 1]] : [values[i], values[i]];
        if (lowest < low) low = lowest;
        if (highest > high) high = highest;
      }
      start = block * BLOCK + to;
    }
    return low <= high ? [low, high] : null;
  },

  async unpackBlock(i) {
    const values = await unpack(document.getElementById(`signal-${i}`).textContent, 2, about.orders.signal);
    const levels = [];
    for (let level = 0; level < LEVELS; level++) levels.push(pairUp(levels[level - 1] || values, !level));
    this.extremes[i] = levels;
    this.blocks[i] = values;
  },

  async unpackAll() {
    let since = performance.now();
    for (;;) {
      let next = this.wanted.find(i => !this.blocks[i]);
      if (next === undefined) next = this.blocks.indexOf(null);
      if (next < 0) break;
      await this.unpackBlock(next);
      for (const tell of this.whenRead) tell(next);
      if (performance.now() - since > LONG_TASK) {
        await new Promise(resolve => setTimeout(resolve));
        since = performance.now();
      }
    }
  },
};

function pairUp(values, single) {
  const width = single ? FACTOR : 2 * FACTOR;
  const pairs = new Int16Array(2 * Math.ceil(values.length / width));
  for (let i = 0; 2 * i < pairs.length; i++) {
    let low = 32767, high = -32768;
    for (let j = i * width; j < Math.min(values.length, (i + 1) * width); j++) {
      const value = values[j];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    pairs[2 * i] = low;
    pairs[2 * i + 1] = high;
  }
  return pairs;
}

// "1:02:03" or "2:03.456" of a sample, from the recording's start.
function clock(sample, digits = 0) {
  return duration((FIRST + sample) / RATE, digits);
}

function duration(time, digits = 0) {
  const unit = 10 ** digits, total = Math.round(time * unit), seconds = Math.floor(total / unit);
  const pad = number => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  const text = (FIRST + LENGTH) / RATE < 3600 ? `${minutes}:${pad(seconds % 60)}` : `${hours}:${pad(minutes)}:${pad(seconds % 60)}`;
  return digits ? `${text}.${String(total % unit).padStart(digits, "0")}` : text;
}

// The time of day of a sample, where the record tells when it began: "14:02:03".
function timeOfDay(sample) {
  const found = /(\d\d):(\d\d):(\d\d)/.exec(about.start || "");
  if (!found) return "";
  const seconds = Math.floor(+found[1] * 3600 + found[2] * 60 + +found[3] + (FIRST + sample) / RATE);
  return [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map(part => String(Math.floor(part)).padStart(2, "0")).join(":");
}

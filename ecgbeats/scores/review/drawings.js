// The drawings, one function each, as ecgbeats/images/drawings/*.py and ecgbeats/images/bands.py draw them. Each takes
// the beats' samples and a beat's index among them, and returns gray levels (SIZE * SIZE), or null as long as the signal
// there is not unpacked.

const D = about.drawings;

const DRAWINGS = {
  paper(samples, index) {
    const sample = samples[index];
    let before = index, after = index;
    while (before >= 0 && samples[before] === sample) before--;
    while (after < samples.length && samples[after] === sample) after++;
    const margin = neighbour => Math.min(D.paperMargin, Math.abs(samples[neighbour] - sample) - 1);
    const start = before < 0 ? 0 : samples[before] + margin(before);
    const end = after === samples.length ? LENGTH : samples[after] - margin(after);
    if (!signal.has(start, end)) return null;
    const values = signal.read(start, end), points = Math.max(2, values.length), image = blankImage();
    let low = Infinity, high = -Infinity;
    for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
    const columns = Float64Array.from({length: points}, (_, i) => i * (SIZE - 1) / (points - 1));
    const rows = columns.map((_, i) => high > low
      ? (high - values[i]) / (high - low) * (SIZE - 1 - 2 * BORDER) + BORDER : (SIZE - 1) / 2);
    drawLine(image, columns, rows);
    return image;
  },

  strips(samples, index) {
    const image = blankImage();
    for (const strip of [D.beatStrip, D.rhythmStrip]) {
      if (!drawStrip(image, strip, samples[index])) return null;
    }
    drawTicks(image, samples, samples[index], RATE);
    return image;
  },

  typical(samples, index) {
    const stretch = stretchAt(samples[index]), image = blankImage(), median = medianImage(stretch);
    if (!drawStrip(image, D.beatStrip, samples[index])) return null;
    drawTicks(image, samples, samples[index], stretch.interval);
    drawBars(image, samples, index, stretch.interval);
    for (let i = 0; i < image.length; i++) if (median[i] < image[i]) image[i] = median[i];
    return image;
  },

  usual(samples, index) {
    const stretch = stretchAt(samples[index]), beat = index - stretch.firstBeat;
    if (!stretch.offsets) return blankImage();   // it had no beats
    const made = madeAlike(stretch, samples, index);
    const image = blankImage(), around = surroundings(made, Math.floor(beat / U.block) * U.block);
    if (!usualIsThere(made, around, beat)) return null;
    drawUsualBeat(image, made, around, beat);
    drawUsualRhythm(image, made, around, beat);
    return image;
  },
};

// Python's round(): halves go to the even neighbour.
function roundEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + floor % 2 : Math.round(value);
}

const HOP = Math.max(1, roundEven(D.baselineSeconds / 50 * RATE)), KNOT = 5 * HOP;
const REACH = roundEven(D.baselineSeconds * RATE / HOP / 2), COARSE = Math.ceil(LENGTH / HOP);
const LAST_KNOT = Math.ceil(COARSE / 5) - 1;
const medians = new Map();

// The median of the second around a knot, of which there is one each tenth of a second.
function baselineAt(knot) {
  if (!medians.has(knot)) {
    const around = new Float64Array(2 * REACH + 1);
    for (let i = -REACH; i <= REACH; i++) {
      around[i + REACH] = signal.at(HOP * Math.min(COARSE - 1, Math.max(0, 5 * knot + i)));
    }
    medians.set(knot, around.sort()[REACH] * about.step);
  }
  return medians.get(knot);
}

// A long record is drawn in stretches, each with what is usual there.
function stretchAt(sample) {
  return D.stretches.find(stretch => sample < stretch.end) || D.stretches[D.stretches.length - 1];
}

// How many samples around one its baseline needs.
const BASELINE_REACH = (REACH + 5) * HOP;

// Millivolts less the baseline.
function levels(start, end) {
  return signal.read(start, end).map((value, i) => {
    const place = (start + i) / KNOT, knot = Math.min(LAST_KNOT, Math.floor(place));
    const left = baselineAt(knot), right = baselineAt(Math.min(LAST_KNOT, knot + 1));
    return value - left - (right - left) * Math.min(1, place - knot);
  });
}

// From 0 at the stretch's highest amplitudes to 1 at its lowest, less the baseline; null if it is not unpacked.
function depths(start, end, limits) {
  if (!signal.has(start - BASELINE_REACH, end + BASELINE_REACH)) return null;
  const [low, high] = limits, margin = D.amplitudeMargin * (high - low);
  return levels(start, end).map(level =>
    high > low ? 1 - Math.min(1, Math.max(0, (level - low + margin) / (high - low + 2 * margin))) : 0.5);
}

function stripReach(strip) {
  return [Math.floor((strip.column + 1) * strip.seconds * RATE) + 1, Math.floor((SIZE - strip.column) * strip.seconds * RATE) + 1];
}

function drawStrip(image, strip, sample) {
  const [before, after] = stripReach(strip), start = Math.max(0, sample - before);
  const values = depths(start, Math.min(LENGTH, sample + after + 1), stretchAt(sample).limits);
  if (!values) return false;
  drawDepths(image, strip, values, start - sample);
  return true;
}

// `from` is the first value's place in samples behind the beat.
function drawDepths(image, strip, values, from, gray = 0) {
  const height = strip.bottom - strip.top;
  const columns = values.map((_, i) => strip.column + (from + i) / (strip.seconds * RATE));
  const rows = values.map(value => value * (height - 1 - 2 * BORDER) + BORDER);
  drawLine(image, ...simplify(columns, rows, strip.tolerance), strip.top, strip.bottom, gray);
}

function drawTicks(image, samples, sample, rate) {
  const strip = D.tickStrip, reach = SIZE * strip.seconds * rate;
  for (let i = firstAt(samples, sample - reach); i < samples.length && samples[i] < sample + reach; i++) {
    const column = strip.column + (samples[i] - sample) / (strip.seconds * rate);
    drawLine(image, [column, column], [strip.top + 1, strip.bottom - 2]);
  }
}

function firstAt(samples, sample) {
  let low = 0, high = samples.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (samples[middle] < sample) low = middle + 1; else high = middle;
  }
  return low;
}

const medianImages = new Map();

function medianImage(stretch) {
  if (!medianImages.has(stretch)) {
    const image = blankImage();
    if (stretch.medianBeat) drawDepths(image, D.beatStrip, stretch.medianBeat, -stripReach(D.beatStrip)[0], D.typicalGray);
    medianImages.set(stretch, image);
  }
  return medianImages.get(stretch);
}

// A bar for the RR interval that ends at each beat around, its own in black.
function drawBars(image, samples, index, usual) {
  const top = D.tickStrip.bottom, height = SIZE - top, width = SIZE / D.bars;
  for (let i = Math.max(1, index - D.bars); i < Math.min(samples.length, index + D.bars); i++) {
    const interval = (samples[i] - samples[i - 1]) / usual;
    const bar = Math.min(height - 1, Math.max(1, roundEven(interval * D.typicalBar)));
    const left = D.tickStrip.column + (i - index) * width;
    for (let column = Math.max(0, left); column < Math.min(SIZE, left + width - 1); column++) {
      for (let row = SIZE - bar; row < SIZE; row++) image[row * SIZE + column] = i === index ? 0 : D.barGray;
    }
  }
}

// The image that the network saw of a beat; of an added one, what it would have seen.
function drawBeat(beat) {
  const draw = Object.hasOwn(DRAWINGS, about.drawing) ? DRAWINGS[about.drawing] : null;
  if (!draw) return null;
  if (!beat.added) return draw(beats.samples, beat.index);
  const place = firstAt(beats.samples, beat.sample), samples = new Int32Array(beats.samples.length + 1);
  samples.set(beats.samples.subarray(0, place));
  samples[place] = beat.sample;
  samples.set(beats.samples.subarray(place), place + 1);
  return draw(samples, place);
}

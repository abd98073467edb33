// The parts of the drawing "usual", as ecgbeats/images/drawings/usual.py draws them.

const U = about.drawings.usual;
const alikeOf = new Map();

// A stretch's beats made alike: where their middles are, and their RR intervals in units of the usual one.
function madeAlike(stretch, samples, index) {
  const found = samples === beats.samples, first = stretch.firstBeat;
  if (found && alikeOf.has(stretch)) return alikeOf.get(stretch);
  const offsets = stretch.offsets.slice();
  if (!found) offsets.splice(index - first, 0, 0);   // a beat was added
  const made = {
    scale: stretch.scale, blocks: new Map(),
    middles: offsets.map((offset, i) => Math.max(0, Math.min(LENGTH - 1, samples[first + i] + offset))),
    intervals: offsets.map((_, i) => i ? (samples[first + i] - samples[first + i - 1]) / stretch.usualInterval : 1),
  };
  if (found) alikeOf.set(stretch, made);
  return made;
}

// What is usual around a block of beats: the beats that come latest, but for pauses, and the RR interval.
function surroundings(made, start) {
  if (!made.blocks.has(start)) {
    const middle = Math.min(start + U.block / 2, made.intervals.length - 1), first = Math.max(0, middle - U.reach);
    const around = made.intervals.slice(first, middle + U.reach + 1);
    const order = around.map((_, i) => i).sort((a, b) => around[b] - around[a] || a - b);
    const from = Math.floor(U.longestShare * order.length);
    const late = order.slice(from, from + Math.max(3, roundEven(U.lateShare * order.length))).map(i => first + i);
    made.blocks.set(start, {late, interval: percentile(around, U.percentile), median: null});
  }
  return made.blocks.get(start);
}

function percentile(values, share) {
  const sorted = values.slice().sort((a, b) => a - b), place = (sorted.length - 1) * share / 100, left = Math.floor(place);
  return sorted[left] + (place - left) * (sorted[Math.min(left + 1, sorted.length - 1)] - sorted[left]);
}

function usualIsThere(made, around, beat) {
  const needed = [beat - U.beatsBefore, beat + U.beatsAfter, ...around.late].map(i =>
    made.middles[Math.max(0, Math.min(made.middles.length - 1, i))]);
  const reach = BASELINE_REACH + 3 * RATE;
  return signal.has(Math.min(...needed) - reach, Math.max(...needed) + reach);
}

const KERNEL = (() => {
  const sigma = U.smoothing * RATE, half = roundEven(8 * sigma + 1) >> 1;
  const kernel = Float64Array.from({length: 2 * half + 1}, (_, i) => Math.exp(-((i - half) ** 2) / (2 * sigma * sigma)));
  const sum = kernel.reduce((total, value) => total + value, 0);
  return kernel.map(value => value / sum);
})();

// The signal less its baseline, smoothed and scaled; outside of the record its ends go on.
function alike(made, start, end) {
  const half = KERNEL.length >> 1, from = Math.max(0, start - half), to = Math.min(LENGTH, end + half);
  const level = levels(from, to), within = i => level[Math.max(0, Math.min(level.length - 1, i - from))];
  return Float64Array.from({length: end - start}, (_, i) => {
    let sum = 0;
    const at = Math.max(0, Math.min(LENGTH - 1, start + i));
    for (let k = 0; k < KERNEL.length; k++) sum += KERNEL[k] * within(at + k - half);
    return sum * made.scale;
  });
}

function usualDepths(made, start, end) {
  return alike(made, start, end).map(value => Math.max(0, Math.min(1, (U.highest - value) / (U.highest - U.lowest))));
}

// The beat over the median of the late ones around it.
function drawUsualBeat(image, made, around, beat) {
  const [before, after] = stripReach(U.band);
  if (!around.median) {
    const cut = around.late.map(i => usualDepths(made, made.middles[i] - before, made.middles[i] + after + 1));
    around.median = cut[0].map((_, i) => percentile(cut.map(values => values[i]), 50));
  }
  const middle = made.middles[beat], start = Math.max(0, middle - before), usual = blankImage();
  drawDepths(image, U.band, usualDepths(made, start, Math.min(LENGTH, middle + after + 1)), start - middle);
  drawDepths(usual, U.band, around.median, -before, U.gray);
  for (let i = 0; i < U.band.bottom * SIZE; i++) if (usual[i] < image[i]) image[i] = usual[i];
}

// A bar for the RR interval that ends at each beat around, its own in black, and a line at the usual one.
function drawUsualBars(image, made, around, beat) {
  const height = U.barBottom - U.barTop, tall = interval => Math.min(height, Math.max(1, roundEven(interval * U.bar)));
  const mark = U.barBottom - tall(around.interval);
  image.fill(U.markGray, mark * SIZE, (mark + 1) * SIZE);
  for (let place = 0; place < SIZE / U.barWidth; place++) {
    const i = beat - U.barsBefore + place;
    if (i < 1 || i >= made.intervals.length) continue;
    for (let row = U.barBottom - tall(made.intervals[i]); row < U.barBottom; row++) {
      const at = row * SIZE + place * U.barWidth;
      image.fill(i === beat ? 0 : U.barGray, at, at + U.barWidth - 1);
    }
  }
}

// The beats around, one below the other, dark where the signal is high.
function drawAround(image, made, beat) {
  const wide = Math.max(1, roundEven(U.aroundSeconds * RATE)), last = U.beatsBefore + U.beatsAfter;
  const columns = Array.from({length: SIZE}, (_, i) => roundEven((i - U.aroundColumn) * U.aroundSeconds * RATE));
  for (let place = 0; place <= last; place++) {
    const i = beat - U.beatsBefore + place, top = U.barBottom + place * U.rowsABeat;
    if (i < 0 || i >= made.middles.length) continue;
    const from = made.middles[i] + columns[0] - (wide >> 1);
    const values = alike(made, from, made.middles[i] + columns[SIZE - 1] + wide);
    columns.forEach((column, x) => {
      let sum = 0;
      for (let k = 0; k < wide; k++) sum += values[column - columns[0] + k];
      const gray = Math.floor(Math.max(0, Math.min(250, 128 - 120 * Math.asinh(sum / wide * U.faint) / Math.asinh(U.faint))));
      for (let row = top; row < top + U.rowsABeat; row++) image[row * SIZE + x] = gray;
    });
  }
  const own = U.barBottom + U.beatsBefore * U.rowsABeat;
  for (const row of [own - 1, own + U.rowsABeat]) image.fill(255, row * SIZE, (row + 1) * SIZE);
}

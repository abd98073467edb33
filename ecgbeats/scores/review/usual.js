// The parts of the drawing "usual", as ecgbeats/images/drawings/usual.py draws them.

const U = about.drawings.usual;
const alikeOf = new Map();

// A stretch's beats made alike: where their middles are, and their RR intervals in units of the usual one.
function madeAlike(stretch, samples, index) {
  const found = samples === beats.samples, first = stretch.firstBeat;
  if (found && alikeOf.has(stretch)) return alikeOf.get(stretch);
  const offsets = stretch.offsets.slice();
  if (!found) offsets.splice(index - first, 0, Math.round(percentile(offsets, 50)));   // a beat was added
  const intervals = offsets.map((_, i) =>
    i ? Math.max(U.leastRr, (samples[first + i] - samples[first + i - 1]) / stretch.usualInterval) : 1);
  const made = {
    scale: stretch.scale, usualInterval: stretch.usualInterval, blocks: new Map(), intervals, logs: intervals.map(Math.log),
    slow: percentile(intervals, U.slowPercentile),
    middles: offsets.map((offset, i) => Math.max(0, Math.min(LENGTH - 1, samples[first + i] + offset))),
  };
  if (found) alikeOf.set(stretch, made);
  return made;
}

// What is usual around a block of beats: the beats that come latest, but for pauses, and how the RR intervals are.
function surroundings(made, start) {
  if (!made.blocks.has(start)) {
    const middle = Math.min(start + U.block / 2, made.intervals.length - 1), first = Math.max(0, middle - U.reach);
    const last = middle + U.reach + 1, intervals = made.intervals.slice(first, last), logs = made.logs.slice(first, last);
    const order = intervals.map((_, i) => i).sort((a, b) => intervals[b] - intervals[a] || a - b);
    const from = Math.floor(U.longestShare * order.length);
    made.blocks.set(start, {
      late: order.slice(from, from + Math.max(3, roundEven(U.lateShare * order.length))).map(i => first + i),
      intervals,
      interval: percentile(intervals, U.percentile),
      slow: percentile(intervals, U.slowPercentile),
      medianLog: percentile(logs, 50),
      spread: percentile(logs, 75) - percentile(logs, 25) + U.leastSpread,
      medianStep: percentile(logs.map((log, i) => Math.abs(log - made.logs[Math.max(0, first + i - 1)])), 50),
      beat: null,   // drawn when it is needed
    });
  }
  return made.blocks.get(start);
}

// Rounded as NumPy does.
function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort(), place = (sorted.length - 1) * (percent / 100), left = Math.floor(place);
  const low = sorted[left], high = sorted[Math.min(left + 1, sorted.length - 1)], share = place - left;
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}

function usualIsThere(made, around, beat) {
  const needed = [beat, ...around.late].map(i => made.middles[i]), reach = BASELINE_REACH + 3 * RATE;
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

// The beat over the median of the late ones around it, and below how far it is above that.
function drawUsualBeat(image, made, around, beat) {
  const {band} = U, [before, after] = stripReach(band);
  const cut = i => alike(made, made.middles[i] - before, made.middles[i] + after + 1);
  const depth = value => Math.max(0, Math.min(1, (U.highest - value) / (U.highest - U.lowest)));
  if (!around.beat) {
    const late = around.late.map(cut);
    around.beat = late[0].map((_, i) => percentile(late.map(values => values[i]), 50));
  }
  const values = cut(beat), start = made.middles[beat] - before, first = Math.max(0, -start), usual = blankImage();
  drawDepths(image, band, values.slice(first, LENGTH - start).map(depth), first - before);
  drawDepths(usual, band, around.beat.map(depth), -before, U.gray);
  for (let i = 0; i < band.bottom * SIZE; i++) if (usual[i] < image[i]) image[i] = usual[i];
  for (let column = 0; column < SIZE; column++) {
    const place = before + (column - band.column) * band.seconds * RATE, left = Math.floor(place), share = place - left;
    const above = (values[left] - around.beat[left]) * (1 - share) + (values[left + 1] - around.beat[left + 1]) * share;
    const gray = Math.max(0, Math.min(255, 128 - U.differenceGray * above));
    for (let row = U.differenceTop; row < U.differenceBottom; row++) image[row * SIZE + column] = gray;
  }
}

// A bar for each RR interval around, that of the beat in black, and the gauges.
function drawUsualRhythm(image, made, around, beat) {
  const height = U.barBottom - U.barTop, near = [], logs = [];
  for (let i = beat - U.barsBefore; i <= beat + U.barsAfter; i++) {
    const inside = Math.max(0, Math.min(made.intervals.length - 1, i));
    near.push(made.intervals[inside]);
    logs.push(made.logs[inside]);
  }
  near.forEach((interval, place) => {
    const bar = Math.min(height, Math.max(1, roundEven(interval / around.interval * U.bar)));
    for (let row = U.barBottom - bar; row < U.barBottom; row++) {
      const at = row * SIZE + place * U.barWidth;
      image.fill(place === U.barsBefore ? 0 : U.barGray, at, at + U.barWidth);
    }
  });
  gaugeValues(made, around, near, logs).forEach((value, i) => {
    const [empty, full] = U.gauges[i], top = U.gaugeTop + i * U.gaugeRows;
    const length = roundEven(Math.max(0, Math.min(1, (value - empty) / (full - empty))) * SIZE);
    for (let row = top; row < top + U.gaugeRows - 1; row++) image.fill(0, row * SIZE, row * SIZE + length);
  });
}

// In the order of GAUGES in usual.py, where it stands what they are.
function gaugeValues(made, around, near, logs) {
  const own = U.barsBefore, before = near[own], middle = percentile(near, 50);
  const steps = logs.slice(1).map((log, i) => Math.abs(log - logs[i])).filter((_, i) => i < own - 2 || i > own + 1);
  const shorter = (intervals, number) => intervals.filter(interval => interval < before).length / number;
  return [
    percentile(steps, 50), percentile(steps, 80), percentile(near, 80) / percentile(near, 20),
    before / middle, near[own + 1] / middle, before / around.slow, before / made.slow, before, around.interval,
    Math.log(before * made.usualInterval / RATE), around.medianStep, shorter(around.intervals, around.intervals.length),
    (logs[own] - around.medianLog) / around.spread, shorter(near, near.length - 1),
  ];
}

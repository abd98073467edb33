// The beats, what the reader corrects in them, and what follows from that: RR intervals, runs, lists.

const CLASSES = about.classes, LEAST_RUN = 3, LONG_PAUSE = 2;  // beats, seconds
const grouped = number => number.toLocaleString("en");

const beats = {
  all: [],          // in order of time, deleted and added ones too
  current: [],      // those that are not deleted
  noise: [],        // [first sample, the one behind the last] of what is too poor to judge
  runs: [],
  counts: [],       // of each class
  intervals: new Float64Array(0),   // all RR intervals in seconds, rising
  probabilities: null,
  doubt: about.doubtful,
  held: false,
  undone: [],       // functions that take back each correction
  whenChanged: new Set(),

  async load() {
    const text = name => document.getElementById(`beats-${name}`).textContent;
    const [samples, predicted, probabilities] = await Promise.all([
      unpack(text("samples"), 4, about.orders.beats), unpack(text("predicted"), 2), unpack(text("probabilities"), 1)]);
    this.samples = samples;
    this.probabilities = probabilities;
    this.all = Array.from(samples, (sample, index) => ({
      index, sample, was: predicted[index], label: predicted[index], byHand: false, deleted: false, added: false,
      probability: probabilities[index * CLASSES.length + predicted[index]] / 255,
    }));
    this.update();
  },

  update() {
    if (this.held) return;
    this.current = this.all.filter(beat => !beat.deleted);
    this.current.forEach((beat, place) => {
      beat.place = place;
      beat.rr = place ? (beat.sample - this.current[place - 1].sample) / RATE : NaN;
      beat.kind = CLASSES[beat.label].kind;
    });
    // Where the reader found a beat, the signal can be judged after all. Over noise there is no RR interval.
    this.noise = about.noise.filter(([from, to]) => firstFrom(this.current, from) === firstFrom(this.current, to));
    for (const [from] of this.noise) {
      const next = this.current[firstFrom(this.current, from)];
      if (next) next.rr = NaN;
    }
    this.counts = CLASSES.map(() => 0);
    for (const beat of this.current) this.counts[beat.label]++;
    this.runs = findRuns(this.current);
    this.intervals = Float64Array.from(this.current, beat => beat.rr).filter(rr => rr >= 0).sort();
    for (const tell of this.whenChanged) tell();
  },

  // Make many corrections at once.
  together(correct) {
    this.held = true;
    try { correct(); } finally { this.held = false; }
    this.update();
  },

  isDoubtful(beat) {
    return !beat.byHand && !beat.deleted && beat.probability < this.doubt;
  },

  // Whoever gives a beat the class that it has confirms it.
  relabel(beat, label) {
    if (beat.deleted || beat.byHand && beat.label === label) return;
    const before = {label: beat.label, byHand: beat.byHand};
    Object.assign(beat, {label, byHand: true});
    this.undone.push(() => Object.assign(beat, before));
    this.update();
  },

  remove(beat) {
    if (beat.deleted) return;
    if (beat.added) {
      this.all.splice(this.all.indexOf(beat), 1);
      this.undone.push(() => { this.insert(beat); return beat; });
    } else {
      beat.deleted = true;
      this.undone.push(() => { beat.deleted = false; return beat; });
    }
    this.update();
  },

  restore(beat) {
    beat.deleted = false;
    this.undone.push(() => { beat.deleted = true; return beat; });
    this.update();
  },

  // Returns the beat, or null where there is one already.
  add(sample, label) {
    const near = this.all[firstFrom(this.all, sample)];
    if (near && near.sample === sample) return null;
    const beat = {index: -1, sample, was: -1, label, byHand: true, deleted: false, added: true, probability: NaN};
    this.insert(beat);
    this.undone.push(() => { this.all.splice(this.all.indexOf(beat), 1); return null; });
    this.update();
    return beat;
  },

  insert(beat) {
    this.all.splice(firstFrom(this.all, beat.sample), 0, beat);
  },

  // Returns the beat whose correction was taken back, null where it is gone, undefined where there was none.
  undo() {
    const takeBack = this.undone.pop();
    if (!takeBack) return undefined;
    const beat = takeBack();
    this.update();
    return beat;
  },

  // What the file of corrections holds: all that a person said.
  corrections() {
    return this.all.filter(beat => beat.byHand || beat.deleted);
  },

  csv() {
    const rows = this.corrections().map(beat => {
      const action = beat.added ? "add" : beat.deleted ? "delete" : "relabel";
      const symbol = beat.deleted ? "" : CLASSES[beat.label].symbol;
      return `${FIRST + beat.sample},${action},${/[",]/.test(symbol) ? `"${symbol.replace(/"/g, '""')}"` : symbol}\n`;
    });
    return `sample,action,symbol\n${rows.join("")}`;
  },
};

// The index of the first beat at or behind a sample.
function firstFrom(list, sample) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].sample < sample) low = middle + 1; else high = middle;
  }
  return low;
}

function nearest(list, sample) {
  const next = firstFrom(list, sample);
  const [before, after] = [list[next - 1], list[next]];
  if (!before || !after) return before || after || null;
  return sample - before.sample <= after.sample - sample ? before : after;
}

// Three and more beats of kind V, or of kind S, one after the other, with no noise between.
function findRuns(list) {
  const runs = [];
  for (let i = 0; i < list.length;) {
    let end = i + 1;
    while (end < list.length && list[end].kind === list[i].kind && list[end].rr >= 0) end++;
    if ("VS".includes(list[i].kind) && end - i >= LEAST_RUN) {
      const seconds = (list[end - 1].sample - list[i].sample) / RATE;
      runs.push({first: list[i], last: list[end - 1], count: end - i, kind: list[i].kind,
        heartRate: seconds ? 60 * (end - i - 1) / seconds : NaN});
    }
    i = end;
  }
  return runs;
}

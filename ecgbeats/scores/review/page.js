// Puts the page together, and hands the corrections over.

let handedOver = "";    // the corrections as they were downloaded last

function download() {
  const text = beats.csv();
  const link = element("a", {href: URL.createObjectURL(new Blob([text], {type: "text/csv"})), download: `${about.name}.corrections.csv`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  handedOver = text;
}

// Make the corrections of a file that this page gave earlier; return a word on them.
function takeCorrections(text) {
  const rows = text.trim().split(/\r?\n/).slice(1).filter(Boolean);
  let missed = 0;
  const correct = row => {
    const found = /^(\d+),(relabel|delete|add),(?:"((?:[^"]|"")*)"|(.*))$/.exec(row);
    const [sample, action, symbol] = found ? [+found[1] - FIRST, found[2], (found[3] ?? found[4]).replace(/""/g, '"')] : [];
    const label = CLASSES.findIndex(name => name.symbol === symbol);
    const beat = beats.all[firstFrom(beats.all, sample)];
    const there = beat && beat.sample === sample;
    if (action === "add" && label >= 0 && sample >= 0 && sample < LENGTH && !there) beats.add(sample, label);
    else if (action === "delete" && there) beats.remove(beat);
    else if (action === "relabel" && there && label >= 0) beats.relabel(beat, label);
    else missed++;
  };
  beats.together(() => rows.forEach(correct));
  return `${grouped(rows.length - missed)} corrections read` + (missed ? `; ${grouped(missed)} do not fit this record.` : ".");
}

function showCounts() {
  byId("facts").textContent = `${duration(LENGTH / RATE)}, ${grouped(beats.current.length)} beats`;
  byId("undo").disabled = !beats.undone.length;
  byId("rhythm-words").textContent = rhythmWords();
}

function redrawAll() {
  readColours();
  for (const pane of Pane.all) pane.refresh();
}

function listen() {
  listenToStrip();
  listenToOverview();
  listenToTachogram();
  listenToKeys();
  byId("list").addEventListener("scroll", () => requestAnimationFrame(() => lists.showRows()));
  for (const button of document.querySelectorAll("[data-key]")) {
    const [, , , act] = KEYS.find(([keys]) => keys.includes(button.dataset.key));
    button.addEventListener("click", () => act(+(button.dataset.by || 1), button.dataset.key));
  }
  for (const id of ["speed", "gain"]) {
    byId(id).addEventListener("change", event => {
      const middle = view.start + strip.perRow() / 2;
      view[id] = +event.target.value;
      view.moveTo(middle - strip.perRow() / 2);
      event.target.blur();   // so that keys go to the page again
    });
  }
  byId("doubt").addEventListener("change", event => { beats.doubt = +event.target.value; beats.update(); event.target.blur(); });
  byId("corrections").addEventListener("change", async event => {
    if (event.target.files[0]) say(takeCorrections(await event.target.files[0].text()));
    event.target.value = "";
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  // Paper is white, and the canvases are drawn for it before they are printed.
  for (const [name, printed] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => {
      view.printed = printed;
      document.documentElement.classList.toggle("printed", printed);
      if (printed) byId("notices").open = true;
      readColours();
      layStrip();
      for (const pane of Pane.all) {
        pane.stale = true;
        pane.drawNow();
      }
    });
  }
  window.addEventListener("beforeunload", event => { if (beats.csv() !== handedOver) event.preventDefault(); });
}

async function start() {
  readColours();
  fillHelp();
  byId("notices").open = !matchMedia("(max-width: 44rem)").matches;   // a phone has little room
  layStrip();
  window.addEventListener("resize", layStrip);
  await beats.load();
  takeCorrections(about.corrections);
  handedOver = beats.csv();   // it is in a file already
  beats.undone = [];
  layOverview();
  const interesting = lists.kinds(), first = ["doubt", "runs"].find(name => interesting[name].of().length);
  lists.choose(CLASSES.findIndex(name => name.kind === "V") >= 0 ? `class-${CLASSES.findIndex(name => name.kind === "V")}` : first || "class-0");
  beats.whenChanged.add(() => { showCounts(); layOverview(); lists.refresh(); showCard(); for (const pane of Pane.all) pane.refresh(); });
  view.whenMoved.add(() => { for (const pane of [strip.pane, overview.pane]) pane.redraw(); moveTachogram(); });
  view.whenSelected.add(() => { strip.pane.redraw(); showCard(); lists.showRows(); });
  signal.whenRead.add(() => { paintWaiting(); strip.pane.redraw(); overview.refreshSoon(); });
  signal.whenRead.add(function first() {
    signal.whenRead.delete(first);
    requestAnimationFrame(() => performance.mark("shown"));
  });
  listen();
  showCounts();
  showCard();
  view.moveTo(0);
  redrawAll();
  document.documentElement.dataset.ready = "beats";
  await whole;
  await signal.unpackAll();
  overview.pane.refresh();
  document.documentElement.dataset.ready = "all";
}

const whole = new Promise(resolve => document.addEventListener("DOMContentLoaded", resolve));   // the signal stands last

start().catch(problem => {
  byId("broken").hidden = false;
  throw problem;
});

// What each key does, and the help that says so.

const ofKind = kind => beats.current.filter(beat => beat.kind === kind);
const PAGE = 0.9;   // of what the strip shows

// [keys as event.key gives them, what the help calls them, what it says, what happens; by is -1 with Shift]
const KEYS = [
  [["v", "V"], "V", "next ventricular beat (V)", by => stepThrough(ofKind("V"), by)],
  [["s", "S"], "S", "next supraventricular beat (S)", by => stepThrough(ofKind("S"), by)],
  [["d", "D"], "D", "next doubtful beat", by => lists.step("doubt", by)],
  [["r", "R"], "R", "next run of three and more", by => lists.step("runs", by)],
  [["p", "P"], "P", `next RR interval over ${LONG_PAUSE} s`, by => lists.step("pauses", by)],
  [["c", "C"], "C", "next beat labelled or deleted by hand", by => stepThrough(beats.corrections(), by)],
  [["l", "L"], "L", "next beat of the list that is open", by => lists.step(lists.chosen, by)],
  [["ArrowRight"], "→", "next beat", () => stepThrough(beats.current, 1)],
  [["ArrowLeft"], "←", "previous beat", () => stepThrough(beats.current, -1)],
  [["PageDown", " "], "Page down", "go on (space, too)", by => view.moveTo(view.start + by * PAGE * strip.shown())],
  [["PageUp"], "Page up", "go back", () => view.moveTo(view.start - PAGE * strip.shown())],
  [["Home"], "Home", "start of the record", () => view.moveTo(0)],
  [["End"], "End", "end of the record", () => view.moveTo(LENGTH)],
  [["+", "="], "+", "faster paper", () => changeOption("speed", 1)],
  [["-"], "−", "slower paper", () => changeOption("speed", -1)],
  [["g", "G"], "G", "next gain", by => changeOption("gain", by)],
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "1 … 9", "label the selected beat with this class, or confirm it", (_, key) => relabelSelected(key - 1)],
  [["Delete", "Backspace", "x", "X"], "Delete, X", "delete the selected beat, or take that back", () => removeSelected()],
  [["a", "A"], "A", "add a beat: then click on the strip", () => setAdding(!view.adding)],
  [["z", "Z", "u", "U"], "Z, U", "undo the last correction", () => undo()],
  [["w", "W"], "W", "download the corrections", () => download()],
  [["Escape"], "Esc", "select nothing", () => { setAdding(false); view.select(null); }],
  [["?", "h", "H", "F1"], "?, H", "this help", () => byId("help").showModal()],
];

function listenToKeys() {
  document.addEventListener("keydown", event => {
    if (event.altKey || byId("help").open || /^(SELECT|INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
    if ((event.ctrlKey || event.metaKey) && event.key !== "z") return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;   // it presses the button
    if (event.target.id === "list" && /^(Page|Home|End| )/.test(event.key)) return;   // they scroll the list
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found[3](event.shiftKey ? -1 : 1, event.key);
  });
}

function fillHelp() {
  byId("keys").replaceChildren(...KEYS.map(([, name, words]) => element("tr", {},
    element("th", {scope: "row"}, element("kbd", {}, name)), element("td", {}, words))));
}

// Take the next choice of a <select>, or the one before.
function changeOption(id, by) {
  const select = byId(id), next = select.selectedIndex + by;
  if (next < 0 || next >= select.options.length) return;
  select.selectedIndex = next;
  select.dispatchEvent(new Event("change"));
}

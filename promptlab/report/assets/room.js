// The reading room: filters above, the table of predictions, the one that is read below.

const FILTERS = ["variant", "split", "status", "label", "outcome"];

function choices(id, pairs) {
  const select = byId(id);
  const kept = select.value;
  select.replaceChildren(make("option", { value: "" }, "all"), ...pairs.map(([value, said]) => make("option", { value }, said)));
  if (pairs.some(([value]) => String(value) === kept)) select.value = kept;
}

function offer(data) {
  const { columns } = data;
  const used = new Set(columns.variant);
  const short = (said) => (said.length > 60 ? `${said.slice(0, 59)}…` : said);
  choices("f-variant", [...used].sort((a, b) => a - b).map((place) => {
    const { id, status, name } = data.variants[place];
    return [place, short(`${id} ${status} ${name}`)];
  }));
  choices("f-split", [...new Set(columns.split)].map((name) => [name, name]));
  choices("f-status", [...new Set(columns.status)].sort().map((name) => [name, name]));
  const labels = [...new Set(data.examples.map(([, label]) => label))].filter((label) => label >= 0);
  const few = labels.length <= 100 ? labels : []; // free answers are no list to choose from
  choices("f-label", few.map((label) => [label, short(textOf(data, label))]).sort((a, b) => a[1].localeCompare(b[1])));
  byId("f-label").parentElement.hidden = !few.length;
  const outcome = byId("f-outcome");
  const verdicts = [...outcome.options].filter(({ value }) => value === "right" || value === "wrong");
  for (const option of verdicts) option.hidden = option.disabled = data.graded; // a graded answer is neither
  if (outcome.selectedOptions[0]?.disabled) outcome.value = "";
}

function arrange(state) {
  const wanted = { query: byId("query").value.trim() };
  for (const name of FILTERS) wanted[name] = byId(`f-${name}`).value;
  state.rows = sorted(state.data, filtered(state.data, wanted), state.sort);
  state.at = state.rows.indexOf(state.selected);
  byId("grid").scrollTop = 0;
  drawRows(state);
  byId("count").textContent = `${state.rows.length.toLocaleString("en")} of ${state.data.count.toLocaleString("en")} predictions${rate(state)}`;
}

function rate(state) {
  const { score } = state.data.columns;
  const known = state.rows.filter((row) => score[row] !== null);
  if (!known.length) return "";
  const mean = known.reduce((sum, row) => sum + score[row], 0) / known.length;
  return `, mean score ${mean.toFixed(3)} over them`;
}

function onPageKey(state, event) {
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId("room").scrollIntoView();
    byId("query").focus();
  } else if (event.key === "Escape") {
    onEscape(state, event);
  }
}

function onEscape(state, event) {
  const panel = byId("detail");
  if (event.target === byId("query")) {
    byId("query").value = "";
    arrange(state);
    byId("grid").focus();
  } else if (!panel.hidden && panel.contains(event.target)) {
    byId("grid").focus();
  } else if (!panel.hidden) {
    panel.hidden = true;
    state.reading = undefined;
  }
}

async function loadRoom(state) {
  state.data = prepareRows(await unpack(readJson("data-room")));
  state.messages = null;
  state.selected = state.reading = state.pinned = undefined;
  byId("detail").hidden = true;
  offer(state.data);
  startGrid(state);
  arrange(state);
}

function readVariant(state, id) {
  const place = state.data.variants.findIndex((each) => each.id === id);
  byId("filters").reset();
  byId("f-variant").value = String(place);
  arrange(state);
  byId("room").scrollIntoView();
  byId("grid").focus();
}

async function start() {
  const state = { sort: { key: "", sign: 1 }, rows: [], at: -1 };
  startTheme();
  const read = (id) => readVariant(state, id);
  startTables(read);
  await loadRoom(state);
  for (const name of FILTERS) byId(`f-${name}`).addEventListener("change", () => arrange(state));
  byId("query").addEventListener("input", () => arrange(state));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(() => arrange(state)));
  document.addEventListener("keydown", (event) => onPageKey(state, event));
  performance.mark("ready");
  document.documentElement.dataset.ready = "yes";
  startLive(state, read);
}

// A table of any length: only the rows in sight exist. Arrow keys move, Enter reads.

const ROW = 28;
const COLUMNS = [
  ["example", "example"], ["variant", "variant"], ["split", "split"], ["status", "status"], ["label", "label"],
  ["answer", "answer"], ["score", "score"], ["against", "vs base"], ["output", "output"],
];
const CUT = 200; // characters of a cell: the whole text stands in the detail

function startGrid(state) {
  const grid = byId("grid");
  const head = make("div", { class: "head", role: "row", "aria-rowindex": "1" });
  for (const [key, title] of COLUMNS) {
    const cell = make("div", { role: "columnheader" });
    cell.append(make("button", { type: "button", tabindex: "-1", onclick: () => sortBy(state, key) }, title));
    cell.dataset.key = key;
    head.append(cell);
  }
  const body = make("div", { class: "body", role: "rowgroup" });
  grid.replaceChildren(head, body);
  grid.setAttribute("aria-colcount", COLUMNS.length);
  state.head = head;
  state.body = body;
  if (!state.started) {
    let waiting = false;
    grid.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; drawRows(state); });
    });
    grid.addEventListener("keydown", (event) => onGridKey(state, event));
    state.started = true;
  }
}

function sortBy(state, key) {
  const same = state.sort.key === key;
  state.sort = { key, sign: same ? -state.sort.sign : 1 };
  for (const cell of state.head.children) {
    if (cell.dataset.key === key) cell.setAttribute("aria-sort", state.sort.sign > 0 ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  }
  arrange(state);
}

function drawRows(state) {
  const grid = byId("grid");
  const first = Math.max(0, Math.floor(grid.scrollTop / ROW) - 6);
  const last = Math.min(state.rows.length, Math.ceil((grid.scrollTop + grid.clientHeight) / ROW) + 6);
  state.body.style.height = `${state.rows.length * ROW}px`;
  const shown = [];
  for (let place = first; place < last; place++) shown.push(drawRow(state, place));
  state.body.replaceChildren(...shown);
  grid.setAttribute("aria-rowcount", state.rows.length + 1);
  const active = place_of(state);
  if (active >= first && active < last) grid.setAttribute("aria-activedescendant", `row-${active}`);
  else grid.removeAttribute("aria-activedescendant");
}

function place_of(state) {
  return state.rows[state.at] === state.selected ? state.at : -1;
}

function drawRow(state, place) {
  const { data } = state;
  const row = state.rows[place];
  const { columns } = data;
  const example = data.examples[columns.example[row]];
  const score = columns.score[row];
  const cells = [
    example[0], data.variants[columns.variant[row]].id, columns.split[row], columns.status[row],
    textOf(data, example[1]), textOf(data, columns.answer[row]), scoreText(data, score),
    againstText(data, row), textOf(data, columns.error[row] >= 0 ? columns.error[row] : columns.output[row]),
  ];
  const element = make("div", { class: "row", role: "row", id: `row-${place}`, "aria-rowindex": place + 2,
    "aria-selected": row === state.selected });
  element.style.top = `${place * ROW}px`;
  cells.forEach((said, at) => {
    element.append(make("div", { role: "gridcell", class: at === 6 ? scoreKind(data, score) : null }, oneLine(said)));
  });
  element.addEventListener("click", () => { select(state, place); read(state, row); });
  return element;
}

// A score that is 0 or 1 everywhere is right or wrong; any other is a number, the stronger in colour the higher.
function scoreText(data, score) {
  if (score === null) return "";
  return data.graded ? String(score) : `${score >= 1 ? "✓" : "✗"} ${score}`;
}

function scoreKind(data, score) {
  if (score === null) return "";
  if (!data.graded) return score >= 1 ? "good" : "bad";
  return `grade g${Math.round((5 * (score - data.low)) / (data.high - data.low || 1))}`;
}

function againstText(data, row) {
  const gap = data.gaps[row];
  if (gap === null) return "";
  if (gap === 0) return "=";
  if (!data.graded) return gap > 0 ? "▲ fixed" : "▼ broken";
  const size = Math.abs(gap).toPrecision(3).replace(/\.?0+$/, "");
  return gap > 0 ? `▲ above +${size}` : `▼ below -${size}`;
}

function oneLine(said) {
  return said.slice(0, CUT).replace(/\s*\n\s*/g, " ⏎ ");
}

function select(state, place) {
  const grid = byId("grid");
  state.at = Math.max(0, Math.min(state.rows.length - 1, place));
  state.selected = state.rows[state.at];
  const top = state.at * ROW;
  const room = grid.clientHeight - ROW - 4; // the head stays above
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + ROW > grid.scrollTop + room) grid.scrollTop = top + ROW - room;
  drawRows(state);
}

function onGridKey(state, event) {
  if (!state.rows.length || event.ctrlKey || event.metaKey || event.altKey) return;
  const page = Math.max(1, Math.floor(byId("grid").clientHeight / ROW) - 2);
  const now = place_of(state);
  const moves = {
    ArrowDown: now + 1, ArrowUp: Math.max(0, now - 1), PageDown: now + page, PageUp: now - page, Home: 0,
    End: state.rows.length - 1,
  };
  if (event.key in moves) {
    event.preventDefault();
    select(state, moves[event.key]);
  } else if (event.key === "Enter" && now >= 0 && event.target === byId("grid")) {
    event.preventDefault();
    read(state, state.selected);
    byId("detail").focus();
  }
}

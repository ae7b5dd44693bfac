// The tables above the reading room: a click on a head sorts; a click on a variant reads its predictions.

function startTables(read) {
  for (const table of document.querySelectorAll("main table.sortable")) {
    table.querySelectorAll("thead th:not(.drawn)").forEach((head) => {
      const said = head.textContent;
      const button = make("button", { type: "button", class: "screen" }, said);
      button.addEventListener("click", () => sortTable(table, head));
      head.replaceChildren(button, make("span", { class: "printed" }, said)); // on paper a repeated head loses its buttons
    });
  }
  document.querySelectorAll("main table.sortable").forEach(foldTable);
  document.querySelectorAll("main .wide").forEach(hintAtMore);
  for (const button of document.querySelectorAll("main .pick")) {
    button.addEventListener("click", () => read(button.dataset.variant));
  }
}

const FIRST = 12; // rows of a table that are seen at once
const NARROW = 8; // in a narrow window
const SPARE = 3; // a button that shows fewer is not worth its place

// A long table shows its first rows and the baseline; the others on demand.
function foldTable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length <= FIRST + SPARE) return;
  refold(table);
  const more = table.querySelectorAll("tr.more").length;
  table.classList.add("folded");
  const button = make("button", { type: "button", "aria-expanded": "false" }, `Show all ${rows.length}`);
  button.addEventListener("click", () => {
    const folded = table.classList.toggle("folded");
    button.textContent = folded ? `Show all ${rows.length}` : "Show fewer";
    button.setAttribute("aria-expanded", String(!folded));
  });
  const paper = make("p", { class: "printed" }, `${more} more rows stand in the page on a screen.`);
  table.parentElement.after(make("p", { class: "screen" }, button), paper);
}

function sortTable(table, head) {
  const falling = head.getAttribute("aria-sort") === "ascending";
  const sign = falling ? -1 : 1;
  table.querySelectorAll("th[aria-sort]").forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [cellValue(row.cells[head.cellIndex]), row]);
  rows.sort(([one], [other]) => {
    if (one === "" || other === "") return (one === "") - (other === ""); // not measured: last either way
    if (typeof one === "number" && typeof other === "number") return sign * (one - other);
    return sign * String(one).localeCompare(String(other), "en", { numeric: true });
  });
  body.append(...rows.map(([, row]) => row));
  if (table.querySelector("tr.more")) refold(table);
}

// The first rows of the order, and the baseline, are those that are seen.
function refold(table) {
  [...table.tBodies[0].rows].forEach((row, place) => {
    const base = row.classList.contains("baseline");
    row.classList.toggle("more", place >= FIRST && !base);
    row.classList.toggle("far", place >= NARROW && !base);
  });
}

// What is wider than its place scrolls by itself: words say so, for a cut edge may look like an end.
function hintAtMore(place) {
  const hint = make("p", { class: "swipe screen", "aria-hidden": "true" }, "⇆ scroll sideways for the rest");
  place.before(hint);
  new ResizeObserver(() => { hint.hidden = place.scrollWidth <= place.clientWidth + 1; }).observe(place);
}

function cellValue(cell) {
  const said = cell.textContent.trim();
  const number = Number(said.split(" ")[0].replaceAll(",", "").replace("$", ""));
  return said !== "" && !Number.isNaN(number) ? number : said;
}

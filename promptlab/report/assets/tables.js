// The tables above the reading room: a click on a head sorts; a click on a variant reads its predictions.

function startTables(read) {
  for (const table of document.querySelectorAll("main table.sortable")) {
    table.querySelectorAll("thead th:not(.drawn)").forEach((head) => {
      const button = make("button", { type: "button" }, head.textContent);
      button.addEventListener("click", () => sortTable(table, head));
      head.replaceChildren(button);
    });
  }
  document.querySelectorAll("main table.board").forEach(foldTable);
  for (const button of document.querySelectorAll("main .pick")) {
    button.addEventListener("click", () => read(button.dataset.variant));
  }
}

// A long leaderboard shows its first rows and the baseline; the others on demand.
function foldTable(table) {
  const more = table.querySelectorAll("tr.more").length;
  if (!more) return;
  table.classList.add("folded");
  const button = make("button", { type: "button", "aria-expanded": "false" }, `Show ${more} more`);
  button.addEventListener("click", () => {
    const folded = table.classList.toggle("folded");
    button.textContent = folded ? `Show ${more} more` : "Show fewer";
    button.setAttribute("aria-expanded", String(!folded));
  });
  table.parentElement.after(make("p", { class: "screen" }, button));
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
  refold(table);
}

// The first rows of the new order are those that are seen.
function refold(table) {
  if (!table.querySelector("tr.more")) return;
  const seen = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("more")).length;
  [...table.tBodies[0].rows].forEach((row, place) => {
    row.classList.toggle("more", place >= seen - 1 && !row.classList.contains("baseline"));
  });
}

function cellValue(cell) {
  const said = cell.textContent.trim();
  const number = Number(said.split(" ")[0].replaceAll(",", "").replace("$", ""));
  return said !== "" && !Number.isNaN(number) ? number : said;
}

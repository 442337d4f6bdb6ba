// Sorts, filters and copies.
function sortBy(table, column, kind) {
  const heading = table.tHead.rows[0].cells[column];
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value;
  const rows = [...table.tBodies[0].rows];
  rows.sort((one, other) => {
    const [a, b] = ascending ? [value(one), value(other)] : [value(other), value(one)];
    if (kind === "number") return (a === "" ? Infinity : +a) - (b === "" ? Infinity : +b) || 0;
    return a.localeCompare(b);
  });
  table.tBodies[0].append(...rows);
}

const table = document.querySelector("#trials table");
for (const heading of table.querySelectorAll("th[data-sort]")) {
  heading.addEventListener("click", () => sortBy(table, heading.cellIndex, heading.dataset.sort));
}

const filter = document.querySelector("#trials input");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  document.querySelector("#trials output").textContent = `${shown} shown`;
});

table.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (button === null) return;
  try {
    await navigator.clipboard.writeText(button.dataset.command);
    button.textContent = "copied";
  } catch {
    // Clipboards are denied to some pages opened from a file: then the command can be copied by hand.
    window.prompt("The command:", button.dataset.command);
  }
});

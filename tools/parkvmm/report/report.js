/* SPDX-License-Identifier: Apache-2.0 */
// What a report does besides being there: tables in another order, and the data
// it carries as files.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// --- tables in another order ------------------------------------------------

function keyOf(row, column) {
  const cell = row.cells[column];
  const key = cell.dataset.value ?? cell.textContent;
  return key !== "" && isFinite(key) ? Number(key) : key;
}

function sortBy(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => ({row, key: keyOf(row, column)}));
  const order = (a, b) => (typeof a.key === "number" && typeof b.key === "number"
    ? a.key - b.key : String(a.key).localeCompare(String(b.key), "en", {numeric: true}));
  rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
  table.tBodies[0].append(...rows.map(({row}) => row));
}

// --- the data as files ------------------------------------------------------

function fileOf(kind, number) {
  const result = data.results[number];
  const name = (result.name ?? (result.arm || "run")).replace(/[^\w.-]+/g, "-");
  // As results.py writes it.
  return kind === "csv" ? {name: `${name}.csv`, type: "text/csv", text: data.csv[number]}
    : {name: `${name}.json`, type: "application/json", text: JSON.stringify(result, null, 1) + "\n"};
}

function download({name, type, text}) {
  const address = URL.createObjectURL(new Blob([text], {type}));
  element("a", {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// --- start ------------------------------------------------------------------

document.querySelectorAll("table.sortable").forEach((table) => {
  table.querySelectorAll("thead button").forEach((button, column) => {
    button.addEventListener("click", () => sortBy(table, column));
  });
});
document.querySelectorAll(".download").forEach((button) => {
  button.addEventListener("click", () => download(fileOf(button.dataset.kind, button.dataset.result)));
});

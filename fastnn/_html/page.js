"use strict";

function element(name, settings, ...children) {
  const made = Object.assign(document.createElement(name), settings);
  made.append(...children);
  return made;
}

function textOf(row, column) {
  return row.cells[column].textContent;
}

function compare(one, other, column) {
  const [a, b] = [one, other].map((row) => row.cells[column].dataset.key);
  if (a !== undefined && b !== undefined) return a - b;
  // Cells without a number stand behind those with one.
  if (a !== undefined || b !== undefined) return a === undefined ? 1 : -1;
  return textOf(one, column).localeCompare(textOf(other, column), undefined, { numeric: true });
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => sign * compare(a, b, column)));
    });
  });
}

function choice(label, values) {
  const numeric = (a, b) => a.localeCompare(b, undefined, { numeric: true });
  const options = [...new Set(values)].sort(numeric).map((value) => new Option(value));
  const select = element("select", {}, new Option("all", ""), ...options);
  return [element("label", {}, label, select), select];
}

// Shows the items for which every test is true, and says how many these are.
function addTools(before, items, controls, labels, noun) {
  const count = element("output", { className: "count" });
  const update = () => {
    let shown = 0;
    for (const item of items) {
      item.hidden = !controls.every(([control, test]) => test(item, control.value));
      shown += !item.hidden;
    }
    count.textContent = `${shown.toLocaleString("en")} of ${items.length.toLocaleString("en")} ${noun}`;
  };
  for (const [control] of controls) control.addEventListener("input", update);
  before.before(element("div", { className: "tools" }, ...labels, count));
  update();
}

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 12) return;
  const input = element("input", { type: "search" });
  const labels = [element("label", {}, "Filter", input)];
  const words = (value) => value.toLowerCase().split(/\s+/).filter(Boolean);
  const controls = [
    [input, (row, value) => words(value).every((w) => row.textContent.toLowerCase().includes(w))],
  ];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (head.dataset.choice === undefined) return;
    const [label, select] = choice(head.textContent, rows.map((row) => textOf(row, column)));
    labels.push(label);
    controls.push([select, (row, value) => !value || textOf(row, column) === value]);
  });
  addTools(table.parentElement, rows, controls, labels, "rows");
}

function makeGallery(gallery) {
  const items = [...gallery.children];
  const [label, select] = choice(gallery.dataset.choice, items.map((item) => item.dataset.value));
  const test = (item, value) => !value || item.dataset.value === value;
  addTools(gallery, items, [[select, test]], [label], "pictures");
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeFilterable(table);
  makeSortable(table);
}
document.querySelectorAll(".gallery").forEach(makeGallery);

// What is folded is printed, too.
const folded = () => document.querySelectorAll("details:not([open], .long)");
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...folded()];
  for (const one of unfolded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of unfolded) one.open = false;
});

/* SPDX-License-Identifier: Apache-2.0 */
// What a report does besides being there: lanes of a chosen kexec, tables in
// another order, and the data it carries as files.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const PHASES = ["prepare", "down", "jump", "early", "up", "userspace"];
const MOMENTS = ["left_ns", "off_ns", "known_ns", "called_ns", "started_ns"];

// --- elements ---------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, title) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (title) made.append(shape("title", {}));
  if (title) made.firstChild.textContent = title;
  return made;
}

function written(x, y, text, kind) {
  const made = shape("text", {x, y, class: kind});
  made.textContent = text;
  return made;
}

// A run of vmm run is shown as a unit.
function unitsOf(result) {
  if (result.units) return result.units;
  return [{id: `${result.arm || "run"}-${result.boots[0].cpus}cpu`,
           samples: result.kexecs.filter((kexec) => kexec.total_ns !== null)}];
}

const ms = (ns) => (ns === null ? "-" : (ns / 1e6).toFixed(3));

// --- the lanes of a kexec ---------------------------------------------------

// [{name, begin, end}] in ns since the kexec mark.
function phasesOf(sample) {
  let at = 0;
  return PHASES.map((name) => {
    const begin = at;
    at += sample.phase_ns[name];
    return {name, begin, end: at};
  });
}

// Its CPUs, each with its moments in ns since the kexec mark.
const lanesOf = (sample) => [...sample.per_cpu].sort((one, other) => one.vcpu - other.vcpu);

// What a CPU was in, from its moments: [{kind, what, begin, end}]. A moment that
// was not seen leaves a gap.
function statesOf(lane, total) {
  const {left_ns: left, off_ns: off, known_ns: known, called_ns: called, started_ns: started} = lane;
  const states = [];
  const add = (kind, what, begin, end) => {
    if (begin !== null && end !== null && end > begin) states.push({kind, what, begin, end});
  };
  add("kernel", "runs the old kernel", 0, left);
  add("vmm", "leaves", left, off);
  add("polling", "off, not yet known to be", off, known);
  add("off", "off or parked", known ?? off, called ?? total);
  add("vmm", "starts", called, started);
  add("kernel", "runs the new kernel", started, total);
  return states;
}

// A step of 1, 2 or 5 times a power of ten that gives about `count` ticks.
function ticks(begin, end, count) {
  const rough = (end - begin) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step / 1e6) + 1e-9));
  const found = [];
  for (let i = Math.ceil(begin / step); i * step <= end; i++) {
    found.push({at: i * step, text: ((i * step) / 1e6).toFixed(digits)});
  }
  return found;
}

function scale(begin, end, from, to) {
  return (ns) => from + ((Math.min(Math.max(ns, begin), end) - begin) / (end - begin)) * (to - from);
}

function axis(svg, x, begin, end, y, width) {
  svg.append(shape("line", {class: "axis", x1: x(begin), x2: x(end), y1: y, y2: y}));
  for (const tick of ticks(begin, end, width / 75)) {
    svg.append(shape("line", {class: "axis", x1: x(tick.at), x2: x(tick.at), y1: y, y2: y + 4}),
               written(x(tick.at), y + 17, tick.text, "tick middle"));
  }
}

function band(svg, x, phases, begin, end, height) {
  for (const phase of phases) {
    if (phase.end <= begin || phase.begin >= end || phase.end <= phase.begin) continue;
    const from = x(phase.begin), to = x(phase.end);
    svg.append(shape("rect", {class: "phase", x: from, y: 0, width: to - from, height},
                     `${phase.name}: ${ms(phase.end - phase.begin)} ms`));
    if (to - from > 8 + 6.6 * phase.name.length) {
      svg.append(written((from + to) / 2, height / 2 + 4, phase.name, "middle"));
    }
  }
}

const LEFT = 30, BAND = 22;
const NARROWEST = 260;  // a page that is not shown has no width at all

const widthOf = (place) => Math.max(NARROWEST, place.clientWidth);

function canvas(width, height, label) {
  return shape("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label});
}

// The whole kexec, and which parts of it the panels show.
function overview(width, phases, views) {
  const total = phases.at(-1).end;
  const svg = canvas(width, BAND + 34, `Phases: ${phases.map(
      (phase) => `${phase.name} ${ms(phase.end - phase.begin)} ms`).join(", ")}`);
  const x = scale(0, total, 0, width);
  band(svg, x, phases, 0, total, BAND);
  for (const {begin, end} of views) {
    svg.append(shape("rect", {class: "zoom", x: x(begin), y: BAND + 2,
                              width: Math.max(2, x(end) - x(begin)), height: 3}));
  }
  axis(svg, x, 0, total, BAND + 9, width);
  return svg;
}

function panel(width, phases, lanes, numbers, {name, begin, end}) {
  const row = Math.max(4, Math.min(18, Math.floor(420 / lanes.length)));
  const bottom = BAND + 6 + row * lanes.length;
  const svg = canvas(width, bottom + 24, `Lanes of ${lanes.length} CPUs, ${name}`);
  const x = scale(begin, end, LEFT, width - 8);
  const every = Math.ceil(14 / row);
  band(svg, x, phases, begin, end, BAND);
  lanes.forEach((lane, index) => {
    const y = BAND + 6 + row * index;
    const cpu = numbers.get(lane.mpidr) ?? lane.mpidr;
    if (index % every === 0) svg.append(written(LEFT - 6, y + Math.min(row, 14) / 2 + 4, cpu, "tick end"));
    for (const state of statesOf(lane, phases.at(-1).end)) {
      if (state.end <= begin || state.begin >= end) continue;
      const from = x(state.begin);
      svg.append(shape("rect", {class: state.kind, x: from, y, height: row - (row > 6 ? 2 : 1),
                                width: Math.max(1, x(state.end) - from)},
                       `CPU ${cpu} ${state.what}: ${ms(state.begin)} to ${ms(state.end)} ms`));
    }
  });
  for (const phase of phases.slice(1)) {
    if (phase.begin <= begin || phase.begin >= end) continue;
    svg.append(shape("line", {class: "edge", x1: x(phase.begin), x2: x(phase.begin), y1: BAND, y2: bottom}));
  }
  axis(svg, x, begin, end, bottom + 2, width);
  return svg;
}

function seen(lanes, moments) {
  return lanes.flatMap((lane) => moments.map((moment) => lane[moment])).filter((ns) => ns !== null);
}

// The part of the kexec in which these moments lie, and some more.
function viewOf(name, lanes, moments, total) {
  const all = seen(lanes, moments);
  if (!all.length) return null;
  const first = Math.min(...all), last = Math.max(...all);
  const more = Math.max(0.06 * (last - first), 1000);
  return {name, begin: Math.max(0, first - more), end: Math.min(total, last + more)};
}

// The picture in words.
function saying(unit, phases, lanes) {
  const during = (what, moments) => {
    const all = seen(lanes, moments);
    return all.length ? [`${what} from ${ms(Math.min(...all))} to ${ms(Math.max(...all))} ms`] : [];
  };
  const ways = [...during("CPUs leave", ["left_ns", "off_ns"]), ...during("start", ["called_ns", "started_ns"])];
  return `${unit.id}: ${ways.join(" and ")}. Phases: ${phases.map(
      (phase) => `${phase.name} ${ms(phase.end - phase.begin)}`).join(", ")} ms.`;
}

function drawLanes(place, unit, sample) {
  const lanes = lanesOf(sample);
  const phases = phasesOf(sample);
  const numbers = new Map(sample.per_cpu.map((cpu) => [cpu.mpidr, cpu.vcpu]));
  const total = phases.at(-1).end;
  const views = [viewOf("down", lanes, ["left_ns", "off_ns", "known_ns"], total),
                 viewOf("up", lanes, ["called_ns", "started_ns"], total)].filter(Boolean);
  const width = widthOf(place);
  const panels = element("div", {class: "panels"});
  const figures = views.map((view) => {
    const figure = element("figure", {}, element("figcaption", {}, `${view.name} `, element(
        "span", {}, "CPU by CPU, ms since the guest calls kexec")));
    panels.append(figure);
    return figure;
  });
  place.replaceChildren(element("figure", {}, element("figcaption", {}, "the whole kexec ", element(
      "span", {}, "ms since the guest calls kexec; a bar below is a part shown larger")),
      overview(width, phases, views)), panels);
  // Only in the page does a figure have a width.
  figures.forEach((figure, index) => figure.append(
      panel(widthOf(figure), phases, lanes, numbers, views[index])));
  return saying(unit, phases, lanes);
}

function laneTable(sample) {
  const row = (kind, cells) => element("tr", {}, ...cells.map((text, index) => element(
      index && kind === "td" ? "td" : "th", kind === "th" ? {scope: "col"} : index ? {} : {scope: "row"}, text)));
  const heading = ["CPU (MPIDR)", "left, ms", "off, ms", "known to be, ms", "called, ms", "started, ms"];
  return element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Moments of each CPU"},
    element("table", {}, element("caption", {}, "Moments of each CPU"), element("thead", {}, row("th", heading)), element("tbody", {}, ...lanesOf(sample).map(
        (lane) => row("td", [lane.mpidr, ...MOMENTS.map((moment) => ms(lane[moment]))])))));
}

function choices(count) {
  return Array.from({length: count}, (_, index) => element("option", {value: index}, `${index + 1} of ${count}`));
}

function startLanes(place) {
  const section = place.closest("section");
  const unitOf = section.querySelector(".unit-of"), kexecOf = section.querySelector(".kexec-of");
  const units = unitsOf(data.results[place.dataset.result]);
  const drawable = (unit) => unit.samples.filter((sample) => sample.per_cpu.length);
  const draw = () => {
    const unit = units[unitOf.value], sample = drawable(unit)[kexecOf.value];
    section.querySelector(".said").textContent = drawLanes(place, unit, sample);
    section.querySelector(".lane-table").replaceChildren(laneTable(sample));
  };
  const chooseUnit = () => {
    kexecOf.replaceChildren(...choices(drawable(units[unitOf.value]).length));
    draw();
  };
  unitOf.addEventListener("change", chooseUnit);
  kexecOf.addEventListener("change", draw);
  chooseUnit();
  let width = place.clientWidth;
  new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    draw();
  }).observe(place);
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

document.querySelectorAll(".lanes").forEach(startLanes);
document.querySelectorAll("table.sortable").forEach((table) => {
  table.querySelectorAll("thead button").forEach((button, column) => {
    button.addEventListener("click", () => sortBy(table, column));
  });
});
document.querySelectorAll(".download").forEach((button) => {
  button.addEventListener("click", () => download(fileOf(button.dataset.kind, button.dataset.result)));
});

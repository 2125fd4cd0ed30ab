"use strict";
const runs = (() => {
  const FIRST = 50, MORE = 250;
  const data = JSON.parse(document.getElementById("runs-data").textContent);
  const columns = data.columns;
  const count = columns[0].kind === "text" ? columns[0].at.length : columns[0].values.length;
  const byId = (id) => document.getElementById(id);
  const box = byId("filter"), counter = byId("count"), more = byId("more"), detail = byId("detail");
  const head = document.querySelector("#runs-table thead tr"), body = document.querySelector("#runs-table tbody");
  const shownColumns = columns.filter((column) => column.shown);
  let order = Array.from({ length: count }, (_, run) => run);
  let found = order, limit = FIRST, sorted = null, shown = null, pinned = null;

  // The value itself (null if there is none), and as the table shows it.
  const value = (column, run) =>
    column.kind === "text" ? (column.at[run] < 0 ? null : column.levels[column.at[run]]) : column.values[run];

  function text(column, run) {
    const it = value(column, run);
    if (it === null) return column.part === "setting" ? "none" : "–";
    if (column.kind === "switch") return it ? "on" : "off";
    if (column.kind === "text" || column.part === "setting" || column.key === "seed" || column.key === "job") return String(it);
    if (column.key === "seconds") return it.toFixed(1);
    if (column.part === "result" && !column.whole) return Math.abs(it) < 1e4 ? it.toFixed(4) : it.toPrecision(6);
    return it.toLocaleString("en");
  }

  for (const column of columns) {
    column.whole = column.kind === "number" && column.values.every((it) => it === null || Number.isInteger(it));
    column.names = [column.key, column.title.replace(/[^\p{L}\p{N}.]+/gu, "_").replace(/^_|_$/g, "")].map((name) => name.toLowerCase());
  }

  // Sorting: numbers by value, missing values always last, equal values in the order of the jobs.

  function sort(column, descending) {
    sorted = column;
    const keys = new Array(count);
    for (let run = 0; run < count; run++) keys[run] = value(column, run);
    const sign = descending ? -1 : 1;
    const compare = column.kind === "text" ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a - b;
    order = Array.from({ length: count }, (_, run) => run).sort((a, b) => {
      if (keys[a] === null || keys[b] === null) return (keys[a] === null) - (keys[b] === null) || a - b;
      return sign * compare(keys[a], keys[b]) || a - b;
    });
    for (const cell of head.children) cell.removeAttribute("aria-sort");
    const place = shownColumns.indexOf(column);
    if (place >= 0) head.children[place].setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  // Filtering: words and conditions, all of which must hold.

  function columnOf(name) {
    const wanted = name.toLowerCase();
    const tests = [
      (names) => names.includes(wanted),
      (names) => names.some((one) => one.split("_").includes(wanted)),
      (names) => names.some((one) => one.includes(wanted)),
    ];
    for (const test of tests) {
      const fit = columns.filter((column) => test(column.names));
      const seen = fit.filter((column) => column.shown);
      if (fit.length === 1 || seen.length === 1) return seen[0] || fit[0];
      if (fit.length) throw new Error(`“${name}” matches several columns: ${fit.slice(0, 4).map((column) => column.key).join(", ")}`);
    }
    throw new Error(`no column “${name}”`);
  }

  function equalTest(column, wanted) {
    const range = wanted.split("..");
    if (column.kind === "number" && range.length === 2 && range.every((end) => end !== "" && !isNaN(end))) {
      return (run) => value(column, run) !== null && value(column, run) >= +range[0] && value(column, run) <= +range[1];
    }
    if (wanted === "none") return (run) => value(column, run) === null;
    if (column.kind === "switch") {
      const yes = ["on", "true", "yes", "1"].includes(wanted);
      if (!yes && !["off", "false", "no", "0"].includes(wanted)) throw new Error(`${column.key} is on or off`);
      return (run) => value(column, run) === yes;
    }
    if (column.kind === "number") return (run) => value(column, run) === +wanted || text(column, run) === wanted;
    return (run) => text(column, run).toLowerCase() === wanted;
  }

  function condition(name, sign, wanted) {
    const column = columnOf(name);
    if (sign === "=" || sign === "!=") {
      const whole = wanted.toLowerCase();
      // A text may contain commas.
      const isLevel = column.kind === "text" && column.levels.some((level) => String(level).toLowerCase() === whole);
      const listed = isLevel ? [whole] : whole.split(",").filter((one) => one !== "");
      const tests = listed.map((one) => equalTest(column, one));
      return sign === "=" ? (run) => tests.some((test) => test(run)) : (run) => !tests.some((test) => test(run));
    }
    if (column.kind !== "number" || isNaN(wanted)) throw new Error(`${name}${sign}${wanted} needs a number`);
    const bound = +wanted;
    const compare = {
      "<": (it) => it < bound, "<=": (it) => it <= bound, ">": (it) => it > bound, ">=": (it) => it >= bound,
    }[sign];
    return (run) => value(column, run) !== null && compare(value(column, run));
  }

  const lines = new Array(count);
  function line(run) {
    if (lines[run] === undefined) lines[run] = columns.map((column) => text(column, run)).join("\n").toLowerCase();
    return lines[run];
  }

  function testOf(token) {
    const part = token.replaceAll('"', "");
    const match = /^([^<>=!]+)(<=|>=|!=|=|<|>)(.*)$/.exec(part);
    if (!match) return (run) => line(run).includes(part.toLowerCase());
    if (match[3] === "") throw new Error(`${part} needs a value`);
    return condition(match[1], match[2], match[3]);
  }

  function filter() {
    const tests = [];
    let complaint = "";
    for (const token of box.value.match(/(?:[^\s"]|"[^"]*"?)+/g) || []) {
      try {
        tests.push(testOf(token));
      } catch (error) {
        complaint = error.message;  // an incomplete condition, still being typed, is ignored
      }
    }
    found = order.filter((run) => tests.every((test) => test(run)));
    const all = count.toLocaleString("en") + (count === 1 ? " run" : " runs");
    counter.className = complaint ? "wrong" : "";
    counter.textContent = complaint || (tests.length ? `${found.length.toLocaleString("en")} of ${all}` : all);
  }

  // The rows: only the first ones are in the document.

  function rowOf(run) {
    const row = document.createElement("tr");
    row.dataset.run = run;
    row.tabIndex = -1;
    for (const column of shownColumns) {
      const cell = row.insertCell();
      cell.textContent = text(column, run);
      if (column.kind === "text") cell.className = "left";
      else if (cell.textContent === "off" || value(column, run) === null) cell.className = "off";
    }
    return row;
  }

  function draw() {
    const rows = found.slice(0, limit).map(rowOf);
    if (rows.length) rows[0].tabIndex = 0;
    body.replaceChildren(...rows);
    more.hidden = found.length <= limit;
    more.textContent = `Show ${Math.min(MORE, found.length - limit).toLocaleString("en")} more`;
    if (pinned !== null) rowFor(pinned)?.classList.add("pinned");
  }

  const rowFor = (run) => body.querySelector(`tr[data-run="${run}"]`);

  function update() {
    limit = FIRST;
    filter();
    draw();
  }

  // Everything about one run.

  function list(pairs) {
    const dl = document.createElement("dl");
    for (const [name, it] of pairs) {
      dl.append(Object.assign(document.createElement("dt"), { textContent: name }));
      dl.append(Object.assign(document.createElement("dd"), { textContent: it }));
    }
    return dl;
  }

  // The panel is placed on the side opposite to the pointer.
  function show(run, onTheLeft = false) {
    if (run === shown) return;
    hide();
    shown = run;
    const pairs = (part) => columns.filter((column) => column.part === part)
      .map((column) => [column.title, text(column, run)]).filter((pair) => part === "setting" || pair[1] !== "–");
    const title = (words, level) => Object.assign(document.createElement(level), { textContent: words });
    const of = (key) => text(columns.find((column) => column.key === key), run);
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", unpin);
    const link = Object.assign(document.createElement("a"), { href: "#runs", textContent: "Show in the table" });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      reveal(run);
    });
    detail.replaceChildren(
      title(`Job ${of("job")}, round ${of("round")}`, "h3"), close, link,
      title("Results", "h4"), list([...pairs("result"), ...pairs("run").filter((pair) => pair[0] !== "job" && pair[0] !== "round")]),
      title("Settings that vary", "h4"), list(pairs("setting")),
      title("The same in all runs", "h4"), list(data.shared),
    );
    document.dispatchEvent(new CustomEvent("run-shown", { detail: of("job") }));
    detail.scrollTop = 0;
    detail.classList.toggle("left", onTheLeft);
    detail.hidden = false;
  }

  function hide() {
    document.dispatchEvent(new CustomEvent("run-hidden"));
    detail.hidden = true;
    shown = null;
  }

  function pin(run, onTheLeft = false) {
    unpin();
    pinned = run;
    rowFor(run)?.classList.add("pinned");
    detail.classList.add("pinned");
    show(run, onTheLeft);
  }

  function unpin() {
    body.querySelector(".pinned")?.classList.remove("pinned");
    detail.classList.remove("pinned");
    hide();
    pinned = null;
  }

  function reveal(run) {
    if (!found.includes(run)) use("");
    limit = Math.max(limit, found.indexOf(run) + 1);
    draw();
    rowFor(run).focus({ preventScroll: true });
    rowFor(run).scrollIntoView({ block: "center" });
  }

  const runAt = (event) => {
    const row = event.target.closest?.("tr[data-run]");
    return row ? +row.dataset.run : null;
  };

  // The run under the pointer (null: none), and the selected run, in the table or a picture.
  function point(run, onTheLeft) {
    if (pinned === null) run === null ? hide() : show(run, onTheLeft);
  }

  function choose(run, onTheLeft) {
    if (run !== null) run === pinned ? unpin() : pin(run, onTheLeft);
  }

  for (const kind of ["mouseover", "focusin"]) {
    body.addEventListener(kind, (event) => { if (runAt(event) !== null) point(runAt(event)); });
  }
  for (const kind of ["mouseleave", "focusout"]) body.addEventListener(kind, () => point(null));
  body.addEventListener("click", (event) => choose(runAt(event)));
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (next) {
      event.preventDefault();
      row.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      if (pinned !== null) pin(+next.dataset.run);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(+row.dataset.run);
    }
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") unpin(); });

  // The head, the box, the links.

  for (const column of shownColumns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (column.kind === "text") cell.className = "left";
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: column.title });
    button.title = column.key;
    button.addEventListener("click", () => {
      sort(column, cell.getAttribute("aria-sort") === "ascending");
      update();
    });
    cell.append(button);
    head.append(cell);
  }

  function use(filterText) {
    box.value = filterText;
    update();
  }

  function examples() {
    const settings = shownColumns.filter((column) => column.part === "setting");
    const number = settings.find((column) => column.kind === "number"), other = settings.find((column) => column !== number);
    const metric = columns.find((column) => column.key === data.sort);
    const present = metric.values.filter((it) => it !== null).sort((a, b) => a - b);
    const made = [];
    if (number) made.push(`${number.key}=${number.values.reduce((most, it) => (it === null || it < most ? most : it), -Infinity)}`);
    if (other) made.push(`${other.key}=${text(other, value(other, 0) === null ? count - 1 : 0).replace(/^(.*\s.*)$/, '"$1"')}`);
    if (present.length) made.push(`${metric.key}<${+present[present.length >> 1].toPrecision(3)}`);
    const place = byId("filter-examples");
    made.forEach((example, i) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "example", textContent: example });
      button.addEventListener("click", () => use(example));
      place.append(button, i < made.length - 1 ? ", " : "");
    });
  }

  box.addEventListener("input", update);
  more.addEventListener("click", () => {
    const at = limit;
    limit += MORE;
    draw();
    body.children[at]?.focus({ preventScroll: true });
  });
  for (const link of document.querySelectorAll("a[data-filter]")) {
    link.addEventListener("click", () => use(link.dataset.filter));
  }
  examples();
  sort(columns.find((column) => column.key === data.sort), false);
  update();
  return { ofJob: new Map(columns.find((column) => column.key === "job").values.map((job, run) => [String(job), run])), point, choose };
})();

// The page of reactor.monitor: what the WebSocket tells, as plots, a table and a dialogue.
//
// The server sends rows in small portions, those in view first; the table is drawn from a map, and
// only as many rows are in the document as are in view, so that 15,000 connections stay fluent.
// Texts reach the document by textContent only: names come from strangers.
"use strict";

const $ = (id) => document.getElementById(id);
const ROW_HEIGHT = 30;
const POINTS = 600; // one a second
const RATE_OVER = 2.5; // seconds over which a connection's rate is the mean

// -- what was told ---------------------------------------------------------------------------

/** Names of a row's values, in the order in which the server sends them. */
let fields = [];
/** id -> {..., inRate, outRate} */
const connections = new Map();
/** [time, messages in, messages out, lag, busy] a second each */
let points = [];
let socket = null;
let order = []; // ids, sorted and filtered
let chosen = null; // the id of the chosen row
let looking = null; // the id whose detail is open
let topicsOf = null; // the id of the feed whose topics are open
let sort = { key: "inRate", down: true };
let wait = 500;

const handlers = {
  hello(message) {
    fields = message.fields;
    connections.clear();
    points = message.history;
    $("process").textContent = message.process;
    document.title = `reactor: ${message.process}`;
    $("topics").hidden = true;
    topicsOf = null;
  },

  tick(message) {
    points.push(message.point);
    points = points.slice(-POINTS);
    const [, taken, sent, lag, busy] = message.point;
    $("rate-now").textContent = `${count(taken)} in, ${count(sent)} out`;
    $("lag-now").textContent = duration(lag);
    $("busy-now").textContent = `${(busy * 100).toFixed(1)} %`;
    facts(message.facts);
    draw();
  },

  rows(message) {
    for (const values of message.rows) {
      const row = Object.fromEntries(fields.map((name, index) => [name, values[index]]));
      let before = connections.get(row.id);
      if (before?.gone) before = undefined; // another one has its number now
      row.inRate = before?.inRate ?? 0;
      row.outRate = before?.outRate ?? 0;
      row.base = before?.base ?? row; // since when the rate is counted: some seconds
      const passed = row.now - row.base.now;
      if (passed >= RATE_OVER) {
        row.inRate = (row.messages_in - row.base.messages_in) / passed;
        row.outRate = (row.messages_out - row.base.messages_out) / passed;
        row.base = row;
      }
      if (row.role === "server") row.place = row.host + row.place;
      connections.set(row.id, row);
    }
    arrangeSoon();
  },

  gone(message) {
    for (const id of message.ids) {
      if (id !== chosen) connections.delete(id);
      else Object.assign(connections.get(id) ?? {}, { activity: "ended", gone: true });
    }
    arrangeSoon();
  },

  feeds(message) {
    $("feeds").hidden = message.feeds.length === 0;
    $("feed-list").replaceChildren(...message.feeds.map(feedCard));
  },

  topics(message) {
    if (message.feed !== topicsOf) return;
    $("topics").hidden = false;
    $("topics-title").textContent = message.name;
    $("topics-note").textContent = message.shown < message.found
      ? `the first ${count(message.shown)} of ${count(message.found)}: find the others by name`
      : `${count(message.found)} topics`;
    $("topic-list").replaceChildren(...message.topics.map(([topic, state]) => {
      const item = document.createElement("li");
      item.append(text("span", state.toLowerCase()), ` ${topic}`);
      return item;
    }));
  },

  detail(message) {
    if (message.id !== looking) return;
    $("detail-title").textContent = message.title;
    $("explain").textContent = message.explain;
    const atEnd = nearEnd($("frames"));
    $("frames").textContent = message.frames.join("\n") || "none yet";
    if (atEnd) $("frames").scrollTop = $("frames").scrollHeight;
  },
};

function connect() {
  const url = new URL("live", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = location.search;
  socket = new WebSocket(url);
  socket.onopen = () => {
    wait = 500;
    $("link").textContent = "live";
    $("link").className = "";
    ask();
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    handlers[message.kind]?.(message);
  };
  socket.onclose = () => {
    $("link").textContent = "connection lost; trying again";
    $("link").className = "lost";
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 10000);
  };
}

/** Tell the server what is in view: those rows come first. */
function ask() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({
    rows: inView(),
    detail: looking,
    topics: topicsOf,
    find: $("topic-search").value,
  }));
}

// -- the table -------------------------------------------------------------------------------

const COLUMNS = [
  { key: "activity", title: "State", cell: (row) => row.activity },
  { key: "place", title: "Connection", cell: (row) => row.feed ? `${row.feed}: ${row.place}` : row.place },
  { key: "inRate", title: "In/s", number: true, cell: (row) => rate(row.inRate) },
  { key: "outRate", title: "Out/s", number: true, narrow: "middle", cell: (row) => rate(row.outRate) },
  { key: "latency", title: "Round trip", number: true, narrow: "middle",
    cell: (row) => row.latency === null ? "" : duration(row.latency) },
  { key: "queued", title: "Queue", number: true, narrow: "middle", cell: (row) => bytes(row.queued) },
  { key: "attempts", title: "Attempts", number: true, narrow: "minor", cell: (row) => row.role === "server" ? "" : count(row.attempts) },
  { key: "silence", title: "Silent for", number: true, narrow: "minor",
    cell: (row) => row.silence === null ? "" : duration(row.silence) },
  { key: "last_error", title: "Last error", narrow: "minor", cell: (row) => row.last_error ?? "" },
];

function makeHead() {
  $("head").replaceChildren(...COLUMNS.map((column) => {
    const cell = document.createElement("div");
    cell.setAttribute("role", "columnheader");
    cell.className = classes(column);
    const button = text("button", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      sort = { key: column.key, down: sort.key === column.key ? !sort.down : Boolean(column.number) };
      arrange();
    });
    cell.append(button);
    column.head = cell;
    return cell;
  }));
}

const classes = (column) => [column.number && "number", column.narrow].filter(Boolean).join(" ");

let arranging = false;
function arrangeSoon() {
  if (arranging) return;
  arranging = true;
  setTimeout(() => { arranging = false; arrange(); }, 250);
}

/** Filter and sort, and show what is in view. */
function arrange() {
  const wanted = $("search").value.trim().toLowerCase();
  const state = $("state").value;
  order = [];
  for (const [id, row] of connections) {
    if (state && row.activity !== state) continue;
    if (wanted && !haystack(row).includes(wanted)) continue;
    order.push(id);
  }
  const { key, down } = sort;
  const sign = down ? -1 : 1;
  const value = (id) => connections.get(id)[key];
  order.sort((a, b) => sign * compare(value(a), value(b)) || a - b);
  for (const column of COLUMNS) {
    const direction = sort.down ? "descending" : "ascending";
    column.head.setAttribute("aria-sort", column.key === sort.key ? direction : "none");
    column.head.firstChild.textContent =
      column.title + (column.key === sort.key ? (sort.down ? " ↓" : " ↑") : "");
  }
  $("shown").textContent = order.length === connections.size
    ? `${count(order.length)}` : `${count(order.length)} of ${count(connections.size)}`;
  $("space").style.height = `${order.length * ROW_HEIGHT}px`;
  $("grid").setAttribute("aria-rowcount", order.length);
  show();
}

const haystack = (row) =>
  `${row.place} ${row.host} ${row.feed} ${row.role} ${row.last_error ?? ""}`.toLowerCase();

function compare(a, b) {
  if (a === null) return b === null ? 0 : -1;
  if (b === null) return 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function range() {
  const first = Math.max(0, Math.floor($("body").scrollTop / ROW_HEIGHT) - 4);
  const number = Math.ceil($("body").clientHeight / ROW_HEIGHT) + 8;
  return [first, Math.min(order.length, first + number)];
}

function inView() {
  return order.slice(...range());
}

const pool = []; // elements of rows, used again
function show() {
  const [first, end] = range();
  while (pool.length < end - first) pool.push(makeRow());
  pool.forEach((element, index) => {
    const id = order[first + index];
    const row = connections.get(id); // it may have gone since the rows were arranged
    element.hidden = first + index >= end || !row;
    if (element.hidden) return;
    element.dataset.id = id;
    element.id = `row-${id}`;
    element.style.top = `${(first + index) * ROW_HEIGHT}px`;
    element.setAttribute("aria-rowindex", first + index + 1);
    element.setAttribute("aria-selected", id === chosen);
    element.classList.toggle("chosen", id === chosen);
    COLUMNS.forEach((column, place) => {
      const cell = element.children[place];
      const value = column.cell(row);
      if (cell.textContent !== value) cell.textContent = value;
      cell.title = column.number ? "" : value;
    });
    element.children[0].className = `state ${row.activity}`;
  });
}

function makeRow() {
  const element = document.createElement("div");
  element.className = "row";
  element.setAttribute("role", "row");
  for (const column of COLUMNS) {
    const cell = document.createElement("div");
    cell.setAttribute("role", "gridcell");
    cell.className = classes(column);
    element.append(cell);
  }
  element.addEventListener("click", () => {
    choose(Number(element.dataset.id));
    open();
  });
  $("body").append(element);
  return element;
}

function choose(id) {
  if (id !== chosen && connections.get(chosen)?.gone) {
    connections.delete(chosen);
    arrangeSoon();
  }
  chosen = id;
  const place = order.indexOf(id);
  if (place >= 0) {
    const top = place * ROW_HEIGHT;
    const body = $("body");
    if (top < body.scrollTop) body.scrollTop = top;
    if (top + ROW_HEIGHT > body.scrollTop + body.clientHeight) {
      body.scrollTop = top + ROW_HEIGHT - body.clientHeight;
    }
  }
  show();
  const element = pool.find((each) => !each.hidden && Number(each.dataset.id) === id);
  if (element) $("grid").setAttribute("aria-activedescendant", element.id);
}

function step(by) {
  const place = order.indexOf(chosen);
  const next = place < 0 ? 0 : Math.min(Math.max(place + by, 0), order.length - 1);
  if (order.length) choose(order[next]);
}

function open() {
  if (chosen === null) return;
  looking = chosen;
  $("detail-title").textContent = connections.get(chosen)?.place ?? "";
  $("explain").textContent = "…";
  $("frames").textContent = "none yet";
  if (!$("detail").open) $("detail").showModal();
  ask();
}

// -- feeds -----------------------------------------------------------------------------------

function feedCard(feed) {
  const card = document.createElement("button");
  card.type = "button";
  card.className = "feed";
  const states = Object.entries(feed.topics).map(([state, number]) => `${count(number)} ${state.toLowerCase()}`);
  const gaps = Object.values(feed.gaps).reduce((a, b) => a + b, 0);
  card.append(text("b", feed.name), [
    states.join(", ") || "no topics",
    `${feed.open_links} of ${feed.links} links open`,
    `${count(feed.updates)} updates`,
    `${count(gaps)} gaps`,
    `${count(feed.resubscribed)} asked again`,
    `${count(feed.dropped)} dropped by mailboxes`,
  ].join(" · "));
  card.addEventListener("click", () => { topicsOf = feed.id; ask(); });
  return card;
}

// -- plots -----------------------------------------------------------------------------------

function draw() {
  plot($("rate"), [[1, "--in"], [2, "--out"]]);
  plot($("lag"), [[3, "--in"]], 0.001);
  plot($("busy"), [[4, "--in"]], 1);
}

/** Draw columns of `points` as lines, the newest at the right. */
function plot(canvas, lines, least = 1) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const top = Math.max(least, ...lines.map(([column]) => Math.max(0, ...points.map((p) => p[column]))));
  context.strokeStyle = style.getPropertyValue("--line");
  context.beginPath();
  context.moveTo(0, height - 0.5);
  context.lineTo(width, height - 0.5);
  context.stroke();
  for (const [column, colour] of lines) {
    context.strokeStyle = style.getPropertyValue(colour);
    context.lineWidth = 1.5;
    context.beginPath();
    points.forEach((point, index) => {
      const x = width - (points.length - 1 - index) * width / (POINTS - 1);
      const y = height - 2 - point[column] / top * (height - 6);
      if (index) context.lineTo(x, y); else context.moveTo(x, y);
    });
    context.stroke();
  }
}

function facts(pairs) {
  $("facts").replaceChildren(...pairs.flatMap(([name, value], index) =>
    [index ? " · " : "", `${name} `, text("b", value)]));
}

// -- words -----------------------------------------------------------------------------------

function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

const count = (number) => Math.round(number).toLocaleString("en");
const rate = (number) => number === 0 ? "" : number < 10 ? number.toFixed(1) : count(number);
const bytes = (number) => number === 0 ? "" : number < 1024 ? `${number} B`
  : number < 1048576 ? `${(number / 1024).toFixed(1)} KiB` : `${(number / 1048576).toFixed(1)} MiB`;

function duration(seconds) {
  if (seconds < 0.0001) return "0 ms";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

const nearEnd = (element) =>
  element.scrollTop + element.clientHeight >= element.scrollHeight - 20;

// -- the user --------------------------------------------------------------------------------

$("body").addEventListener("scroll", () => { show(); askSoon(); }, { passive: true });
let asking = false;
function askSoon() {
  if (asking) return;
  asking = true;
  setTimeout(() => { asking = false; ask(); }, 150);
}
setInterval(ask, 2000);
$("search").addEventListener("input", arrange);
$("state").addEventListener("change", arrange);
$("topic-search").addEventListener("input", askSoon);
$("topics-close").addEventListener("click", () => {
  topicsOf = null;
  $("topics").hidden = true;
  ask();
});
$("detail").addEventListener("close", () => {
  looking = null;
  ask();
  $("grid").focus();
});
$("grid").addEventListener("keydown", (event) => {
  if (event.target.closest("#head")) return;
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };
  if (event.key in steps) step(steps[event.key]);
  else if (event.key === "Enter") open();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, select") && !$("detail").open) {
    $("search").focus();
    event.preventDefault();
  }
});
window.addEventListener("resize", () => { draw(); show(); });

makeHead();
arrange();
connect();

// The page of a fleet: asks for stats.json every second, and shows a row for each shard.
"use strict";

const EVERY = 1000; // ms
const OLD = 3; // seconds after which figures are called old

// Heading, the name of the figure, and whether its rate is shown.
const COLUMNS = [
  ["live", "live"], ["stale", "stale"], ["refused", "refused"], ["links", "links"],
  ["updates/s", "updates", true], ["stored/s", "stored", true], ["sent/s", "sent", true],
  ["pending", "pending"], ["buffered", "buffered"], ["dropped", "dropped"], ["gaps", "gaps"],
  ["errors", "errors"], ["busy %", "busy", true, 100],
];
const TEXTS = ["shard", "state", "node", "pid", "epoch", "topics"];

const find = (id) => document.getElementById(id);
const earlier = new Map(); // shard -> what it counted in the last seconds

function cell(row, text, kind, tag = "td") {
  const made = document.createElement(tag);
  made.textContent = text; // never HTML: names come from elsewhere
  if (kind) made.className = kind;
  row.append(made);
}

// The rates of a shard since the oldest of its figures that are kept; another epoch begins anew.
function rates(shard, now) {
  let known = earlier.get(shard.shard);
  if (!known || known[0].epoch !== shard.epoch || known[0].pid !== shard.pid) known = [];
  const last = known[known.length - 1];
  if (!last || last.figures.updates !== shard.figures.updates || now - last.at > 2) {
    known.push({ at: now, epoch: shard.epoch, pid: shard.pid, figures: shard.figures });
  }
  while (known.length > 6) known.shift();
  earlier.set(shard.shard, known);
  const first = known[0], seconds = known[known.length - 1].at - first.at;
  return (name) => (seconds > 0
    ? Math.max(0, (known[known.length - 1].figures[name] || 0) - (first.figures[name] || 0)) / seconds
    : 0);
}

function show(stats) {
  const now = performance.now() / 1000;
  const body = document.createElement("tbody");
  const totals = COLUMNS.map(() => 0);
  for (const shard of stats.shards) {
    const row = body.insertRow();
    const rate = rates(shard, now);
    for (const name of TEXTS) {
      const kind = name === "state" ? `state ${STATES[shard.state] || "waiting"}` : "";
      cell(row, shard[name], kind || (name === "node" ? "" : "number"));
    }
    COLUMNS.forEach(([, name, isRate, times = 1], index) => {
      const value = isRate ? rate(name) * times : shard.figures[name] || 0;
      totals[index] += value;
      cell(row, Math.round(value).toLocaleString(), "number");
    });
  }
  find("shards").tBodies[0].replaceWith(body);
  const foot = find("shards").tFoot.rows[0];
  foot.replaceChildren();
  for (const name of TEXTS) {
    const topics = stats.shards.reduce((sum, shard) => sum + shard.topics, 0);
    cell(foot, name === "shard" ? "all" : name === "topics" ? topics : "", "number", "th");
  }
  totals.forEach((value, index) => {
    const shares = COLUMNS[index][1] === "busy" && stats.shards.length; // a mean, not a sum
    cell(foot, Math.round(shares ? value / shares : value).toLocaleString(), "number", "th");
  });
  document.title = find("name").textContent = `fleet ${stats.name}`;
  const running = stats.shards.filter((shard) => shard.state === "running").length;
  find("facts").textContent = `${running} of ${stats.shards.length} shards run, `
    + `generation ${stats.generation}, placement ${stats.placement.placement || "external"}`
    + (stats.placement.restarts ? `, ${stats.placement.restarts} processes started again` : "");
}

// The classes of monitor.css for the states of shards.
const STATES = { running: "open", settling: "connecting", silent: "ended", missing: "ended" };

function say(text, lost) {
  find("link").textContent = text;
  find("link").classList.toggle("lost", lost);
}

async function ask() {
  try {
    const answer = await fetch(`stats.json${location.search}`);
    if (!answer.ok) throw new Error(`${answer.status}`);
    const stats = await answer.json();
    show(stats);
    if (stats.age === null) say("nothing was read yet", true);
    else say(stats.age > OLD ? `NATS is away: ${Math.round(stats.age)} s old` : "live", stats.age > OLD);
  } catch (error) {
    say(`the fleet does not answer (${error.message})`, true);
  }
  setTimeout(ask, EVERY);
}

for (const [name] of [...TEXTS.map((name) => [name]), ...COLUMNS]) {
  const text = name === "node" || name === "state";
  cell(find("shards").tHead.rows[0], name, text ? "" : "number", "th");
}
ask();

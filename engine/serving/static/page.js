"use strict";

// Tiles come over one WebSocket in rounds; the next round is asked for when this one is drawn, so a slow viewer
// gets fewer frames and nothing piles up.

const tiles = new Map();    // source number -> its elements and its last frame
const hidden = new Set();   // classes that are not shown
const seen = new Set();     // classes that have a button
let names = {};
let focus = 0;
let retry = 500;            // ms
let heard = 0;              // when the last message came, ms
const SILENCE = 20000;      // ms without a message after which the connection is given up: one that a network lost says nothing

const element = (id) => document.getElementById(id);

function paint(number) {    // the colour of a class: hues by the golden ratio
  const hue = (7 + number * 0.618034 * 360) % 360;
  return `hsl(${hue.toFixed(0)} 90% ${[58, 45, 70, 50][Math.floor(number / 8) % 4]}%)`;
}

function className(number) {
  return names[number] ?? String(number);
}

function tileOf(order) {
  if (!tiles.has(order)) {
    const figure = element("tile").content.firstElementChild.cloneNode(true);
    const find = (query) => figure.querySelector(query);
    const tile = {
      order, figure, canvas: find("canvas"), state: find(".state"), label: find(".label"), numbers: find(".numbers"),
      alarms: find(".alarms"), counts: find(".counts"), view: find(".view"), image: null, boxes: [],
    };
    figure.dataset.order = order;
    figure.style.order = order;
    tile.view.addEventListener("click", () => {
      focus = focus === order ? 0 : order;
      for (const other of tiles.values()) other.figure.classList.toggle("focused", other.order === focus);
      figure.scrollIntoView({ block: "start" });
    });
    tiles.set(order, tile);
    element("tiles").append(figure);
  }
  return tiles.get(order);
}

function addClass(number) {
  seen.add(number);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = className(number);
  button.dataset.number = number;
  button.style.setProperty("--paint", paint(number));
  button.setAttribute("aria-pressed", "true");
  button.addEventListener("click", () => {
    const shown = hidden.delete(number);
    if (!shown) hidden.add(number);
    button.setAttribute("aria-pressed", String(shown));
    tiles.forEach(draw);
  });
  const after = [...element("classes").children].find((other) => Number(other.dataset.number) > number);
  element("classes").insertBefore(button, after ?? null);
}

function draw(tile) {
  if (!tile.image) return;
  const { canvas, image } = tile;
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const unit = Math.max(canvas.width, 320) / 640;
  const line = Math.max(1.5, 2.5 * unit);
  const size = Math.max(11, 15 * unit);
  context.lineWidth = line;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  let shown = 0;
  for (const [x1, y1, x2, y2, score, number, identity] of [...tile.boxes].reverse()) {
    if (hidden.has(number)) continue;
    shown += 1;
    const left = x1 * canvas.width;
    const top = y1 * canvas.height;
    context.strokeStyle = paint(number);
    context.strokeRect(left, top, (x2 - x1) * canvas.width, (y2 - y1) * canvas.height);
    const text = `${className(number)}${identity ? ` ${identity}` : ""} ${score.toFixed(2)}`;
    const wide = context.measureText(text).width + 6 * unit;
    const start = Math.max(0, Math.min(left - line / 2, canvas.width - wide));
    const bottom = top < size + 4 * unit ? top + size + 4 * unit : top;
    context.fillStyle = paint(number);
    context.fillRect(start, bottom - size - 3 * unit, wide, size + 3 * unit);
    context.fillStyle = "#000";
    context.fillText(text, start + 3 * unit, bottom - unit);
  }
  tile.figure.dataset.boxes = shown;
}

async function frame(data) {
  const length = new DataView(data).getUint32(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const tile = tileOf(head.order);
  const image = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  tile.image?.close();
  tile.image = image;
  tile.boxes = head.boxes;
  tile.figure.dataset.number = head.number;
  for (const box of head.boxes) if (!seen.has(box[5])) addClass(box[5]);
  draw(tile);
}

function seconds(value) {
  return value < 10 ? `${value.toFixed(1)} s` : value < 120 ? `${value.toFixed(0)} s` : `${(value / 60).toFixed(0)} min`;
}

function hello(given) {
  if (JSON.stringify(given) === JSON.stringify(names)) return;
  names = given;              // another detector
  hidden.clear();
  seen.clear();
  element("classes").replaceChildren();
}

function gone() {             // what the tiles said is no longer known to be so
  for (const { order, figure, state, numbers, alarms } of tiles.values()) {
    figure.className = `unknown${order === focus ? " focused" : ""}`;
    state.textContent = "unknown";
    numbers.textContent = "";
    alarms.textContent = "";
  }
  element("summary").textContent = "the detector does not answer; trying again";
}

function state(sources) {
  const states = {};
  for (const order of [...tiles.keys()]) {
    if (sources.some((source) => source.order === order)) continue;
    tiles.get(order).figure.remove();   // of an earlier run
    tiles.delete(order);
  }
  element("tiles").classList.toggle("single", sources.length === 1);
  for (const source of sources) {
    const tile = tileOf(source.order);
    states[source.state] = (states[source.state] ?? 0) + 1;
    tile.figure.className = `${source.state}${source.order === focus ? " focused" : ""}`;
    tile.state.textContent = source.state;
    tile.label.textContent = source.label;
    const parts = [];
    if (source.state === "live") parts.push(`${source.detection_rate.toFixed(1)} frames/s`);
    if (source.age !== null) parts.push(`last frame ${seconds(source.age)} ago`);
    if (source.reason) parts.push(source.reason);
    tile.numbers.textContent = parts.join(" · ");
    tile.alarms.textContent = source.alarms.map((alarm) => alarm.text).join(" · ");
    tile.counts.replaceChildren(...counts(source).map((text) => {
      const row = document.createElement("li");
      row.textContent = text;
      return row;
    }));
  }
  const total = sources.reduce((sum, source) => sum + source.detection_rate, 0);
  const words = Object.entries(states).map(([name, number]) => `${number} ${name}`).join(", ");
  element("summary").textContent = `${words} · ${total.toFixed(1)} frames/s`;
}

function counts({ lines, zones }) {
  const each = (classes, text) => Object.entries(classes).map(([name, value]) => text(name, value)).join("; ");
  return [
    ...Object.entries(lines).map(([line, classes]) =>
      `${line}: ${each(classes, (name, value) => `${name} ${value.in} in, ${value.out} out`) || "none yet"}`),
    ...Object.entries(zones).map(([zone, classes]) =>
      `${zone}: ${each(classes, (name, value) => `${name} ${value.inside} inside, ${value.entered} entered`) || "none yet"}`),
  ];
}

function connect() {
  const link = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${location.pathname}tiles`);
  link.binaryType = "arraybuffer";
  let work = Promise.resolve();   // messages are handled one after another
  heard = Date.now();
  const ask = () => { if (link.readyState === WebSocket.OPEN) link.send(JSON.stringify({ focus })); };
  const end = () => {
    link.onopen = link.onmessage = link.onclose = null;
    clearInterval(watch);
    link.close();
    work.then(gone);
    setTimeout(connect, retry);
    retry = Math.min(2 * retry, 5000);
  };
  const watch = setInterval(() => { if (!document.hidden && Date.now() - heard > SILENCE) end(); }, 1000);
  link.onopen = () => { retry = 500; ask(); };
  link.onmessage = ({ data }) => {
    heard = Date.now();
    work = work.then(async () => {
      if (typeof data !== "string") return frame(data);
      const message = JSON.parse(data);
      if (message.type === "hello") hello(message.names);
      else {
        state(message.sources);
        if (document.hidden) setTimeout(ask, 1000);
        else requestAnimationFrame(ask);
      }
    }).catch((problem) => { console.error(problem); ask(); });
  };
  link.onclose = end;
}

document.addEventListener("visibilitychange", () => { heard = Date.now(); });   // a hidden page asks rarely
connect();

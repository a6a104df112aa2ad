// One WebSocket of a client, step by step. Runs in node with `ws`, and in a page with the
// browser's own WebSocket: of `ws` it uses what browsers have, but for ping, fragments and drop.
"use strict";

function toMessage(step) {
  if ("text" in step) return step.text;
  if (typeof Buffer !== "undefined") return Buffer.from(step.base64, "base64");
  return Uint8Array.from(atob(step.base64), (character) => character.charCodeAt(0));
}

function fromMessage(data) {
  if (typeof data === "string") return { text: data };
  if (typeof Buffer !== "undefined") return { base64: Buffer.from(data).toString("base64") };
  const bytes = new Uint8Array(data);
  let characters = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    characters += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return { base64: btoa(characters) };
}

// Returns what a test wants to know of the connection: whether it was open, the subprotocol, the
// extensions, the result of each step that has one, and, if it has ended, how.
async function runScenario(socket, steps) {
  const messages = [];
  let wake = () => {};
  let end = null;
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event) => {
    messages.push(fromMessage(event.data));
    wake();
  };
  socket.onerror = () => {};
  const ended = new Promise((resolve) => {
    socket.onclose = (event) => {
      end = { code: event.code, reason: event.reason, clean: event.wasClean };
      resolve(end);
      wake();
    };
  });
  const opened = await Promise.race([
    new Promise((resolve) => (socket.onopen = () => resolve(true))),
    ended.then(() => false),
  ]);

  async function receive() {
    while (messages.length === 0) {
      if (end !== null) throw new Error(`ended with ${end.code} before a message`);
      await new Promise((resolve) => (wake = resolve));
    }
    return messages.shift();
  }

  const actions = {
    send: (step) => socket.send(toMessage(step)),
    receive,
    ping: async (step) => {
      const pong = new Promise((resolve) => socket.once("pong", resolve));
      socket.ping(step.text);
      return { text: (await pong).toString() };
    },
    fragments: (step) =>
      step.parts.forEach((part, i) => socket.send(part, { fin: i === step.parts.length - 1 })),
    close: (step) => (step.code === null ? socket.close() : socket.close(step.code, step.reason)),
    drop: () => socket.terminate(),
    wait_closed: () => ended,
  };

  const results = [];
  let error = null;
  const { protocol, extensions } = socket;
  if (opened) {
    try {
      for (const step of steps) {
        const result = await actions[step.do](step);
        if (result !== undefined) results.push(result);
      }
    } catch (exception) {
      error = String(exception);
    }
    if (end === null) socket.close();
  }
  return { opened, protocol, extensions, results, error, end: await ended };
}

if (typeof module !== "undefined") module.exports = { runScenario, toMessage, fromMessage };

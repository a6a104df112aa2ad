// `ws` as server and as client. Reads commands on stdin, a JSON object a line, and writes an
// answer for each and, in between, what happens, on stdout. Ends when stdin does.
"use strict";

const fs = require("fs");
const http = require("http");
const https = require("https");
const readline = require("readline");
const { WebSocket, WebSocketServer } = require("ws");
const { runScenario } = require("./scenario.js");

const SUBPROTOCOLS = ["chat.v2", "chat.v1"];

function write(object) {
  process.stdout.write(JSON.stringify(object) + "\n");
}

// --- server --------------------------------------------------------------------------------------

const orders = {
  close: (socket, order) => socket.close(order.code, order.reason),
  drop: (socket) => socket.terminate(),
  ping: (socket, order) => {
    socket.once("pong", (payload) => socket.send("pong: " + payload.toString()));
    socket.ping(order.payload);
  },
  fragments: (socket, order) =>
    order.parts.forEach((part, i) => socket.send(part, { fin: i === order.parts.length - 1 })),
  report: (socket, order, request) =>
    socket.send(
      JSON.stringify({ path: request.url, headers: request.headers, protocol: socket.protocol }),
    ),
};

function serve(socket, request) {
  socket.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    if (text.startsWith("order: ")) {
      const order = JSON.parse(text.slice(7));
      orders[order.do](socket, order, request);
    } else {
      socket.send(data, { binary: isBinary });
    }
  });
  socket.on("error", (error) => write({ event: "error", path: request.url, message: error.message }));
  socket.on("close", (code, reason) =>
    write({ event: "closed", path: request.url, code, reason: reason.toString() }),
  );
}

function listen({ deflate, tls }) {
  const server = tls
    ? https.createServer({ cert: fs.readFileSync(tls.cert), key: fs.readFileSync(tls.key) })
    : http.createServer();
  const sockets = new WebSocketServer({
    server,
    perMessageDeflate: deflate ?? false,
    verifyClient: ({ req }) => !req.url.startsWith("/refuse"),
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  sockets.on("headers", (headers) => headers.push("X-Peer: node"));
  sockets.on("connection", serve);
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve({ port: server.address().port })),
  );
}

// --- client --------------------------------------------------------------------------------------

async function connect({ url, protocols, headers, ca, deflate, steps }) {
  const socket = new WebSocket(url, protocols ?? [], {
    headers,
    ca: ca ? fs.readFileSync(ca) : undefined,
    perMessageDeflate: deflate ?? false,
  });
  let responseHeaders = {};
  socket.once("upgrade", (response) => (responseHeaders = response.headers));
  return { ...(await runScenario(socket, steps)), headers: responseHeaders };
}

async function run({ times, ...scenario }) {
  return { runs: await Promise.all(Array.from({ length: times ?? 1 }, () => connect(scenario))) };
}

// -------------------------------------------------------------------------------------------------

const commands = { listen, run };
readline
  .createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { id, command, ...parameters } = JSON.parse(line);
    try {
      write({ id, ...(await commands[command](parameters)) });
    } catch (error) {
      write({ id, failure: String(error.stack) });
    }
  })
  .on("close", () => process.exit(0));

// Socket.IO's own client at the address and with the tokens that are given: 20 sockets of one user and one of another, by one transport.
// Prints what each was told as one line of JSON. tests/capabilities/chat/sockets/test_javascript_client.py runs it.
import { io } from "socket.io-client";

const [address, transport, owner, other] = process.argv.slice(2);
const extraHeaders = JSON.parse(process.env.HEADERS ?? "{}");
const SOCKETS = 20;

function opened(token) {
  const socket = io(address, { auth: { token }, transports: [transport], forceNew: true, extraHeaders });
  const told = [];
  socket.onAny((name, event) => told.push([name, event]));
  const ended = new Promise((resolve) => socket.on("chat:stream", (event) => event.type === "end" && resolve()));
  return new Promise((resolve, reject) => {
    socket.on("connect", () => resolve({ socket, told, ended }));
    socket.on("connect_error", reject);
  });
}

const sockets = await Promise.all([...Array(SOCKETS).fill(owner), other].map(opened));
const [first, ...rest] = sockets;
const theirs = sockets[SOCKETS];
const sent = await first.socket.emitWithAck("chat:stream", { content: "one", idempotency_key: "one" });
const conversation = { conversation_id: sent.conversation_id };
await first.ended;
const refused = await theirs.socket.emitWithAck("conversation:join", conversation);
for (const { socket } of rest.slice(0, -1)) await socket.emitWithAck("conversation:join", conversation);
for (const { told } of sockets) told.length = 0;

const ends = rest.slice(0, -1).map(({ socket }) => new Promise((resolve) => socket.once("chat:stream", function wait(event) {
  if (event.type === "end") resolve();
  else socket.once("chat:stream", wait);
})));
await first.socket.emitWithAck("chat:stream", { content: "two", idempotency_key: "two", ...conversation });
await Promise.all(ends);
await theirs.socket.emitWithAck("conversation:join", conversation); // whatever was on its way to it is here now

const texts = sockets.map(({ told }) => told
  .filter(([name, event]) => name === "chat:stream" && event.type === "delta").map(([, event]) => event.text).join(""));
console.log(JSON.stringify({ connected: sockets.length, refused, texts, other: theirs.told }));
for (const { socket } of sockets) socket.disconnect();

// Our own client of the terminal (its module is the first argument) on the WebSocket of `ws`, which is no browser's: loses its connection once,
// and prints as one line of JSON what was shown and how the session ended. tests/capabilities/terminal/sockets/test_javascript_client.py runs it.
import WebSocket from "ws";

const [client, url, token, id, password] = process.argv.slice(2);
const headers = JSON.parse(process.env.HEADERS ?? "{}");
const opened = [];
globalThis.WebSocket = class extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers });
    opened.push(this);
  }
};
const { TerminalSocket } = await import(client);

let shown = "";
const socket = new TerminalSocket(url, { token: async () => token });
const session = socket.open(id, {
  rows: 30,
  cols: 100,
  told: {
    hostKey: ({ fingerprint }) => session.acceptHostKey(fingerprint),
    prompt: () => session.answer(password),
    connected: () => session.type("before "),
    output: (text, wasShown) => {
      shown += text;
      wasShown();
      if (shown.endsWith("before ")) loseConnection();
      if (shown.endsWith("after ")) session.end();
    },
    closed: ({ reason }) => {
      console.log(JSON.stringify({ shown, reason, connections: opened.length, protocol: opened[0].protocol }));
      socket.close();
    },
  },
});

function loseConnection() {
  opened.at(-1).terminate();
  session.type("after "); // comes when the connection is back
}

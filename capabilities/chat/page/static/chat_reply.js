// A reply as it is written. When the connection is lost it is taken up again, from the bytes that came.
import { ConnectionLost, Refused, open, query } from "./chat_api.js";

const SILENT_SECONDS = 25; // the service says something every eight
const LONGEST_PAUSE_SECONDS = 8;
const GIVE_UP_SECONDS = 180;

async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await inTime(reader);
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = {};
        for (const line of block.split("\n")) {
          const colon = line.indexOf(": ");
          if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
        }
        yield event.data === undefined ? {} : { ...event, data: JSON.parse(event.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function inTime(reader) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new ConnectionLost()), SILENT_SECONDS * 1000);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    throw error.name === "AbortError" ? error : new ConnectionLost();
  } finally {
    clearTimeout(timer);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve) => {
    const go = () => {
      clearTimeout(timer);
      removeEventListener("online", go);
      signal.removeEventListener("abort", go);
      resolve();
    };
    const timer = setTimeout(go, seconds * 1000);
    addEventListener("online", go);
    signal.addEventListener("abort", go);
  });
}

/**
 * Reads a reply to its end, and gives the data of its last event. `asked`: what is sent to have it written, with a key, so that it can be
 * repeated; or it runs already, and `messageId` and `position` (bytes) say from where on it is read. Throws Refused when there is no reply,
 * when it failed, and when it cannot be reached for minutes. `told` hears what comes: `start(data)`, `text(piece)`, `lost()`, `found()`.
 */
export async function readReply({ asked, messageId, position = 0, signal, told }) {
  let quietSince = Date.now();
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = messageId
        ? await open("GET", `/chat/messages/${messageId}/stream${query({ after: position })}`, { events: true, signal })
        : await open("POST", asked.path, { body: asked.body, key: asked.key, events: true, signal });
      for await (const event of eventsOf(answer)) {
        if (tries > 0) told.found();
        tries = 0;
        quietSince = Date.now();
        if (event.event === "start") {
          messageId = event.data.message_id;
          position = 0;
          told.start(event.data);
        } else if (event.event === "delta") {
          position = Number(event.id.slice(event.id.lastIndexOf(":") + 1));
          told.text(event.data.text);
        } else if (event.event === "end") {
          return event.data;
        } else if (event.event === "error") {
          throw new Refused(event.data.status, event.data, null);
        }
      }
      throw new ConnectionLost();
    } catch (error) {
      signal.throwIfAborted();
      if (!passes(error, messageId !== undefined) || Date.now() - quietSince > GIVE_UP_SECONDS * 1000) throw error;
      told.lost();
      await pause(pauseAfter(tries, error), signal);
      signal.throwIfAborted();
    }
  }
}

/** Does what `work` says, and again when the connection was lost. */
export async function untilReached(work, signal) {
  const since = Date.now();
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (!passes(error, true) || Date.now() - since > GIVE_UP_SECONDS * 1000) throw error;
      await pause(pauseAfter(tries, error), signal);
      signal.throwIfAborted();
    }
  }
}

function pauseAfter(tries, error) {
  return error.retryAfter ?? Math.min(LONGEST_PAUSE_SECONDS, 2 ** tries / 2) * (0.75 + Math.random() / 2);
}

/** Whether it is worth trying again: a proxy that finds no server says nothing of its own, and a server that restarts says when. */
function passes(error, begun) {
  if (error instanceof ConnectionLost) return true;
  if (!(error instanceof Refused) || error.code === "reply_interrupted") return false;
  if (error.code === undefined) return error.status >= 500;
  return begun && (error.code === "too_busy" || error.code === "service_unavailable");
}

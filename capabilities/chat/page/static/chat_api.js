// Calls of the chat's API.
import { PageApi } from "./page_api.js";

export { ConnectionLost, Refused, SignedOut, query } from "./page_api.js";

const api = new PageApi("/portal/chat", "/api/gateway");

export const open = (method, path, options) => api.open(method, path, options);
export const call = (method, path, body) => api.call(method, path, body);

/** Messages as the page shows them: with their HTML. */
export const shown = (path) => api.shown(path);

// Calls of the terminal's API.
import { PageApi, SignedOut } from "./page_api.js";

export { ConnectionLost, Refused, SignedOut } from "./page_api.js";

const api = new PageApi("/portal/terminal", "/api/terminal");

export const call = (method, path, body) => api.call(method, path, body);

/** For TerminalSocket. */
export async function token(renewed) {
  try {
    return await (renewed ? api.newToken() : api.accessToken());
  } catch (error) {
    error.isFinal = error instanceof SignedOut;
    throw error;
  }
}

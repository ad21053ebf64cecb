// OpenAI's own TypeScript client at the address and with the key that are given; prints what it read as one line of JSON.
// tests/capabilities/chat/test_completions_over_http.py runs it.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, defaultHeaders: JSON.parse(process.env.HEADERS ?? "{}") });

const models: string[] = [];
for await (const each of client.models.list()) models.push(each.id);

const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [{ role: "user", content: "Hello" }];
const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
let text = "";
let finish: string | null = null;
let usage: OpenAI.CompletionUsage | null = null;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? "";
  finish = chunk.choices[0]?.finish_reason ?? finish;
  usage = chunk.usage ?? usage;
}
const whole = await client.chat.completions.create({ model, messages });

let refused: unknown = null;
try {
  await client.chat.completions.create({ model: "gpt-none", messages });
} catch (error) {
  if (error instanceof OpenAI.APIError) refused = { status: error.status, code: error.code, param: error.param };
}

// It ends the connection in the middle.
const stopped = await client.chat.completions.create({ model, messages, stream: true });
for await (const chunk of stopped) if (chunk.choices[0]?.delta.content) break;

console.log(JSON.stringify({ models, text, finish, usage, whole: whole.choices[0]?.message.content, refused }));

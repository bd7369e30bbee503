// The page of test/support/react-page.ts: shows the hooks under test, and keeps what they return where tests can read it.
import * as ai from "ai";
import * as React from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import { createChatClient } from "../../../src/client.ts";
import { isUnfinished, useChats, useStoredChat } from "../../../src/react.ts";

const { Fragment, StrictMode, useLayoutEffect, useState } = React;
// React 18 does not have it.
const Activity = Reflect.get(React, "Activity") ?? Fragment;

const client = createChatClient();
/** What the hooks returned in the latest render, by the name of their view. */
const results = {};
/** Of each render: what may never be wrong, not even for a moment. */
const commits = [];
/** The calls of the callbacks, in order. */
const heard = [];
Object.assign(window, { client, results, commits, heard, isUnfinished, outputs: {}, failing: "" });

const automatically = {
  calls: ai.lastAssistantMessageIsCompleteWithToolCalls,
  // ai 5 does not have it.
  approvals: Reflect.get(ai, "lastAssistantMessageIsCompleteWithApprovalResponses"),
};

function StoredChat({ name, sendAutomatically, ...options }) {
  const result = useStoredChat(client, {
    ...options,
    ...(sendAutomatically && { sendAutomaticallyWhen: automatically[sendAutomatically] }),
    onToolCall({ toolCall }) {
      heard.push(`tool ${toolCall.toolCallId}`);
      const { toolCallId, toolName: tool } = toolCall;
      const output = window.outputs[toolCallId];
      if (output !== undefined) void results[name].addToolOutput({ tool, toolCallId, output });
    },
    onData: ({ type }) => heard.push(type),
    onError(error) {
      heard.push(`error ${error.code ?? error.message}`);
      if (window.failing === "onError") throw new Error("The application's own.");
    },
    onFinish: ({ isAbort, isDisconnect, isError }) =>
      heard.push(
        `finish${isAbort ? " isAbort" : ""}${isDisconnect ? " isDisconnect" : ""}${isError ? " isError" : ""}`,
      ),
  });
  useLayoutEffect(() => {
    results[name] = result;
    commits.push({
      name,
      id: options.id,
      resultId: result.id,
      chatId: result.chat?.id,
      status: result.status,
      loadStatus: result.loadStatus,
      ids: result.messages.map(({ id }) => id),
      texts: result.messages.map(textOf),
      pickers: result.messages.map(({ id }) => pickerOf(result.branchOf(id))),
    });
  });
  return (
    <main>
      <p role="status">
        {result.loadStatus} {result.status} {result.error?.code} {result.hasMore && "has more"}
      </p>
      {result.messages.map((message) => (
        <article key={message.id}>{textOf(message)}</article>
      ))}
    </main>
  );
}

function Chats({ name, list: _, ...options }) {
  const result = useChats(client, options);
  useLayoutEffect(() => {
    results[name] = result;
    commits.push({ name, ids: result.chats.map(({ id }) => id), titles: result.chats.map(({ title }) => title) });
  });
  return (
    <ul>
      {result.chats.map(({ id, title }) => (
        <li key={id}>{title}</li>
      ))}
    </ul>
  );
}

const pickerOf = ({ position, count }) => `${position}/${count}`;

const textOf = ({ parts }) => parts.map(({ text = "" }) => text).join("");

function Page() {
  const [views, setViews] = useState({});
  // Rendered when it returns, with its effects: a test then changes what a view that has gone must not see.
  window.show = (changes) => flushSync(() => setViews((views) => ({ ...views, ...changes })));
  return Object.entries(views).map(([name, options]) => {
    if (!options) return null;
    const { isHidden, ...others } = options;
    const View = others.list ? Chats : StoredChat;
    return (
      <Activity key={name} {...(Activity !== Fragment && { mode: isHidden ? "hidden" : "visible" })}>
        <View name={name} {...others} />
      </Activity>
    );
  });
}

const root = createRoot(document.getElementById("app"));
root.render(
  <StrictMode>
    <Page />
  </StrictMode>,
);

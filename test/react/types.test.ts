import type { UIMessage } from "ai";
import { expectTypeOf, test } from "vitest";
import type { ChatClient } from "../../src/client.ts";
import type { ChatStore, MessagePage } from "../../src/index.ts";
import { isUnfinished, type StoredChatPage, useChats, useStoredChat } from "../../src/react.ts";

type MyMessage = UIMessage<{ model: string }, { weather: { celsius: number } }>;
interface MyMetadata {
  color: string;
}

function Page({
  client,
  page,
}: {
  client: ChatClient<MyMessage, MyMetadata>;
  page: MessagePage<MyMessage, MyMetadata>;
}) {
  const shown = useStoredChat(client, {
    id: "c",
    page,
    body: { model: "large" },
    throttle: 50,
    onToolCall: ({ toolCall }) => void toolCall.toolName,
    onData: (part) => void part.data.celsius,
    onFinish: ({ message }) => void message.metadata?.model,
    onError: (error) => void error.message,
  });
  expectTypeOf(shown.messages).toEqualTypeOf<MyMessage[]>();
  expectTypeOf(shown.chat?.metadata).toEqualTypeOf<MyMetadata | undefined>();
  expectTypeOf(shown.error?.isRetryable).toEqualTypeOf<boolean | undefined>();
  expectTypeOf(shown.stop).returns.resolves.toEqualTypeOf<boolean>();
  expectTypeOf(shown.sentAtOf("m")).toEqualTypeOf<Date | undefined>();
  expectTypeOf(isUnfinished).toBeCallableWith(shown.messages[0] as MyMessage);

  const list = useChats(client, { archived: true, chats: someChats });
  expectTypeOf(list.chats[0]?.metadata).toEqualTypeOf<MyMetadata | undefined>();
  expectTypeOf(list.update).parameter(1).toHaveProperty("metadata").toEqualTypeOf<MyMetadata | null | undefined>();
  // @ts-expect-error this is no metadata of the application
  void list.update("c", { metadata: { size: 1 } });
  // @ts-expect-error messages of another type
  useStoredChat(client, { id: "c", page: page as unknown as MessagePage<UIMessage<{ other: number }>, MyMetadata> });
  // @ts-expect-error a chat has an id
  useStoredChat(client, {});
}

declare const someChats: Awaited<ReturnType<ChatStore<MyMessage, MyMetadata>["getChats"]>>;

test("the types of the application reach the hooks, from a page of the store, too", () => {
  // Nothing calls it: only its types are checked.
  expectTypeOf(Page).toBeFunction();
  type FromStore = NonNullable<Awaited<ReturnType<ChatStore<MyMessage, MyMetadata>["getMessages"]>>>;
  expectTypeOf<FromStore>().toExtend<StoredChatPage<MyMessage, MyMetadata>>();
  type WithoutUser = Omit<FromStore, "chat"> & { chat: Omit<FromStore["chat"], "userId"> };
  expectTypeOf<WithoutUser>().toExtend<StoredChatPage<MyMessage, MyMetadata>>();
});

ALTER TABLE "chat_store"."chats" ADD COLUMN "archived_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "chat_store"."chats" ADD COLUMN "metadata" json;--> statement-breakpoint
ALTER TABLE "chat_store"."chats" ADD COLUMN "claimed_from" text;
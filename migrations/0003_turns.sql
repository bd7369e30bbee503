ALTER TABLE "chat_store"."turns" ADD COLUMN "recovered_digest" "bytea";--> statement-breakpoint
ALTER TABLE "chat_store"."turns" ADD COLUMN "recovered_after" integer;--> statement-breakpoint
UPDATE "chat_store"."chats" SET "claimed_from" = NULL WHERE "claimed_from" IS NOT NULL;
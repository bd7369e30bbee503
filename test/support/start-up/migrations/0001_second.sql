ALTER TABLE "chats" ADD COLUMN "closed" boolean DEFAULT false NOT NULL;

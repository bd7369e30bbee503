CREATE TABLE "chat_store"."branches" (
	"chat_id" text NOT NULL,
	"id" uuid NOT NULL,
	"after_id" text,
	"parent" uuid,
	"position" integer NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"message_count" integer NOT NULL,
	"messages" json NOT NULL,
	CONSTRAINT "branches_chat_id_id_pk" PRIMARY KEY("chat_id","id"),
	CONSTRAINT "branches_position_check" CHECK (position >= 1)
);
--> statement-breakpoint
ALTER TABLE "chat_store"."branches" ADD CONSTRAINT "branches_chat_id_chats_id_fk" FOREIGN KEY ("chat_id") REFERENCES "chat_store"."chats"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "chat_store"."branches" ADD CONSTRAINT "branches_chat_id_parent_branches_chat_id_id_fk" FOREIGN KEY ("chat_id","parent") REFERENCES "chat_store"."branches"("chat_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "branches_parent_idx" ON "chat_store"."branches" USING btree ("chat_id","parent");
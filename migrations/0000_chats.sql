CREATE SCHEMA "chat_store";
--> statement-breakpoint
CREATE TABLE "chat_store"."chats" (
	"id" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"title" text NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "chats_version_check" CHECK (version >= 1)
);
--> statement-breakpoint
CREATE TABLE "chat_store"."messages" (
	"chat_id" text NOT NULL,
	"id" text NOT NULL,
	"order" integer NOT NULL,
	"role" text NOT NULL,
	"parts" json NOT NULL,
	"metadata" json,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"digest" "bytea" GENERATED ALWAYS AS (substr(sha256(replace(octet_length(id)::text || ':' || id || octet_length(role)::text || ':' || role || coalesce(octet_length(metadata::text), 0)::text || ':' || coalesce(metadata::text, '') || parts::text, chr(92), repeat(chr(92), 2))::bytea), 1, 16)) STORED NOT NULL,
	CONSTRAINT "messages_chat_id_id_pk" PRIMARY KEY("chat_id","id"),
	CONSTRAINT "messages_order_check" CHECK ("order" >= 0)
);
--> statement-breakpoint
CREATE TABLE "chat_store"."turn_chunks" (
	"chat_id" text NOT NULL,
	"turn_id" uuid NOT NULL,
	"seq" integer NOT NULL,
	"text" text NOT NULL,
	CONSTRAINT "turn_chunks_chat_id_turn_id_seq_pk" PRIMARY KEY("chat_id","turn_id","seq")
);
--> statement-breakpoint
CREATE TABLE "chat_store"."turns" (
	"chat_id" text NOT NULL,
	"id" uuid NOT NULL,
	"question_id" text NOT NULL,
	"question_digest" "bytea" NOT NULL,
	"answer_id" text NOT NULL,
	"replaces" json NOT NULL,
	"started_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"beat_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"chunks" integer DEFAULT 0 NOT NULL,
	"stop" boolean DEFAULT false NOT NULL,
	"superseded" boolean DEFAULT false NOT NULL,
	"interrupted" boolean DEFAULT false NOT NULL,
	CONSTRAINT "turns_chat_id_id_pk" PRIMARY KEY("chat_id","id")
);
--> statement-breakpoint
ALTER TABLE "chat_store"."messages" ADD CONSTRAINT "messages_chat_id_chats_id_fk" FOREIGN KEY ("chat_id") REFERENCES "chat_store"."chats"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "chat_store"."turn_chunks" ADD CONSTRAINT "turn_chunks_chat_id_turn_id_turns_chat_id_id_fk" FOREIGN KEY ("chat_id","turn_id") REFERENCES "chat_store"."turns"("chat_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "chat_store"."turns" ADD CONSTRAINT "turns_chat_id_chats_id_fk" FOREIGN KEY ("chat_id") REFERENCES "chat_store"."chats"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "chats_user_idx" ON "chat_store"."chats" USING btree ("user_id","updated_at","id");
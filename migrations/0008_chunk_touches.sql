CREATE TABLE "chunk_touches" (
	"prefix" text NOT NULL,
	"touched_at" timestamp with time zone NOT NULL,
	"hashes" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE INDEX "chunk_touches_by_prefix" ON "chunk_touches" USING btree ("prefix","touched_at");
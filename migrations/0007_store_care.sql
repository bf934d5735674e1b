CREATE TABLE "damaged_chunks" (
	"digest" text NOT NULL,
	"hash" text NOT NULL,
	"reason" text NOT NULL,
	"found_at" timestamp with time zone NOT NULL,
	CONSTRAINT "damaged_chunks_digest_hash_pk" PRIMARY KEY("digest","hash")
);
--> statement-breakpoint
CREATE TABLE "recompressed_chunks" (
	"prefix" text PRIMARY KEY NOT NULL,
	"level" text NOT NULL,
	"hashes" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "store_jobs" (
	"name" text PRIMARY KEY NOT NULL,
	"enabled" boolean,
	"state" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"requested_at" timestamp with time zone,
	"claimed_by" uuid,
	"claimed_until" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "manifest_segments" DROP CONSTRAINT "manifest_segments_digest_segment_pk";--> statement-breakpoint
ALTER TABLE "manifest_segments" ADD COLUMN "generation" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "manifest_segments" ADD CONSTRAINT "manifest_segments_digest_segment_generation_pk" PRIMARY KEY("digest","segment","generation");--> statement-breakpoint
ALTER TABLE "manifest_segments" ADD COLUMN "zstd_export_bytes" bigint;--> statement-breakpoint
ALTER TABLE "manifest_segments" ADD COLUMN "superseded_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "manifests" ADD COLUMN "zstd_export_bytes" bigint;--> statement-breakpoint
ALTER TABLE "manifests" ADD COLUMN "generation" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "damaged_chunks" ADD CONSTRAINT "damaged_chunks_digest_manifests_digest_fk" FOREIGN KEY ("digest") REFERENCES "public"."manifests"("digest") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "damaged_chunks_by_hash" ON "damaged_chunks" USING btree ("hash");
CREATE TABLE "image_pulls" (
	"id" uuid PRIMARY KEY NOT NULL,
	"image" text NOT NULL,
	"url" text NOT NULL,
	"state" text NOT NULL,
	"bytes_done" bigint DEFAULT 0 NOT NULL,
	"bytes_total" bigint,
	"version" integer,
	"digest" text,
	"error" jsonb,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"touched_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "image_versions" (
	"image" text NOT NULL,
	"version" integer NOT NULL,
	"digest" text NOT NULL,
	"info" jsonb NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"created_by" text,
	"run_id" uuid,
	"promoted_at" timestamp with time zone,
	"promoted_by" text,
	CONSTRAINT "image_versions_image_version_pk" PRIMARY KEY("image","version")
);
--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "last_version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "images" ADD COLUMN "retention" jsonb;--> statement-breakpoint
ALTER TABLE "image_versions" ADD CONSTRAINT "image_versions_image_images_name_fk" FOREIGN KEY ("image") REFERENCES "public"."images"("name") ON DELETE cascade ON UPDATE cascade;--> statement-breakpoint
ALTER TABLE "image_versions" ADD CONSTRAINT "image_versions_digest_manifests_digest_fk" FOREIGN KEY ("digest") REFERENCES "public"."manifests"("digest") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "image_pulls_by_state" ON "image_pulls" USING btree ("state","created_at");--> statement-breakpoint
CREATE INDEX "image_versions_by_digest" ON "image_versions" USING btree ("digest");--> statement-breakpoint
INSERT INTO "image_versions" ("image", "version", "digest", "info", "created_at", "promoted_at") SELECT "name", 1, "digest", "info", "created_at", "created_at" FROM "images";

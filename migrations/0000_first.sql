CREATE TABLE "agent_sessions" (
	"hash" text PRIMARY KEY NOT NULL,
	"mac" text NOT NULL,
	"run_id" uuid,
	"attempt" integer NOT NULL,
	"created_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "boot_tokens" (
	"hash" text PRIMARY KEY NOT NULL,
	"mac" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"data" jsonb NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "images" (
	"name" text PRIMARY KEY NOT NULL,
	"digest" text NOT NULL,
	"info" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"address" text PRIMARY KEY NOT NULL,
	"mac" text NOT NULL,
	"state" text NOT NULL,
	"hostname" text,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "links" (
	"hash" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"image_name" text NOT NULL,
	"digest" text,
	"run_id" uuid,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "machine_macs" (
	"mac" text PRIMARY KEY NOT NULL,
	"machine" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "machines" (
	"mac" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"hostname" text,
	"image" text,
	"locked" boolean DEFAULT false NOT NULL,
	"tags" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"disk" jsonb,
	"network" jsonb,
	"inventory" jsonb,
	"smbios_uuid" text,
	"smbios_serial" text,
	"entered" boolean DEFAULT false NOT NULL,
	"last_seen_at" timestamp with time zone,
	"last_inventory_at" timestamp with time zone,
	"inventory_boots" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "manifest_segments" (
	"digest" text NOT NULL,
	"segment" integer NOT NULL,
	"export_bytes" bigint NOT NULL,
	"layout" "bytea" NOT NULL,
	CONSTRAINT "manifest_segments_digest_segment_pk" PRIMARY KEY("digest","segment")
);
--> statement-breakpoint
CREATE TABLE "manifests" (
	"digest" text PRIMARY KEY NOT NULL,
	"bytes" "bytea" NOT NULL,
	"size_bytes" bigint NOT NULL,
	"sector_bytes" integer NOT NULL,
	"stored_bytes" bigint NOT NULL,
	"content_bytes" bigint NOT NULL,
	"export_bytes" bigint NOT NULL,
	"layout_hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "reservations" (
	"mac" text PRIMARY KEY NOT NULL,
	"address" text NOT NULL,
	"hostname" text,
	CONSTRAINT "reservations_address_unique" UNIQUE("address")
);
--> statement-breakpoint
CREATE TABLE "run_logs" (
	"run_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"line_number" integer NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"text" text NOT NULL,
	CONSTRAINT "run_logs_run_id_attempt_line_number_pk" PRIMARY KEY("run_id","attempt","line_number")
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"mac" text NOT NULL,
	"workflow" text NOT NULL,
	"state" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"image" text,
	"image_digest" text,
	"options" jsonb NOT NULL,
	"steps" jsonb NOT NULL,
	"claimed_by" text,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"error" text,
	"receipt" jsonb,
	"attempt_at" timestamp with time zone,
	"last_sequence" integer DEFAULT -1 NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"booted_at" timestamp with time zone,
	"started_at" timestamp with time zone,
	"last_report_at" timestamp with time zone,
	"finished_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "uploads" (
	"id" uuid PRIMARY KEY NOT NULL,
	"holder" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"touched_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "agent_sessions" ADD CONSTRAINT "agent_sessions_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "images" ADD CONSTRAINT "images_digest_manifests_digest_fk" FOREIGN KEY ("digest") REFERENCES "public"."manifests"("digest") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "machine_macs" ADD CONSTRAINT "machine_macs_machine_machines_mac_fk" FOREIGN KEY ("machine") REFERENCES "public"."machines"("mac") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "manifest_segments" ADD CONSTRAINT "manifest_segments_digest_manifests_digest_fk" FOREIGN KEY ("digest") REFERENCES "public"."manifests"("digest") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_logs" ADD CONSTRAINT "run_logs_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_mac_machines_mac_fk" FOREIGN KEY ("mac") REFERENCES "public"."machines"("mac") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "leases_one_per_machine" ON "leases" USING btree ("mac") WHERE state <> 'declined';--> statement-breakpoint
CREATE UNIQUE INDEX "runs_one_active_per_machine" ON "runs" USING btree ("mac") WHERE state in ('queued', 'booting', 'running');--> statement-breakpoint
CREATE INDEX "runs_by_machine" ON "runs" USING btree ("mac","created_at");--> statement-breakpoint
CREATE INDEX "runs_by_state" ON "runs" USING btree ("state","created_at");
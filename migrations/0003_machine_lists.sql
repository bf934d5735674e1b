ALTER TABLE "machines" ADD COLUMN "state" text DEFAULT 'discovered' NOT NULL;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "manufacturer" text;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "product" text;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "serial" text;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "image_digest" text;--> statement-breakpoint
CREATE INDEX "machine_macs_by_machine" ON "machine_macs" USING btree ("machine");--> statement-breakpoint
CREATE INDEX "runs_by_image" ON "runs" USING btree ("image");--> statement-breakpoint
CREATE INDEX "runs_by_end" ON "runs" USING btree ("finished_at");--> statement-breakpoint
UPDATE "machines" SET
	"manufacturer" = "inventory"->'smbios'->>'manufacturer',
	"product" = "inventory"->'smbios'->>'product',
	"serial" = "inventory"->'smbios'->>'serial',
	"state" = CASE WHEN "entered" OR "inventory" IS NOT NULL THEN 'ready' ELSE 'discovered' END;
--> statement-breakpoint
UPDATE "machines" SET "state" = CASE
		WHEN "latest"."state" IN ('failed', 'timed-out') THEN 'failed'
		WHEN "latest"."state" = 'succeeded' AND "latest"."workflow" = 'deploy' THEN 'deployed'
		WHEN "latest"."state" = 'succeeded' THEN 'ready'
		ELSE "latest"."state" END
	FROM (
		SELECT DISTINCT ON ("mac") "mac", "state", "workflow" FROM "runs" WHERE "state" <> 'cancelled' ORDER BY "mac", "id" DESC
	) "latest"
	WHERE "latest"."mac" = "machines"."mac";
--> statement-breakpoint
UPDATE "machines" SET "image_digest" = "latest"."image_digest"
	FROM (
		SELECT DISTINCT ON ("mac") "mac", "state", "workflow", "image_digest" FROM "runs"
		WHERE "workflow" IN ('deploy', 'wipe') AND "attempts" > 0 ORDER BY "mac", "id" DESC
	) "latest"
	WHERE "latest"."mac" = "machines"."mac" AND "latest"."workflow" = 'deploy' AND "latest"."state" = 'succeeded';

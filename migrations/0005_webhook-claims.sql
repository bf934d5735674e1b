ALTER TABLE "webhook_deliveries" ADD COLUMN "last_answer" text;--> statement-breakpoint
ALTER TABLE "webhooks" ADD COLUMN "disabled_reason" text;--> statement-breakpoint
ALTER TABLE "webhooks" ADD COLUMN "claimed_until" timestamp with time zone;
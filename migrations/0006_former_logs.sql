-- Deliveries of an events topic that was deleted and made again stand before those of the new one: below 0, where its offsets begin.
ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_event_offset_check;

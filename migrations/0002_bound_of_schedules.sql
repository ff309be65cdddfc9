-- For the limit of a user's schedules: the user had at most so many when the last one was created, beside a default one that came with the
-- user; null: not known.
ALTER TABLE users ADD COLUMN schedules_bound bigint;
ALTER TABLE users SET (fillfactor = 80); -- it changes often

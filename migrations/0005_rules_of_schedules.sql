-- The rules of a schedule are the service's (core/schedule.c): to parse both lists again at each write says nothing that it does not know.
ALTER TABLE schedules DROP CONSTRAINT schedules_availability_check, DROP CONSTRAINT schedules_overrides_check;

#include "relay/takeover.h"

#include "driver/log.h"
#include "relay/acceptance.h"
#include "core/lsn.h"
#include "relay/progress.h"
#include "relay/published.h"
#include "relay/relay_metrics.h"

static struct topic_source topic_of(const struct takeover *takeover, const char *name)
{
    return (struct topic_source){takeover->client, name, takeover->on_wait, takeover->ctx, takeover->reason};
}

static bool read_progress(const struct takeover *takeover, bool is_passing, struct progress *ret_progress)
{
    const struct topic_source topic = topic_of(takeover, takeover->config->progress_topic);
    return progress_read(&topic, takeover->source->name, is_passing, ret_progress);
}

static struct acceptance acceptance_of(const struct takeover *takeover)
{
    return (struct acceptance){takeover->config->database_url, takeover->config->slot, takeover->wait_state,
                               takeover->reason};
}

/* Once: what opened the intake need not be said again. */
static bool open_intake(struct takeover *takeover, struct progress *progress)
{
    const struct acceptance acceptance = acceptance_of(takeover);
    if (!takeover->is_accepted) takeover->is_accepted = acceptance_record(&acceptance, takeover->source, progress);
    return takeover->is_accepted;
}

/* A relay that is still in the middle of a transaction can but move progress on within this history: whatever it does, the verdict would
 * be the same. All else has to wait until it cannot. */
bool takeover_hasten(struct takeover *takeover)
{
    struct progress progress;
    if (!read_progress(takeover, true, &progress)) return false;
    return acceptance_decide(takeover->source, &progress) != VERDICT_SAME || open_intake(takeover, &progress);
}

/* ---- foreign ones ---- */

static enum takeover_end refuse(struct takeover *takeover, enum verdict verdict, const struct progress *progress)
{
    char confirmed[LSN_TEXT_MAX];
    char published[LSN_TEXT_MAX];
    struct error_text refusal;
    if (verdict == VERDICT_FOREIGN_SLOT) {
        error_text_set(&refusal,
                       "the slot was confirmed at %s, beyond %s up to which events are published: it was recreated by hand",
                       lsn_format(takeover->source->confirmed, confirmed), lsn_format(progress->lsn, published));
    } else {
        error_text_set(&refusal,
                       "the server is on timeline %u, which does not come from timeline %u, whose events are published",
                       takeover->source->history.timeline, progress->timeline);
    }
    const struct acceptance acceptance = acceptance_of(takeover);
    if (!acceptance_refuse(&acceptance, refusal.text)) return TAKEOVER_FAILED;
    *takeover->reason = refusal;
    return TAKEOVER_REFUSED;
}

/* ---- other histories ---- */

static void tell_beyond(const struct published *published)
{
    int64_t shown = published->beyond < PUBLISHED_NAMES_MAX ? published->beyond : PUBLISHED_NAMES_MAX;
    if (published->beyond == 0) return;
    relay_metrics_published_beyond((size_t)published->beyond);
    for (int64_t i = 0; i < shown; i++) {
        LOG_ERROR("relay: an event is published of a change that the database lacks", LOG_STR("event", published->names[i]));
    }
    LOG_ERROR("relay: EVENTS ARE PUBLISHED OF CHANGES THAT THE DATABASE LACKS, because it failed over or was restored",
              LOG_INT("events", published->beyond), LOG_INT("shown", shown));
}

/* From where the topic may hold what the database lacks. A server that was set back may have written on since, but not before the slot; of
 * another server or slot no position is known. Nor is the highest id, where progress does not have it. */
static struct published_range range_of(const struct takeover *takeover, enum verdict verdict,
                                       const struct progress *progress)
{
    const struct wal_source *source = takeover->source;
    uint32_t timeline = source->history.timeline;
    struct published_range range = {{0}, {0}};
    if (verdict == VERDICT_SWITCHED) {
        range.beyond = (struct commit_position){progress->timeline, timeline_end(&source->history, progress->timeline)};
        range.from = range.beyond;
    } else if (verdict == VERDICT_SET_BACK) {
        range.beyond = (struct commit_position){timeline, source->server_end};
        range.from = (struct commit_position){timeline, source->confirmed};
    }
    if (progress->highest_id == 0) range.from = (struct commit_position){0};
    return range;
}

/* Looks up what is published beyond what the database has, brings that beyond it, and sets the highest id where it was unknown. */
static bool reconcile(struct takeover *takeover, enum verdict verdict, struct progress *progress)
{
    const struct topic_source events = topic_of(takeover, takeover->config->events_topic);
    const struct published_range range = range_of(takeover, verdict, progress);
    const struct healing_config config = {.database_url = takeover->config->database_url,
                                          .slot = takeover->config->slot,
                                          .holder = takeover->source->holder,
                                          .events = &takeover->config->events,
                                          .wait_state = takeover->wait_state,
                                          .on_wait = takeover->on_wait,
                                          .ctx = takeover->ctx,
                                          .reason = takeover->reason};
    struct healing healing;
    struct published published;
    healing_init(&healing, &config);
    bool ok = published_read(&events, &range, &healing, &published) && healing_run(&healing);
    healing_done(&healing);
    if (!ok) return false;
    tell_beyond(&published);
    if (progress->highest_id == 0) progress->highest_id = published.highest_id;
    return true;
}

static void log_verdict(const struct takeover *takeover, enum verdict verdict, const struct progress *progress,
                        const struct progress *next)
{
    char before[LSN_TEXT_MAX];
    char after[LSN_TEXT_MAX];
    lsn_format(progress->lsn, before);
    lsn_format(next->lsn, after);
    if (verdict == VERDICT_SWITCHED) {
        LOG_WARN("relay: the database is on a new timeline; publishing continues from the switch point or from progress",
                 LOG_INT("timeline_before", progress->timeline), LOG_INT("timeline", next->timeline),
                 LOG_STR("progress", before), LOG_STR("from", after), LOG_STR("source", takeover->source->name));
    } else if (verdict == VERDICT_SET_BACK) {
        LOG_ERROR("relay: the database is behind the published position; progress is discarded and publishing continues "
                  "from the slot, so events may be repeated",
                  LOG_STR("progress", before), LOG_STR("from", after), LOG_STR("source", takeover->source->name));
    }
}

/* Progress is written first: a relay after this one then finds the history that was accepted, whatever is written to it meanwhile. */
static bool establish(struct takeover *takeover, enum verdict verdict, struct publisher *publisher,
                      struct progress *progress)
{
    struct progress next = acceptance_progress(verdict, takeover->source, progress);
    if (verdict != VERDICT_UNMARKED && !reconcile(takeover, verdict, progress)) return false;
    next.highest_id = progress->highest_id;
    log_verdict(takeover, verdict, progress, &next);
    *progress = next;
    return publisher_commit(publisher, slice_of(takeover->source->name), progress);
}

/* Once it may be a race with the relay before us, so it is believed the second time. */
static bool is_believed(struct takeover *takeover, enum verdict verdict, const struct progress *progress)
{
    char published[LSN_TEXT_MAX];
    char server_end[LSN_TEXT_MAX];
    takeover->is_ahead = verdict == VERDICT_SET_BACK;
    if (!takeover->is_ahead || takeover->was_ahead) return true;
    error_text_set(takeover->reason, "progress %s is ahead of the server's WAL %s", lsn_format(progress->lsn, published),
                   lsn_format(takeover->source->server_end, server_end));
    return false;
}

/* Back to what is final: of what came behind it, each partition may have another part. Earlier builds did not tell. */
static bool go_back(const struct takeover *takeover, struct takeover_point *point)
{
    struct progress *progress = &point->progress;
    if (progress->final_lsn > 0) {
        uint64_t confirmed = takeover->source->confirmed;
        progress->lsn = confirmed > progress->final_lsn ? confirmed : progress->final_lsn;
        progress->commit_lsn = progress->records = 0;
    }
    progress->final_lsn = progress->lsn;
    const struct topic_source events = topic_of(takeover, takeover->config->events_topic);
    return overlap_read(&events, &takeover->source->history, progress->lsn, &point->overlap);
}

enum takeover_end takeover_finish(struct takeover *takeover, struct publisher *publisher, struct takeover_point *point)
{
    struct progress *progress = &point->progress;
    if (!read_progress(takeover, false, progress)) return TAKEOVER_FAILED;
    enum verdict verdict = acceptance_decide(takeover->source, progress);
    if (verdict == VERDICT_FOREIGN_SLOT || verdict == VERDICT_FOREIGN_TIMELINE) return refuse(takeover, verdict, progress);
    if (!is_believed(takeover, verdict, progress)) return TAKEOVER_FAILED;
    if (verdict != VERDICT_SAME && !establish(takeover, verdict, publisher, progress)) return TAKEOVER_FAILED;
    if (!open_intake(takeover, progress)) return TAKEOVER_FAILED;
    point->told = *progress;
    bool is_known = verdict == VERDICT_SAME || verdict == VERDICT_SWITCHED;
    return !is_known || go_back(takeover, point) ? TAKEOVER_DONE : TAKEOVER_FAILED;
}
